import numpy as np
import pytest

from senet_jax.search.descriptor_files import open_descriptors, open_descriptors_of
from senet_jax.system.errors import UserError
from tests.oracles.delg_files import delg_global, message, varint


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


def test_a_folder_of_delgs_files(tmp_path):
    rows = {"b/é": [1.5, -2.0], "a": [0.25, 3e-39], "c": [7.0, 0.0]}
    for name, row in rows.items():
        path = tmp_path / f"{name}.delg_global"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(varint(9 << 3) + varint(300) + delg_global(row, packed=name == "a"))
    found = open_descriptors_of(tmp_path, ["b/é", "a"])
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, np.array([rows["b/é"], rows["a"]], np.float32))
    assert open_descriptors_of(tmp_path)[:, 0].tolist() == [0.25, 1.5, 7.0]
    with pytest.raises(UserError, match=r"d\.delg_global: No such file.*every image needs"):
        open_descriptors_of(tmp_path, ["a", "d"])
    (tmp_path / "d.delg_global").write_bytes(delg_global([1.0]))
    with pytest.raises(
        UserError, match=r"d\.delg_global has 1 numbers, a\.delg_global beside it 2"
    ):
        open_descriptors_of(tmp_path, ["a", "d"])
    with pytest.raises(UserError, match=r"has no file \*\.delg_global"):
        open_descriptors_of(tmp_path / "b", [])


WHOLE = delg_global([1.0, 2.0, 3.0])


@pytest.mark.parametrize(
    ("content", "told"),
    [
        *[(WHOLE[:end], "ends within|0 numbers") for end in range(len(WHOLE))],
        (delg_global([1.0, 2.0], sides=[3]), r"2 numbers, and the shape \[3\]"),
        (delg_global([1.0, 2.0], sides=[1] * 99), "2 numbers, and the shape"),
        (delg_global([1.0, np.nan]), "not finite"),
        (delg_global([]), "0 numbers, not 1 to"),
        (message(2, message(1, bytes(4 * 65537))), "65,537 numbers, not 1 to"),
        (message(2, message(1, b"abc")), "ends within one"),
        (varint(2 << 3) + varint(3), "of another type"),
        (b"\x0b", "no protocol buffer"),
        (bytes(2**20 + 1), "more than 1,048,576 bytes"),
    ],
)
def test_what_is_no_descriptor_of_delg(tmp_path, content, told):
    (tmp_path / "a.delg_global").write_bytes(content)
    with pytest.raises(UserError, match=rf"a\.delg_global: .*({told})") as caught:
        open_descriptors_of(tmp_path, ["a"])
    assert "\n" not in str(caught.value)
