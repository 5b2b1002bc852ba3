import numpy as np
import pytest

from senet_jax.quantise import main
from senet_jax.search.database import as_float32
from senet_jax.search.storage import STORAGES, quantise

ROWS = np.random.default_rng(0).standard_normal((9000, 5)).astype(np.float32)


@pytest.fixture
def command(tmp_path, run_command_here):
    def run(rows, storage):
        np.save(tmp_path / "x.npy", rows)
        flags = tmp_path / "x.npy", tmp_path / "out.npy", f"--storage={storage}"
        done = run_command_here(main, *flags)
        assert done.stdout == f"wrote {flags[1]}\n" * (done.returncode == 0)
        return done.returncode, done.stderr

    return run


@pytest.mark.parametrize("storage", STORAGES)
def test_a_file_is_that_of_all_rows_at_once(command, tmp_path, storage):
    assert command(ROWS, storage) == (0, "")
    found, expected = np.load(tmp_path / "out.npy"), quantise(ROWS, storage)
    assert found.dtype == expected.dtype and found.tobytes() == expected.tobytes()
    assert command(found, "float32") == (0, "")
    np.testing.assert_array_equal(np.load(tmp_path / "out.npy"), as_float32(expected))


def test_no_rows(command, tmp_path):
    assert command(ROWS[:0], "int8") == (0, "")
    assert np.load(tmp_path / "out.npy").shape == (0,)


@pytest.mark.parametrize(
    ("rows", "storage", "message"),
    [
        (np.where(np.arange(9000)[:, None] == 8999, np.nan, ROWS), "int8", "row 8999 of"),
        (np.float32([[1, 2], [1e5, 0]]), "float16", "row 1 of"),
        (np.float64([[1e300]]), "float32", "row 0 of"),
        (np.zeros(3), "int8", "is float64 of shape (3,); descriptors are"),
        (np.zeros((3, 2)), "int4", "argument --storage: invalid choice: 'int4'"),
    ],
)
def test_what_cannot_be_stored_is_refused(command, tmp_path, rows, storage, message):
    code, error = command(rows, storage)
    assert code == 2 and message in error and error.count("\n") == 1
    assert not (tmp_path / "out.npy").exists()
