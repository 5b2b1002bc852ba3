import numpy as np
import pytest

from senet_jax.errors import UserError
from senet_jax.retrieval.blocks import BlockedDatabase
from senet_jax.retrieval.scores import block_scores


def test_dot_products_of_the_rows_that_are_ranked():
    rng = np.random.default_rng(0)
    rows = rng.integers(-9, 9, (7, 3))
    queries = rng.integers(-9, 9, (2, 3)).astype(np.float32)
    scores = block_scores(queries, BlockedDatabase((rows,), unranked=[4], block_rows=4), 4)
    np.testing.assert_array_equal(scores[:, 1:3], queries @ rows[5:].T)
    assert (np.asarray(scores)[:, [0, 3]] == -np.inf).all()  # Not ranked; beyond the last item.


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_values_that_are_not_finite_are_named(value):
    rows = np.ones((10, 2))
    rows[7, 1] = value
    database = BlockedDatabase((rows[:5], rows[5:]), block_rows=4)
    with pytest.raises(UserError, match="row 2 of part 1 of the database is not finite"):
        block_scores(np.zeros((1, 2), np.float32), database, 4)


def test_float64_beyond_float32_is_not_finite():
    database = BlockedDatabase((np.array([[1.0], [1e39]]),), block_rows=4)
    with pytest.raises(UserError, match="row 1 of part 0 of the database is not finite in float32"):
        block_scores(np.ones((1, 1), np.float32), database, 0)


def test_products_that_overflow_are_named():
    database = BlockedDatabase((np.full((3, 1), 1e30, np.float32),), block_rows=4)
    with pytest.raises(UserError, match="query 1 with row 0 of part 0 of the database is inf"):
        block_scores(np.array([[1.0], [1e30]], np.float32), database, 0)
