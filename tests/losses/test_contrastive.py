import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from senet_jax.losses.contrastive import Queue, contrastive_loss, empty_queue, enqueue
from senet_jax.system.errors import UserError
from tests.losses import spread
from tests.oracles import losses as oracle

S, M, T = 30.0, 0.15, 0.3
KINDS = ["arc", "curricular"]
LENGTH, WIDTH, BATCH = 24, 5, 6


def _units(random, shape):
    vectors = random.normal(size=shape)
    return vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)


def _inputs(seed=0, batch=BATCH, length=LENGTH, width=WIDTH):
    """(embeddings, keys, labels, rows, row labels): some unfilled, some labels without a row."""
    random = np.random.default_rng(seed)
    return (
        random.normal(size=(batch, width)),
        random.normal(size=(batch, width)),
        random.integers(6, size=batch),
        _units(random, (length, width)),
        random.integers(-1, 4, size=length),
    )


def _loss(embeddings, keys, labels, queue, *, kind="curricular", m=M, limit=LENGTH, axis_name=None):
    return contrastive_loss(
        embeddings,
        keys,
        labels,
        queue,
        jnp.float32(T),
        scale=S,
        margin_radians=m,
        kind=kind,
        max_positives=limit,
        axis_name=axis_name,
    )


@functools.partial(jax.jit, static_argnames=("kind", "limit"))
def _compiled(embeddings, keys, labels, queue, **options):
    return jax.value_and_grad(_loss, argnums=(0, 1), has_aux=True)(
        embeddings, keys, labels, queue, **options
    )


def _queue(rows, row_labels):
    return Queue(jnp.float32(rows), jnp.int32(row_labels), jnp.int32(0))


def _run(embeddings, keys, labels, rows, row_labels, kind="curricular", limit=LENGTH):
    """(loss, running, metrics, gradients by embeddings and keys)."""
    (value, (running, metrics)), gradients = _compiled(
        np.float32(embeddings),
        np.float32(keys),
        np.int32(labels),
        _queue(rows, row_labels),
        kind=kind,
        limit=limit,
    )
    return (
        float(value),
        float(running),
        {name: float(number) for name, number in metrics.items()},
        tuple(map(np.asarray, gradients)),
    )


def _assert_is_oracle(inputs, kind="curricular", limit=LENGTH):
    value, running, metrics, (by_embedding, by_key) = _run(*inputs, kind=kind, limit=limit)
    positives = oracle.contrastive_positives(*inputs, limit)
    t = oracle.running_after(T, [c for line in positives for c in line])
    assert running == pytest.approx(t, abs=1e-7)
    assert metrics["positives"] == pytest.approx(np.mean([len(line) for line in positives]))
    embeddings, *others = inputs
    options = (limit, t, S, M, kind)
    assert value == pytest.approx(
        oracle.contrastive(embeddings, *others, *options), abs=oracle.VALUE_TOLERANCE
    )
    expected = oracle.gradient(lambda x: oracle.contrastive(x, *others, *options), embeddings)
    assert abs(by_embedding - expected).max() <= oracle.GRADIENT_TOLERANCE * abs(expected).max()
    assert (by_key == 0).all()


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_against_loops(kind, seed):
    _assert_is_oracle(_inputs(seed), kind)


def test_rows_of_the_label_beyond_the_limit():
    inputs, limit = _inputs(), 3
    _assert_is_oracle(inputs, limit=limit)
    _, _, metrics, _ = _run(*inputs, limit=limit)
    counts = np.array([(inputs[4] == label).sum() for label in inputs[2]])
    assert metrics["positives_left_out"] == pytest.approx(np.maximum(counts - limit, 0).mean())


def test_labels_that_the_queue_does_not_have():
    embeddings, keys, _, rows, row_labels = _inputs()
    _assert_is_oracle((embeddings, keys, np.arange(10, 10 + BATCH), rows, row_labels))


def test_batch_of_one_label():
    embeddings, keys, _, rows, row_labels = _inputs()
    _assert_is_oracle((embeddings, keys, np.full(BATCH, 2), rows, row_labels))


def test_queue_of_the_batch_s_label_only_has_no_negatives():
    embeddings, keys, labels, rows, _ = _inputs()
    value, _, _, gradients = _run(embeddings, keys, labels * 0, rows, np.zeros(LENGTH))
    assert value == 0
    assert all((gradient == 0).all() for gradient in gradients)


def test_unfilled_rows_are_masked():
    embeddings, keys, labels, rows, row_labels = _inputs()
    noise = np.where(row_labels[:, None] == -1, 7.0, rows)
    one, other = (_run(embeddings, keys, labels, x, row_labels) for x in (rows, noise))
    assert one[:3] == other[:3]
    np.testing.assert_array_equal(one[3][0], other[3][0])


def test_empty_queue_has_no_loss():
    embeddings, keys, labels, _, _ = _inputs()
    queue = empty_queue(LENGTH, WIDTH)
    value, running, metrics, gradients = _run(
        embeddings, keys, labels, queue.descriptors, queue.labels
    )
    assert value == 0
    assert all((gradient == 0).all() for gradient in gradients)
    paired = [oracle.cosine(x, key) for x, key in zip(embeddings, keys, strict=True)]
    assert running == pytest.approx(oracle.running_after(T, paired), abs=1e-7)
    assert metrics["positives"] == 1


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("theta", [0, 1e-4, 1e-3, math.pi - M, math.pi - 1e-3, math.pi])
def test_gradient_is_finite_at_every_angle(kind, theta):
    """The own key at an angle, a row of its label at cosine 1, negatives at 1, 0 and -1."""
    random = np.random.default_rng(0)
    axes = np.eye(WIDTH)
    embeddings = np.tile(axes[0], (BATCH, 1))
    keys = np.tile(math.cos(theta) * axes[0] + math.sin(theta) * axes[1], (BATCH, 1))
    rows = _units(random, (LENGTH, WIDTH))
    rows[:4] = axes[0], axes[0], axes[1], -axes[0]
    row_labels = np.array([0, *range(1, LENGTH)])
    value, _, _, (gradient, _) = _run(
        embeddings, keys, np.zeros(BATCH), rows, row_labels, kind=kind
    )
    assert math.isfinite(value)
    assert np.isfinite(gradient).all()
    assert 0 < abs(gradient).max() < 3 * S


def test_negative_at_its_threshold_is_not_hard():
    """Without margin, and with two negatives at the cosine of the positive in the queue."""
    embedding = np.float32([[1, 0]])
    queue = _queue([[0.6, 0.8]] * 3, [0, 1, 2])
    arc, curricular = (
        float(
            jax.jit(functools.partial(_loss, kind=kind, m=0.0))(
                embedding, embedding, np.int32([0]), queue
            )[0]
        )
        for kind in KINDS
    )
    assert arc == curricular
    paired = math.log(1 + 2 * math.exp(S * (0.6 - 1)))
    assert arc == pytest.approx((paired + math.log(3)) / 2, abs=oracle.VALUE_TOLERANCE)


def test_bfloat16_embeddings_go_to_float32_first():
    embeddings, keys, labels, rows, row_labels = _inputs()
    rough = np.asarray(jnp.asarray(embeddings, jnp.bfloat16).astype(jnp.float32))
    value, _ = jax.jit(_loss)(
        jnp.asarray(embeddings, jnp.bfloat16),
        jnp.float32(keys),
        jnp.int32(labels),
        _queue(rows, row_labels),
    )
    assert value.dtype == jnp.float32
    expected, *_ = _run(rough, keys, labels, rows, row_labels)
    assert float(value) == pytest.approx(expected, abs=1e-6)


# Of 256 rows some fifty are of a query's label, so the limit falls on one of the last devices;
# of eight, each has fewer rows than the limit.
SPREAD_LIMIT = 40


def _spread_arguments(labels=None):
    """Embeddings by a replicated projection; keys, queue and images over the devices."""
    projection = np.float32(np.random.default_rng(5).normal(size=(10, 48)))
    _, keys, some_labels, rows, row_labels = _inputs(4, batch=16, length=256, width=48)
    images = np.float32(np.random.default_rng(6).normal(size=(16, 10)))
    labels = np.int32(some_labels if labels is None else labels)
    return projection, (), (images, np.float32(keys), labels, np.float32(rows), row_labels)


def _spread_loss(projection, _, batch, axis_name=None):
    images, keys, labels, rows, row_labels = batch
    queue = _queue(rows, row_labels)
    return _loss(images @ projection, keys, labels, queue, limit=SPREAD_LIMIT, axis_name=axis_name)


@pytest.mark.parametrize("devices", [1, 2, 8])
def test_devices_agree(devices):
    spread.assert_same_on(devices, _spread_loss, *_spread_arguments())


def test_devices_agree_on_a_batch_of_one_label():
    spread.assert_same_on(8, _spread_loss, *_spread_arguments(np.full(16, 2)))


def test_queue_is_never_moved():
    projection, rows, batch = _spread_arguments()
    sizes = spread.collective_sizes(_spread_loss, 8, projection, rows, batch)
    embeddings = 16 * 48
    assert ("all-gather", embeddings) in sizes
    assert max(size for _, size in sizes) == embeddings < batch[3].size // 8


_enqueue = jax.jit(enqueue)


def _steps(batches):
    random = np.random.default_rng(7)
    return [
        (random.normal(size=(batch, WIDTH)), random.integers(9, size=batch)) for batch in batches
    ]


@pytest.mark.parametrize("batches", [[6] * 9, [24, 7, 24, 7]])
def test_enqueue_is_first_in_first_out(batches):
    queue = empty_queue(LENGTH, WIDTH)
    expected = np.asarray(queue.descriptors, np.float64), np.asarray(queue.labels), 0
    for keys, labels in _steps(batches):
        queue = _enqueue(queue, np.float32(keys), np.int32(labels))
        expected = oracle.enqueued(*expected, keys, labels)
        np.testing.assert_allclose(queue.descriptors, expected[0], atol=1e-6)
        np.testing.assert_array_equal(queue.labels, expected[1])
        assert queue.position == expected[2]


def test_queue_is_the_same_on_any_number_of_devices():
    """Ten steps alone, and ten that begin on eight devices and go on with two."""
    alone = spread_queue = empty_queue(LENGTH, WIDTH)
    for step, (keys, labels) in enumerate(_steps([16] * 10)):
        keys, labels = np.float32(keys), np.int32(labels)
        alone = _enqueue(alone, keys, labels)
        spread_queue = _enqueue_over(8 if step < 5 else 2, spread_queue, keys, labels)
    for one, other in zip(spread_queue, alone, strict=True):
        np.testing.assert_array_equal(one, other)


@functools.cache
def _mapped_enqueue(devices):
    by_device = Queue(0, 0, None)
    return jax.pmap(
        functools.partial(enqueue, axis_name=spread.AXIS),
        axis_name=spread.AXIS,
        in_axes=(by_device, 0, 0),
        out_axes=by_device,
        devices=jax.devices()[:devices],
    )


def _enqueue_over(devices, queue, keys, labels):
    descriptors, row_labels, position = _mapped_enqueue(devices)(
        Queue(*spread.split(queue[:2], devices), queue.position),
        *spread.split((keys, labels), devices),
    )
    return Queue(*spread.joined((descriptors, row_labels)), np.asarray(position))


def test_queue_shorter_than_the_batch():
    with pytest.raises(UserError, match="queue of 4 rows cannot take a batch of 6 keys; make"):
        enqueue(empty_queue(4, WIDTH), jnp.ones((6, WIDTH)), jnp.zeros(6, jnp.int32))
