import dataclasses

import jax
import numpy as np
import optax
import pytest
import torch

from senet_jax.system.errors import UserError
from senet_jax.training.optimizer import (
    Duration,
    OptimizerSettings,
    clip_by_norm,
    learning_rate_schedule,
    make_optimizer,
)
from tests.tolerances import FEW_ROUNDINGS

STEPS = 5
CONSTANT = OptimizerSettings(learning_rate=0.1, nesterov=False, weight_decay=0.0)
ENDLESS = Duration(total_steps=10**9)


def _params():
    rng = np.random.default_rng(0)
    return {
        "network": {
            "fc": {"kernel": rng.normal(size=(5, 7)), "bias": rng.normal(size=7)},
            "bn": {"scale": rng.normal(size=5)},
        },
        "classes": rng.normal(size=(11, 7)),
    }


def _gradients(step):
    rng = np.random.default_rng([1, step])
    return jax.tree.map(lambda leaf: rng.normal(size=leaf.shape).astype(np.float32), _params())


def _after(options, params, steps=STEPS, duration=ENDLESS):
    """The parameters after steps with the gradients above."""
    optimizer = make_optimizer(options, duration)
    params = jax.tree.map(np.float32, params)
    state = optimizer.init(params)
    for step in range(steps):
        updates, state = optimizer.update(_gradients(step), state, params)
        params = optax.apply_updates(params, updates)
    return params


def _torch_after(make, params, rates):
    """What PyTorch's optimiser makes of the same gradients, with a rate for each step."""
    tensors = [torch.nn.Parameter(torch.tensor(leaf, dtype=torch.float32)) for leaf in params]
    optimizer = make(tensors)
    for step, rate in enumerate(rates):
        for group in optimizer.param_groups:
            group["lr"] = rate
        for tensor, gradient in zip(tensors, jax.tree.leaves(_gradients(step)), strict=True):
            tensor.grad = torch.tensor(gradient)
        optimizer.step()
    return [tensor.detach().numpy() for tensor in tensors]


@pytest.mark.parametrize("nesterov", [False, True])
@pytest.mark.parametrize("weight_decay", [0.0, 0.3])
@pytest.mark.parametrize("warmup_steps", [0, 3])
def test_sgd_is_that_of_pytorch(nesterov, weight_decay, warmup_steps):
    options = dataclasses.replace(CONSTANT, nesterov=nesterov, weight_decay=weight_decay)
    duration = Duration(STEPS + 1, warmup_steps)
    schedule = learning_rate_schedule(options, duration)
    expected = _torch_after(
        lambda tensors: torch.optim.SGD(
            tensors, lr=1, momentum=0.9, nesterov=nesterov, weight_decay=weight_decay
        ),
        jax.tree.leaves(_params()),
        [float(schedule(step)) for step in range(STEPS)],
    )
    found = _after(options, _params(), duration=duration)
    for leaf, other in zip(jax.tree.leaves(found), expected, strict=True):
        np.testing.assert_allclose(leaf, other, rtol=0, atol=STEPS * FEW_ROUNDINGS)


def test_adamw_is_that_of_pytorch():
    options = dataclasses.replace(CONSTANT, name="adamw", weight_decay=0.3)
    expected = _torch_after(
        lambda tensors: torch.optim.AdamW(tensors, lr=1, weight_decay=0.3),
        jax.tree.leaves(_params()),
        [0.1] * STEPS,
    )
    for leaf, other in zip(jax.tree.leaves(_after(options, _params())), expected, strict=True):
        # Each square root and division of Adam rounds once more.
        np.testing.assert_allclose(leaf, other, rtol=0, atol=10 * STEPS * FEW_ROUNDINGS)


@pytest.mark.parametrize("warmup_steps", [0, 1, 4])
def test_the_rate_rises_from_a_tenth_and_falls_along_a_cosine_to_zero(warmup_steps):
    total = 12
    schedule = learning_rate_schedule(
        OptimizerSettings(learning_rate=0.5), Duration(total, warmup_steps)
    )
    rates = np.array([schedule(step) for step in range(total + 3)])
    for step in range(warmup_steps):
        assert rates[step] == pytest.approx(0.5 * (0.1 + 0.9 * step / warmup_steps))
    for step in range(warmup_steps, total + 1):
        share = (step - warmup_steps) / (total - warmup_steps)
        assert rates[step] == pytest.approx(0.25 * (1 + np.cos(np.pi * share)), abs=1e-7)
    assert rates[warmup_steps] == 0.5
    assert rates.max() == 0.5
    np.testing.assert_array_equal(rates[total:], 0)


def test_a_warm_up_that_begins_elsewhere():
    settings = OptimizerSettings(learning_rate=0.5, warmup_start=0.0)
    schedule = learning_rate_schedule(settings, Duration(total_steps=9, warmup_steps=4))
    assert [float(schedule(step)) for step in range(5)] == [0, 0.125, 0.25, 0.375, 0.5]


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_weight_decay_by_path(name):
    options = dataclasses.replace(
        CONSTANT, name=name, weight_decay=0.3, no_weight_decay=("bias$", "/bn/")
    )
    decayed = _after(options, _params())
    everywhere = _after(dataclasses.replace(options, no_weight_decay=()), _params())
    nowhere = _after(dataclasses.replace(options, weight_decay=0.0), _params())
    for path in (("network", "fc", "bias"), ("network", "bn", "scale")):
        np.testing.assert_array_equal(_at(decayed, path), _at(nowhere, path))
        assert (_at(decayed, path) != _at(everywhere, path)).any()
    for path in (("network", "fc", "kernel"), ("classes",)):
        np.testing.assert_array_equal(_at(decayed, path), _at(everywhere, path))
        assert (_at(decayed, path) != _at(nowhere, path)).any()


@pytest.mark.parametrize("name", ["sgd", "adamw"])
def test_rates_by_path_and_the_first_expression_counts(name):
    factors = (("^classes$", 4.0), ("fc/kernel", 0.0), ("fc", 0.5))
    options = dataclasses.replace(CONSTANT, name=name, rate_multipliers=factors)
    before = jax.tree.map(np.float32, _params())
    plain = _after(CONSTANT if name == "sgd" else dataclasses.replace(CONSTANT, name=name), before)
    changed = _after(options, before)
    for path, factor in (
        (("classes",), 4.0),
        (("network", "fc", "kernel"), 0.0),
        (("network", "fc", "bias"), 0.5),
        (("network", "bn", "scale"), 1.0),
    ):
        move = _at(plain, path) - _at(before, path)
        assert np.abs(move).min() > 1e-3
        np.testing.assert_allclose(
            _at(changed, path), _at(before, path) + factor * move, rtol=0, atol=1e-5
        )


def test_an_expression_that_finds_nothing_is_one_line():
    options = dataclasses.replace(
        CONSTANT, no_weight_decay=("bias$", "/bn/"), rate_multipliers=(("^classes$", 2.0),)
    )
    options.check_found(_params())
    for changes, message in (
        ({"no_weight_decay": ("bias$", "/norm/")}, r"no_weight_decay has '/norm/', which no param"),
        (
            {"rate_multipliers": (("^class$", 2.0),)},
            r"rate_multipliers has '\^class\$', which",
        ),
    ):
        with pytest.raises(UserError, match=message) as raised:
            dataclasses.replace(options, **changes).check_found(_params())
        assert "there are 4, such as classes, network/bn/scale, network/fc/bias" in str(
            raised.value
        )


def _at(tree, path):
    for key in path:
        tree = tree[key]
    return np.asarray(tree)


def test_gradients_are_clipped_together():
    gradients = {"a": np.array([3.0, 0.0]), "b": np.array([[4.0]])}
    clipped = clip_by_norm(gradients, np.float32(5.0), 1.0)
    np.testing.assert_allclose(clipped["a"], [0.6, 0.0], rtol=1e-6)
    np.testing.assert_allclose(clipped["b"], [[0.8]], rtol=1e-6)
    kept = clip_by_norm(gradients, np.float32(5.0), 6.0)
    np.testing.assert_array_equal(kept["a"], gradients["a"])
    nothing = clip_by_norm({"a": np.zeros(2)}, np.float32(0.0), 1.0)
    np.testing.assert_array_equal(nothing["a"], 0)
