import dataclasses
import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from senet_jax.models.layers import l2_normalise
from senet_jax.models.registry import ARCHITECTURES, build_model, variable_shapes
from senet_jax.models.senet import without_descriptor_norm
from senet_jax.training.optimizer import Duration
from senet_jax.training.parallel import AXIS, ParallelStep
from tests.programs import quickly
from tests.tolerances import FEW_ROUNDINGS, SPREAD
from tests.training import landmarks
from tests.training.landmarks import BEFORE_A_NORM, changed, named_leaves, step_options

BOTH = step_options(0.5, 0.5)
CONTRASTIVE = step_options(0.0, 1.0)
VARIANTS = [name for name in ARCHITECTURES if name.split("_")[0] == "demo"]

# Gradients of weights of some size here; of the biases before a norm, 1e-6 is rounding.
ROUNDING_OF_A_GRADIENT = 1e-5
CLEARLY_A_GRADIENT = 1e-3


def _jitted(options, *arguments):
    return quickly(landmarks.make_step(options, *arguments))


def _batch(options, step=0):
    batch = landmarks.batch(step)
    if not any(loss.pairs for loss in options.losses):
        del batch["positives"]
    return batch


@functools.cache
def _first_step(options, architecture=landmarks.ARCHITECTURE):
    """The state before and after a step, and its metrics."""
    variables = landmarks.lively(architecture, options.step.descriptor_norm)
    before = landmarks.first_state(options, variables=variables)
    after, metrics = _jitted(options, architecture)(before, _batch(options))
    return before, jax.tree.map(np.asarray, after), jax.tree.map(float, metrics)


def _contrastive(state):
    return state.losses["contrastive"]


def _gradients(before, after):
    """By path; the optimiser's momentum after one step is the gradient and the weight decay."""
    params, trace = named_leaves(before.params), named_leaves(after.optimizer[1].trace)
    return {path: trace[path] - landmarks.SGD.weight_decay * params[path] for path in params}


def _assert_close(found, expected, tolerance=SPREAD):
    found, expected = named_leaves(found), named_leaves(expected)
    assert found.keys() == expected.keys()
    for path, leaf in expected.items():
        distance = np.abs(found[path] - leaf).max(initial=0)
        assert distance <= tolerance * np.abs(leaf).max(initial=0), path


@pytest.mark.parametrize(
    "name",
    [name if name == "demo" else pytest.param(name, marks=pytest.mark.slow) for name in VARIANTS],
)
def test_every_parameter_learns_but_the_biases_before_a_norm(name):
    # Any loss will do; the step of `demo` by both is looked at below, too.
    options = BOTH if name == "demo" else step_options(1.0, 0.0)
    before, after, _ = _first_step(options, ARCHITECTURES[name])
    silent = set()
    for path, gradient in _gradients(before, after).items():
        assert np.isfinite(gradient).all(), path
        largest = np.abs(gradient).max()
        assert largest > CLEARLY_A_GRADIENT or largest < ROUNDING_OF_A_GRADIENT, path
        if largest < ROUNDING_OF_A_GRADIENT:
            silent.add(path.removeprefix("network/"))
    assert silent == (set() if name in ("demo_baseline", "demo_fusion") else set(BEFORE_A_NORM))


@pytest.mark.parametrize(("name", "blocks"), [("tiny", 2), ("r50", 3)])
def test_the_biases_before_a_norm(name, blocks):
    params = named_leaves(variable_shapes(ARCHITECTURES[name])["params"]["ssm"]["encoder"])
    convolutions = {path.split("/")[0] for path in params if path.endswith("kernel")}
    assert convolutions == {*(f"conv_{block}" for block in range(blocks)), "expand"}
    norms = {path.split("/")[0] for path in params if path.endswith("scale")}
    assert norms == {*(f"bn_{block}" for block in range(blocks)), "expand_bn"}
    # Each convolution has a bias, and a norm of its own right after it.
    assert {path for path in params if path.endswith("bias")} == {
        f"{layer}/bias" for layer in convolutions | norms
    }


def test_what_a_step_leaves_behind():
    before, after, metrics = _first_step(BOTH)
    assert (before.step, after.step) == (0, 1)
    assert metrics["loss"] == pytest.approx(
        0.5 * metrics["loss_classification"] + 0.5 * metrics["loss_contrastive"]
    )
    squares = sum(np.sum(np.square(g, dtype=float)) for g in _gradients(before, after).values())
    assert metrics["gradient_norm"] == pytest.approx(np.sqrt(squares), rel=1e-5)
    assert after.losses["classification"]["running"] == pytest.approx(
        0.01 * metrics["target_cosine"]
    )
    assert _contrastive(after)["running"] == pytest.approx(0.01 * metrics["positive_cosine"])
    average = jax.tree.map(
        lambda slow, new: 0.999 * slow + 0.001 * new,
        _contrastive(before)["momentum_network"]["params"],
        after.params["network"],
    )
    _assert_close(_contrastive(after)["momentum_network"]["params"], average, FEW_ROUNDINGS)


def test_running_averages_normalise_and_stay():
    _, before, _ = _first_step(BOTH)  # Something of a batch is in them.
    options = changed(BOTH, batch_norm="running")
    batch = _batch(options, 1)
    after, metrics = _jitted(options)(before, batch)
    jax.tree.map(np.testing.assert_array_equal, after.batch_stats, before.batch_stats)
    variables = {"params": before.params["network"], "batch_stats": before.batch_stats}
    embeddings, _ = quickly(build_model(landmarks.ARCHITECTURE).apply)(variables, batch["images"])
    targets = before.params["classes"][batch["labels"]]
    cosines = jnp.sum(l2_normalise(embeddings) * l2_normalise(targets), axis=1)
    assert metrics["target_cosine"] == pytest.approx(float(cosines.mean()), rel=1e-5)
    _, by_batch = _jitted(BOTH)(before, batch)
    assert abs(by_batch["target_cosine"] - metrics["target_cosine"]) > 1e-3


def test_keys_enter_the_queue_with_their_labels():
    before, after, metrics = _first_step(BOTH)
    batch = _batch(BOTH)
    model = build_model(landmarks.ARCHITECTURE, train=True)
    apply = quickly(functools.partial(model.apply, mutable=["batch_stats"]))
    (keys, _), updated = apply(_contrastive(before)["momentum_network"], batch["positives"])
    rows = landmarks.BATCH_SIZE
    np.testing.assert_allclose(
        _contrastive(after)["queue"].descriptors[:rows],
        l2_normalise(keys),
        rtol=0,
        atol=SPREAD,
    )
    np.testing.assert_array_equal(_contrastive(after)["queue"].labels[:rows], batch["labels"])
    np.testing.assert_array_equal(_contrastive(after)["queue"].labels[rows:], -1)
    assert _contrastive(after)["queue"].position == rows
    _assert_close(_contrastive(after)["momentum_network"]["batch_stats"], updated["batch_stats"])
    # The queue was empty: each query had its own key alone.
    assert metrics["positives"] == 1


OTHER_KEYS = changed(CONTRASTIVE, keys_first=True, keys_batch_norm="running", clip_norm=0.5)


def test_keys_first_are_positives_of_their_own_step():
    _, _, metrics = _first_step(OTHER_KEYS)
    labels = _batch(OTHER_KEYS)["labels"]
    assert metrics["positives"] == np.mean(np.sum(labels[:, None] == labels, axis=1))
    assert metrics["positives"] > 1


def test_keys_by_running_statistics():
    before, after, _ = _first_step(OTHER_KEYS)
    apply = quickly(build_model(landmarks.ARCHITECTURE).apply)
    keys, _ = apply(_contrastive(before)["momentum_network"], _batch(OTHER_KEYS)["positives"])
    np.testing.assert_allclose(
        _contrastive(after)["queue"].descriptors[: landmarks.BATCH_SIZE],
        l2_normalise(keys),
        rtol=0,
        atol=SPREAD,
    )
    average = jax.tree.map(
        lambda slow, new: 0.999 * slow + 0.001 * new,
        _contrastive(before)["momentum_network"]["batch_stats"],
        after.batch_stats,
    )
    _assert_close(_contrastive(after)["momentum_network"]["batch_stats"], average, FEW_ROUNDINGS)


def test_clipped_to_a_norm():
    before, after, metrics = _first_step(OTHER_KEYS)
    assert metrics["gradient_norm"] > 1
    squares = sum(np.sum(np.square(g, dtype=float)) for g in _gradients(before, after).values())
    assert np.sqrt(squares) == pytest.approx(0.5, rel=1e-4)


def test_bfloat16_is_the_arithmetic_of_the_network_alone():
    options = changed(BOTH, precision="bfloat16", descriptor_norm=True)
    state = landmarks.first_state(options)
    step = landmarks.make_step(options)
    program, (after, metrics) = jax.make_jaxpr(step, return_shape=True)(state, _batch(options))
    assert {str(leaf.dtype) for leaf in jax.tree.leaves(after)} == {"float32", "int32"}
    assert jax.tree.map(lambda leaf: leaf.dtype, after) == jax.tree.map(
        lambda leaf: leaf.dtype, state
    )
    assert {str(leaf.dtype) for leaf in metrics.values()} == {"float32"}
    convolutions = [line for line in str(program).splitlines() if "conv_general_dilated[" in line]
    assert convolutions
    assert all(":bf16[" in line for line in convolutions)
    model = build_model(
        landmarks.ARCHITECTURE, train=True, dtype=jnp.bfloat16, descriptor_norm=True
    )
    (descriptors, _), _ = jax.eval_shape(
        functools.partial(model.apply, mutable=["batch_stats"]),
        landmarks.initial(descriptor_norm=True),
        _batch(options)["images"],
    )
    assert descriptors.dtype == jnp.float32


@pytest.mark.slow
def test_the_folded_descriptor_norm_of_a_training():
    """After training steps the network with running statistics is the one that is saved."""
    options = step_options(1.0, 0.0, descriptor_norm=True)
    _, after, _ = _first_step(options)
    variables = {"params": after.params["network"], "batch_stats": after.batch_stats}
    images = _batch(options)["images"]
    normed, plain = (
        quickly(build_model(landmarks.ARCHITECTURE, descriptor_norm=kept).apply)
        for kept in (True, False)
    )
    running, _ = normed(variables, images)
    saved, _ = plain(without_descriptor_norm(variables), images)
    np.testing.assert_allclose(l2_normalise(saved), l2_normalise(running), rtol=0, atol=SPREAD)


@pytest.fixture
def smooth(monkeypatch):
    """Another order of summation switches a ReLU now and then; see `spread_training`."""
    monkeypatch.setattr(nn, "relu", nn.silu)
    _first_step.cache_clear()
    yield
    _first_step.cache_clear()


@pytest.mark.slow
def test_computed_again_instead_of_kept_is_the_same(smooth):
    expected, found = (_first_step(changed(BOTH, remat=remat)) for remat in (False, True))
    _assert_same_step(found, expected)


def _assert_same_step(found, expected):
    gradients, expected_gradients = _gradients(*found[:2]), _gradients(*expected[:2])
    for path in expected_gradients:
        if not path.endswith(BEFORE_A_NORM):
            _assert_close(gradients[path], expected_gradients[path], 10 * SPREAD)
    _assert_close(found[1].params, expected[1].params)
    queue, expected_queue = (
        state.losses["contrastive"]["queue"] for state in (found[1], expected[1])
    )
    _assert_close(queue, expected_queue)
    for name, value in expected[2].items():
        assert float(found[2][name]) == pytest.approx(float(value), rel=SPREAD, abs=SPREAD), name


@pytest.mark.slow
def test_a_batch_in_two_parts_has_the_gradient_of_the_whole(smooth):
    """Where the parts have the statistics of the whole: the same images, with other labels.

    In general they have not, and a batch norm makes another network of each part. Nor do the
    running scalars agree, which count each part; so the margin is the one that has none.
    """
    whole = changed(BOTH, margin_kind="arc")
    half = landmarks.batch(0, landmarks.BATCH_SIZE // 2)
    batch = {name: np.concatenate([half[name]] * 2) for name in ("images", "positives")}
    batch["labels"] = landmarks.batch(1)["labels"]
    assert (batch["labels"][:8] != batch["labels"][8:]).any()
    before = landmarks.first_state(whole, variables=landmarks.lively())
    expected, found = (
        (before, *_jitted(changed(whole, accumulate=parts))(before, batch)) for parts in (1, 2)
    )
    _assert_same_step(found, expected)


@pytest.mark.slow
def test_statistics_of_each_device_are_averaged_before_they_are_kept():
    options = changed(step_options(1.0, 0.0), sync_batch_norm=False)
    state = landmarks.first_state(options, variables=landmarks.lively())
    step = ParallelStep(landmarks.make_step(options, axis_name=AXIS), state)
    batch = _batch(options)
    after, _ = step(step.to_devices(state), step.place(batch))
    replicated = after.replace(params=after.params["network"], optimizer=())
    for path, leaf in jax.tree.leaves_with_path(replicated):
        copies = [np.asarray(shard.data) for shard in leaf.addressable_shards]
        assert len(copies) == 8
        for copy in copies[1:]:
            np.testing.assert_array_equal(copy, copies[0], err_msg=str(path))

    # The stem by hand: two images a device.
    kernel = state.params["network"]["trunk"]["stem"]["conv"]["kernel"]
    maps = jax.lax.conv_general_dilated(
        batch["images"],
        kernel,
        (2, 2),
        ((3, 3), (3, 3)),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    maps = np.asarray(maps, float).reshape(8, -1, maps.shape[-1])  # [D n c]
    kept = step.to_host(after).batch_stats["trunk"]["stem"]["bn"]
    np.testing.assert_allclose(kept["mean"], 0.1 * maps.mean(axis=(0, 1)), rtol=0, atol=1e-6)
    np.testing.assert_allclose(kept["var"], 0.9 + 0.1 * maps.var(axis=1).mean(axis=0), rtol=1e-5)


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [
        step_options(1.0, 0.0),
        # Keys of the network as it is: those of a slow one are another thing to learn.
        changed(CONTRASTIVE, network_momentum=0.0),
    ],
    ids=["cls", "con"],
)
def test_one_batch_can_be_learned_by_heart(options):
    options = changed(options, descriptor_norm=True)
    adam = dataclasses.replace(landmarks.SGD, name="adamw", learning_rate=1e-3)
    duration = Duration(total_steps=160)
    network = ARCHITECTURES["tiny"]  # Two blocks more, which let it learn in fewer steps.
    variables = landmarks.initial(network, descriptor_norm=True)
    state, batch = landmarks.first_state(options, adam, variables), _batch(options)
    step = _jitted(options, network, adam, duration)
    losses = []
    for _ in range(duration.total_steps):
        state, metrics = step(state, batch)
        losses.append(float(metrics["loss"]))
    assert max(losses) > 3
    assert losses[-1] < 0.1
