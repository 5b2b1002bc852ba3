"""A loss over several devices, and the same loss on one, with the gradients of both."""

import functools
import re

import jax
import numpy as np
import pytest

AXIS = "devices"

# One device and several differ in how their float32 sums are grouped and in nothing else.
SPREAD_TOLERANCE = 1e-6


def split(tree, devices):
    return jax.tree.map(lambda x: x.reshape(devices, -1, *x.shape[1:]), tree)


def joined(tree):
    return jax.tree.map(lambda x: np.concatenate(np.asarray(x)), tree)


@functools.cache
def _alone(loss):
    """The value, what comes with it, and the gradients of `replicated` and `rows`."""

    @jax.jit
    def run(replicated, rows, batch):
        (value, carried), gradients = jax.value_and_grad(loss, argnums=(0, 1), has_aux=True)(
            replicated, rows, batch
        )
        return value, carried, gradients

    return run


@functools.cache
def _mapped(loss, devices):
    """`_alone` over devices, by the recipe that `sharded_softmax` states."""

    @functools.partial(
        jax.pmap,
        axis_name=AXIS,
        in_axes=(None, 0, 0),
        out_axes=(None, None, (None, 0)),
        devices=jax.devices()[:devices],
    )
    def run(replicated, rows, batch):
        (value, carried), (replicated_gradient, row_gradient) = jax.value_and_grad(
            functools.partial(loss, axis_name=AXIS), argnums=(0, 1), has_aux=True
        )(replicated, rows, batch)
        value, replicated_gradient = jax.lax.pmean((value, replicated_gradient), AXIS)
        return (
            value,
            carried,
            (replicated_gradient, jax.tree.map(lambda x: x / devices, row_gradient)),
        )

    return run


def assert_same_on(devices, loss, replicated, rows, batch):
    if jax.device_count() < devices:
        pytest.skip(f"{devices} devices are needed, {jax.device_count()} are there")
    expected = _alone(loss)(replicated, rows, batch)
    value, carried, (replicated_gradient, row_gradient) = _mapped(loss, devices)(
        replicated, split(rows, devices), split(batch, devices)
    )
    found = value, carried, (replicated_gradient, joined(row_gradient))
    assert jax.tree.structure(found) == jax.tree.structure(expected)
    for one, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
        one, other = np.asarray(one), np.asarray(other)
        assert one.shape == other.shape
        assert np.isfinite(other).all()
        assert abs(one - other).max() <= SPREAD_TOLERANCE * max(1, abs(other).max())


def collective_sizes(loss, devices, replicated, rows, batch):
    """(operation, elements of its result) of all collectives of the compiled program."""
    program = (
        _mapped(loss, devices)
        .lower(replicated, split(rows, devices), split(batch, devices))
        .compile()
        .as_text()
    )
    operation = r"(all-gather|all-to-all|all-reduce|reduce-scatter|collective-permute)"
    return [
        (line[2], sum(_elements(shape) for shape in re.findall(r"\w+\[([\d,]*)\]", line[1])))
        for line in re.finditer(rf"= (.*?) {operation}(?:-start)?\(", program)
    ]


def _elements(shape):
    return int(np.prod([int(side) for side in shape.split(",") if side]))
