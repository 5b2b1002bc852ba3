import numpy as np
import pytest

from senet_jax.search.descriptor_files import open_descriptors
from senet_jax.system.errors import UserError


def _saved(folder, **arrays):
    for name, array in arrays.items():
        np.save(folder / f"{name}.npy", array)
    return [folder / f"{name}.npy" for name in arrays]


def test_queries_are_read_and_the_database_is_mapped(tmp_path):
    rng = np.random.default_rng(0)
    arrays = {"q": rng.random((2, 3)), "x": rng.random((4, 3), np.float32), "d": rng.random((1, 3))}
    queries, database, distractors = _saved(tmp_path, **arrays)
    found, opened = open_descriptors(queries, database, [distractors])
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, arrays["q"].astype(np.float32))
    assert opened.size == 5 and all(isinstance(part, np.memmap) for part in opened.parts)
    rows = np.concatenate([arrays["x"], arrays["d"]]).astype(np.float32)
    np.testing.assert_array_equal(opened.read(0)[:5], rows)


@pytest.mark.parametrize(
    ("queries", "message"),
    [
        (np.ones((2, 2)), "q.npy has 2 columns, the database 3"),
        (np.full((1, 3), np.inf), "row 0 of .*q.npy is not finite"),
        (np.ones(3), "q.npy is float64 of shape"),
    ],
)
def test_errors_name_the_file(tmp_path, queries, message):
    files = _saved(tmp_path, q=queries, x=np.ones((4, 3)))
    with pytest.raises(UserError, match=message):
        open_descriptors(*files)
