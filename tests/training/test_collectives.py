import functools

import jax
import jax.numpy as jnp
import pytest
from jax import lax
from jax.sharding import AxisType
from jax.sharding import PartitionSpec as P

from senet_jax.models.layers import LayerOptions
from senet_jax.training.collectives import collectives, sent_bytes

DEVICES = 4
# Half a megabyte a device, so that nothing is too small to be a collective.
ROWS, COLUMNS = 512, 256
BYTES = ROWS * COLUMNS * 4


def _program(function, devices=DEVICES):
    """The text of a function of a device's float32[ROWS, COLUMNS], over some of the devices."""
    mesh = jax.make_mesh((devices,), ("i",), (AxisType.Auto,), devices=jax.devices()[:devices])
    mapped = jax.shard_map(function, mesh=mesh, in_specs=P("i"), out_specs=P("i"), check_vma=False)
    shape = jax.ShapeDtypeStruct((devices * ROWS, COLUMNS), jnp.float32)
    return jax.jit(mapped).lower(shape).compile().as_text()


@pytest.mark.parametrize(
    ("function", "expected"),
    [
        # A ring passes every part on N-1 times; a sum goes round twice, in N parts.
        (functools.partial(lax.psum, axis_name="i"), {"all-reduce": BYTES * 3 // 2}),
        (functools.partial(lax.all_gather, axis_name="i"), {"all-gather": BYTES * 3}),
        (
            functools.partial(lax.psum_scatter, axis_name="i", tiled=True),
            {"reduce-scatter": BYTES * 3 // 4},
        ),
        (
            functools.partial(
                lax.all_to_all, axis_name="i", split_axis=0, concat_axis=0, tiled=True
            ),
            {"all-to-all": BYTES * 3 // 4},
        ),
        (
            lambda x: lax.ppermute(x, "i", [(n, (n + 1) % DEVICES) for n in range(DEVICES)]),
            {"collective-permute": BYTES},
        ),
        (lambda x: 2 * x, {}),
    ],
)
def test_of_compiled_programs(function, expected):
    assert sent_bytes(collectives(_program(function), DEVICES)) == expected


def test_several_arrays_at_once():
    line = "  %s = (f32[2,3]{1,0}, /*index=1*/bf16[5]{0}, pred[]) all-reduce(%a, %b, %c), to=%f"
    assert sent_bytes(collectives(f"{line}\n{line}", 2)) == {"all-reduce": 2 * (24 + 10 + 1)}


def test_one_device_sends_nothing():
    assert collectives("  %g = f32[8]{0} all-reduce(%a), channel_id=1", 1) == [("all-reduce", 0)]


def test_a_batch_norm_sends_a_mean_and_a_variance_there_and_back():
    norm = LayerOptions(train=True, axis_name="i").batch_norm()
    variables = jax.eval_shape(norm.init, jax.random.key(0), jnp.zeros((1, COLUMNS)))

    def gradient(x):
        zeros = jax.tree.map(lambda leaf: jnp.zeros(leaf.shape), variables)
        maps = functools.partial(norm.apply, zeros, mutable=["batch_stats"])
        return jax.grad(lambda x: jnp.sum(jnp.sin(maps(x)[0])))(x)

    found = collectives(_program(gradient), DEVICES)
    vector = COLUMNS * 4 * 2 * (DEVICES - 1) // DEVICES
    assert found == [("all-reduce", vector)] * 4


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("  %s = f32[8]{0} all-reduce-start(%a)", "in two parts"),
        ("  %s = f4e2m1[8]{0} all-reduce(%a)", "type"),
    ],
)
def test_what_is_not_understood(line, message):
    with pytest.raises(ValueError, match=message):
        collectives(line, 2)
