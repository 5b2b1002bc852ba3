import os
import sys

import jax
import numpy as np
import pytest

from senet_jax.search import scores as scores_module
from senet_jax.search.database import BlockedDatabase
from senet_jax.search.scores import _begin, scores_of_blocks
from senet_jax.system.errors import UserError
from tests.metrics import spread_ranking
from tests.processes import started


def _scores(queries, database, start):
    ((found, scores),) = scores_of_blocks(queries, database, [start])
    assert found == start
    return np.asarray(scores)


def test_dot_products_of_the_rows_that_are_ranked():
    rng = np.random.default_rng(0)
    rows = rng.integers(-9, 9, (7, 3))
    queries = rng.integers(-9, 9, (2, 3)).astype(np.float32)
    scores = _scores(queries, BlockedDatabase((rows,), unranked=[4], block_rows=4), 4)
    np.testing.assert_array_equal(scores[:, 1:3], queries @ rows[5:].T)
    assert (scores[:, [0, 3]] == -np.inf).all()  # Not ranked; beyond the last item.


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_named(value):
    rows = np.ones((10, 2))
    rows[7, 1] = value
    database = BlockedDatabase((rows[:5], rows[5:]), block_rows=4)
    with pytest.raises(UserError, match="row 2 of part 1 of the database is not finite"):
        _scores(np.zeros((1, 2), np.float32), database, 4)


def test_float64_beyond_float32_is_not_finite():
    database = BlockedDatabase((np.array([[1.0], [1e39]]),), block_rows=4)
    with pytest.raises(UserError, match="row 1 of part 0 of the database is not finite in float32"):
        _scores(np.ones((1, 1), np.float32), database, 0)


def test_products_that_overflow_are_named():
    database = BlockedDatabase((np.full((3, 1), 1e30, np.float32),), block_rows=4)
    with pytest.raises(UserError, match="query 1 with row 0 of part 0 of the database is inf"):
        _scores(np.array([[1.0], [1e30]], np.float32), database, 0)


def test_the_first_wrong_block_is_named_whichever_device_has_it():
    rows = np.ones((40, 1), np.float32)
    rows[[14, 27, 39]] = np.inf
    database = BlockedDatabase((rows,), block_rows=4)
    with pytest.raises(UserError, match="row 14 "):
        list(scores_of_blocks(np.ones((1, 1), np.float32), database, database.starts))


def test_blocks_take_turns_on_the_devices():
    """Also when only some of them are asked for: a block is always computed by the same device."""
    devices = jax.local_devices()
    database = BlockedDatabase((np.ones((4 * len(devices) + 9, 1), np.float32),), block_rows=2)
    queries = np.ones((1, 1), np.float32)
    for starts in (database.starts, database.starts[1::3]):
        found = list(scores_of_blocks(queries, database, starts))
        assert [start for start, _ in found] == list(starts)
        assert [s.device for _, s in found] == [devices[i // 2 % len(devices)] for i in starts]


@pytest.mark.parametrize(
    ("processes", "devices"), [(1, 1), pytest.param(3, 2, marks=pytest.mark.slow)]
)
def test_the_ranking_does_not_depend_on_processes_and_devices(tmp_path, processes, devices):
    flags = {"XLA_FLAGS": f"--xla_force_host_platform_device_count={devices}"}
    command = [sys.executable, "-m", "tests.metrics.spread_ranking", tmp_path / "ranking"]
    with started(command, processes, os.environ | flags) as running:
        outputs = [process.communicate(timeout=100) for process in running]
    assert [process.returncode for process in running] == [0] * processes, outputs
    expected = spread_ranking.rank()
    for index in range(processes):
        with np.load(tmp_path / f"ranking{index}.npz") as other:
            assert other["devices"] == devices
            for name, numbers in expected.items():
                np.testing.assert_array_equal(other[name], numbers, name)


def test_what_is_under_way_is_waited_for_where_the_search_is_broken_off(monkeypatch):
    """It reads the database's memory, and a process that ends takes that away from it."""
    begun = []

    def noted(*arguments):
        begun.append(_begin(*arguments))
        return begun[-1]

    monkeypatch.setattr(scores_module, "_begin", noted)
    rows = np.ones((40_000, 1024), np.float32)
    blocks = scores_of_blocks(
        rows[:200], BlockedDatabase((rows,), block_rows=2000), range(0, 40_000, 2000)
    )
    next(blocks)
    blocks.close()
    assert len(begun) > 1 and all(array.is_ready() for arrays in begun for array in arrays)
