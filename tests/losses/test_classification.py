import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from senet_jax.losses import sharded_softmax
from senet_jax.losses.classification import classification_loss
from tests.losses import spread
from tests.oracles import losses as oracle

S, M, T = 30.0, 0.15, 0.3
KINDS = ["arc", "curricular"]


def _inputs(batch=6, classes=9, width=5, seed=0):
    random = np.random.default_rng(seed)
    return (
        random.normal(size=(batch, width)),
        random.integers(classes, size=batch),
        random.normal(size=(classes, width)),
    )


def _loss(embeddings, labels, class_matrix, *, kind="curricular", m=M, **options):
    options = {"class_count": len(class_matrix)} | options
    return classification_loss(
        embeddings,
        jnp.asarray(labels),
        class_matrix,
        jnp.float32(T),
        scale=S,
        margin_radians=m,
        kind=kind,
        **options,
    )


@functools.partial(jax.jit, static_argnames=("kind", "m", "class_count"))
def _compiled(embeddings, labels, class_matrix, **options):
    return jax.value_and_grad(
        lambda x, w: _loss(x, labels, w, **options), argnums=(0, 1), has_aux=True
    )(embeddings, class_matrix)


def _value_and_gradients(embeddings, labels, class_matrix, kind="curricular", **options):
    """(loss, running, gradients), from float64 arrays or lists."""
    (value, (running, _)), gradients = _compiled(
        np.float32(embeddings), np.int32(labels), np.float32(class_matrix), kind=kind, **options
    )
    return float(value), float(running), tuple(map(np.asarray, gradients))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", [0, 1])
def test_against_loops(kind, seed):
    embeddings, labels, classes = _inputs(seed=seed)
    value, running, gradients = _value_and_gradients(embeddings, labels, classes, kind=kind)
    t = oracle.running_after(T, oracle.classification_targets(embeddings, labels, classes))
    assert running == pytest.approx(t, abs=1e-7)
    _assert_is_oracle(value, gradients, embeddings, labels, classes, t, kind)


def _assert_is_oracle(value, gradients, embeddings, labels, classes, t, kind):
    assert value == pytest.approx(
        oracle.classification(embeddings, labels, classes, t, S, M, kind),
        abs=oracle.VALUE_TOLERANCE,
    )
    expected = (
        oracle.gradient(
            lambda x: oracle.classification(x, labels, classes, t, S, M, kind), embeddings
        ),
        oracle.gradient(
            lambda w: oracle.classification(embeddings, labels, w, t, S, M, kind), classes
        ),
    )
    for one, other in zip(gradients, expected, strict=True):
        assert abs(one - other).max() <= oracle.GRADIENT_TOLERANCE * abs(other).max()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    "theta", [0.02, 0.5, 1.5, 2.5, math.pi - M - 1e-2, math.pi - M + 1e-2, 3.1]
)
def test_one_angle_against_loops(kind, theta):
    embeddings = 3 * np.array([[math.cos(theta), math.sin(theta), 0.1], [0.2, 1, 0.5]])
    classes = np.array([[1, 0, 0.1], [0.9, 0.4, -0.2], [-0.3, -1, 0.3], [0, 0.2, 1]])
    labels = np.array([0, 2])
    value, running, gradients = _value_and_gradients(embeddings, labels, classes, kind=kind)
    _assert_is_oracle(value, gradients, embeddings, labels, classes, float(running), kind)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("theta", [0, 1e-4, 1e-3, math.pi - M, math.pi - 1e-3, math.pi])
def test_gradient_is_finite_at_every_angle(kind, theta):
    embeddings = np.tile([[math.cos(theta), math.sin(theta), 0.0]], (2, 1))
    classes = np.array([[1.0, 0, 0], [-1, 0, 0], [0.6, 0.8, 0], [0, 0, 1]])
    labels = [0, 0]
    value, _, gradients = _value_and_gradients(embeddings, labels, classes, kind=kind)
    t = oracle.running_after(T, [math.cos(theta)])
    assert value == pytest.approx(
        oracle.classification(embeddings, labels, classes, t, S, M, kind),
        abs=oracle.VALUE_TOLERANCE,
    )
    for gradient in gradients:
        assert np.isfinite(gradient).all()
        assert abs(gradient).max() < 2 * S


def test_without_margin_it_is_plain_cross_entropy():
    embeddings, labels, classes = _inputs()
    value, _, _ = _value_and_gradients(embeddings, labels, classes, kind="arc", m=0.0)
    logits = S * np.array([[oracle.cosine(x, w) for w in classes] for x in embeddings])
    log_probabilities = np.asarray(jax.nn.log_softmax(logits))
    assert value == pytest.approx(
        -np.mean(log_probabilities[np.arange(len(labels)), labels]), abs=oracle.VALUE_TOLERANCE
    )


def test_curriculum_matters_for_hard_negatives_only():
    classes = np.eye(4)[:, :3] + 0.01
    easy, hard = np.array([[1, 0.1, 0.1]] * 2), np.array([[0.5, 0.8, 0.1]] * 2)
    for embeddings, is_same in ((easy, True), (hard, False)):
        arc, curricular = (
            _value_and_gradients(embeddings, [0, 0], classes, kind=kind)[0] for kind in KINDS
        )
        assert (arc == curricular) == is_same


def test_negative_at_its_threshold_is_not_hard():
    classes = np.array([[0.6, 0.8, 0], [0.6, 0.8, 0], [0, 0, 1], [0, 0, 1]])
    arc, curricular = (
        _value_and_gradients(np.eye(3)[:2], [0, 1], classes, kind=kind, m=0.0)[0] for kind in KINDS
    )
    assert arc == curricular
    assert arc == pytest.approx(math.log(2), abs=oracle.VALUE_TOLERANCE)


def test_small_losses_keep_their_digits():
    value, _, _ = _value_and_gradients([[1.0, 0, 0]], [0], [[1.0, 0, 0], [-0.2, 1, 0]], kind="arc")
    expected = math.exp(S * (-0.2 / math.hypot(0.2, 1) - math.cos(M)))
    assert expected < 1e-12
    assert value == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("padding", [0.0, 1.0, 1e3])
def test_padding_rows_have_no_probability_and_no_gradient(padding):
    embeddings, labels, classes = _inputs()
    padded = np.concatenate([classes, np.full((7, classes.shape[1]), padding)])
    value, running, (by_embedding, by_class) = _value_and_gradients(
        embeddings, labels, padded, class_count=len(classes)
    )
    expected, expected_running, gradients = _value_and_gradients(embeddings, labels, classes)
    assert value == pytest.approx(expected, abs=oracle.VALUE_TOLERANCE)
    assert running == pytest.approx(expected_running, abs=1e-7)
    for one, other in zip((by_embedding, by_class[: len(classes)]), gradients, strict=True):
        assert abs(one - other).max() <= oracle.GRADIENT_TOLERANCE * abs(other).max()
    assert (by_class[len(classes) :] == 0).all()


def test_one_class_only():
    value, _, gradients = _value_and_gradients([[1.0, 2.0]], [0], [[1.0, 0.0]])
    assert value == 0
    assert all((gradient == 0).all() for gradient in gradients)


def test_bfloat16_embeddings_go_to_float32_first():
    embeddings, labels, classes = _inputs()
    rough = jnp.asarray(embeddings, jnp.bfloat16)
    value, _ = jax.jit(_loss)(rough, labels, np.float32(classes))
    assert value.dtype == jnp.float32
    expected, _, _ = _value_and_gradients(rough, labels, classes)
    assert float(value) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("label", [-1, 9, 11])
def test_label_that_is_no_class(label):
    embeddings, labels, classes = _inputs()
    labels[2] = label
    padded = np.concatenate([classes, np.ones((7, classes.shape[1]))])
    value, _, _ = _value_and_gradients(embeddings, labels, padded, class_count=len(classes))
    assert np.isnan(value)


CLASS_COUNT = 37


def _spread_arguments(labels=None):
    """Embeddings by a replicated projection; 37 classes, padded as no device count asks for."""
    random = np.random.default_rng(3)
    projection = np.float32(random.normal(size=(10, 12)))
    rows = np.float32(random.normal(size=(sharded_softmax.padded_rows(CLASS_COUNT), 12)))
    images = np.float32(random.normal(size=(16, 10)))
    labels = np.int32(random.integers(CLASS_COUNT, size=16) if labels is None else labels)
    return projection, rows, (images, labels)


def _spread_loss(kind, projection, rows, batch, axis_name=None):
    images, labels = batch
    return _loss(
        images @ projection, labels, rows, kind=kind, class_count=CLASS_COUNT, axis_name=axis_name
    )


SPREAD_LOSSES = {kind: functools.partial(_spread_loss, kind) for kind in KINDS}


@pytest.mark.parametrize(
    ("devices", "kind"), [(1, "curricular"), (2, "curricular"), (8, "curricular"), (8, "arc")]
)
def test_devices_agree(devices, kind):
    spread.assert_same_on(devices, SPREAD_LOSSES[kind], *_spread_arguments())


def test_devices_agree_on_a_batch_of_one_label():
    labels = np.full(16, CLASS_COUNT - 1)
    spread.assert_same_on(8, SPREAD_LOSSES["curricular"], *_spread_arguments(labels))


def test_class_matrix_is_never_moved():
    projection, rows, batch = _spread_arguments()
    sizes = spread.collective_sizes(SPREAD_LOSSES["curricular"], 8, projection, rows, batch)
    embeddings = 16 * 12
    assert ("all-gather", embeddings) in sizes
    assert max(size for _, size in sizes) == embeddings < rows.size // 8
