import functools

import jax
import numpy as np
import pytest

from senet_jax.losses import sharded_softmax
from tests.losses import spread


@pytest.mark.parametrize(
    ("count", "rows"), [(1, 512), (37, 512), (512, 512), (513, 1024), (81_313, 81_408)]
)
def test_padded_rows(count, rows):
    assert sharded_softmax.padded_rows(count) == rows


@pytest.mark.parametrize("devices", [1, 2, 8])
def test_what_travels(devices):
    """Each device sends home its number and what it saw of the queries' numbers."""
    queries = np.arange(16.0, dtype=np.float32)

    @functools.partial(
        jax.pmap, axis_name=spread.AXIS, out_axes=(0, 0, 0, None), devices=jax.devices()[:devices]
    )
    def run(own):
        everyone = sharded_softmax.gather(own, spread.AXIS)
        seen = everyone + 100 * jax.lax.axis_index(spread.AXIS)
        return (
            everyone,
            sharded_softmax.send_home(seen, spread.AXIS),
            sharded_softmax.row_numbers(3, spread.AXIS),
            sharded_softmax.mean(own, spread.AXIS),
        )

    everyone, home, rows, mean = run(spread.split(queries, devices))
    np.testing.assert_array_equal(everyone, np.tile(queries, (devices, 1)))
    own = queries.reshape(devices, 1, -1)
    np.testing.assert_array_equal(home, own + 100 * np.arange(devices)[None, :, None])
    np.testing.assert_array_equal(rows, np.arange(3 * devices).reshape(devices, 3))
    assert float(mean) == 7.5
