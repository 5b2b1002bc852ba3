import errno
import io
import json
import os
import zipfile

import numpy as np
import pytest

from senet_jax.data.file_state import FILE_STATE
from senet_jax.features import store as store_module
from senet_jax.features.store import (
    DescribedRows,
    DescriptorStore,
    check_finite,
    load_store,
    save_store,
)
from senet_jax.search.database import as_float32
from senet_jax.search.storage import STORAGES, quantise
from senet_jax.system.checksummed import read_sealed_json, sealed
from senet_jax.system.errors import UserError

ORIGIN = {"weights": "abc", "scales": [0.5, 1.0], "images": "def"}
FILES = np.array([(9, 8, 7, (row + 1, 2)) for row in range(3)], FILE_STATE)


def _store(**changes):
    values = {
        "descriptors": np.arange(6, dtype=np.float32).reshape(3, 2),
        "skipped": {1: "no image"},
        "origin": ORIGIN,
        "files": FILES,
        "checksums": (),
    }
    return DescriptorStore(**{**values, **changes})


def _save(folder, store=None, **options):
    """In two pieces, the rows in any order."""
    store = store or _store()
    rows = range(len(store.descriptors))
    pieces = (
        DescribedRows(
            part,
            store.descriptors[list(part)],
            {row: why for row, why in store.skipped.items() if row in part},
            store.files[list(part)],
        )
        for part in (rows[::-2], rows[-2::-2])
    )
    shape = store.descriptors.shape
    save_store(folder, "database", shape=shape, pieces=pieces, origin=store.origin, **options)


def test_what_is_saved_is_loaded(tmp_path):
    store = _store(skipped={2: "cut short", 0: "no image"})
    _save(tmp_path / "town", store)
    loaded = load_store(tmp_path / "town", "database", ORIGIN)
    np.testing.assert_array_equal(loaded.descriptors, store.descriptors)
    assert loaded.descriptors.dtype == np.float32
    assert loaded.skipped == store.skipped
    assert loaded.origin == ORIGIN
    np.testing.assert_array_equal(loaded.files, FILES)
    assert loaded.skipped_rows.tolist() == [0, 2]
    assert sorted(path.name for path in (tmp_path / "town").iterdir()) == [
        "database.json",
        "database.npy",
    ]


def test_what_a_killed_process_left_is_cleared_away(tmp_path):
    (tmp_path / ".database.npy.k1ll3d").write_bytes(b"half of it")
    (tmp_path / ".query.npy.other").write_bytes(b"of another part")
    _save(tmp_path)
    names = [".query.npy.other", "database.json", "database.npy"]
    assert sorted(path.name for path in tmp_path.iterdir()) == names


@pytest.mark.parametrize("storage", STORAGES)
def test_the_file_is_the_one_that_numpy_writes(tmp_path, storage):
    _save(tmp_path, storage=storage)
    np.save(tmp_path / "expected.npy", quantise(_store().descriptors, storage))
    assert (tmp_path / "database.npy").read_bytes() == (tmp_path / "expected.npy").read_bytes()


@pytest.mark.parametrize("storage", STORAGES)
def test_rows_that_no_piece_has_are_zero(tmp_path, storage):
    piece = DescribedRows((3, 1), np.float32([[0, 127], [-127, 127]]), {}, FILES[:2])
    options = {"shape": (5, 2), "origin": ORIGIN, "storage": storage}
    save_store(tmp_path, "database", pieces=[piece], **options)
    expected = [[0, 0], [-127, 127], [0, 0], [0, 127], [0, 0]]
    store = load_store(tmp_path, "database", ORIGIN)
    assert as_float32(store.descriptors).tolist() == expected
    assert store.files["size"].tolist() == [0, 9, 0, 9, 0]


@pytest.mark.parametrize("storage", STORAGES)
def test_rows_that_no_piece_has_are_those_of_the_base(tmp_path, storage, monkeypatch):
    monkeypatch.setattr(store_module, "BLOCK_ROWS", 2)
    descriptors = np.random.default_rng(0).standard_normal((5, 3)).astype(np.float32)
    files = np.array([(9, 8, 7, (row + 1, 2)) for row in range(5)], FILE_STATE)
    options = {"shape": (5, 3), "origin": ORIGIN, "storage": storage}
    first = DescribedRows(range(5), descriptors, {1: "no image", 3: "no image"}, files)
    save_store(tmp_path, "database", pieces=[first], **options)
    base = load_store(tmp_path, "database", ORIGIN)
    second = DescribedRows([3, 4], descriptors[:2], {4: "gone"}, files[:2])
    save_store(tmp_path, "database", pieces=[second], base=base, **options)
    store = load_store(tmp_path, "database", ORIGIN)
    expected = quantise(descriptors[[0, 1, 2, 0, 1]], storage)
    assert np.asarray(store.descriptors).tobytes() == expected.tobytes()
    assert store.skipped == {1: "no image", 4: "gone"}
    assert store.files["digest"][:, 0].tolist() == [1, 2, 3, 1, 2]


def test_there_are_none_yet(tmp_path):
    assert load_store(tmp_path, "database", ORIGIN) is None


def test_descriptors_without_their_description_are_not_whole(tmp_path):
    _save(tmp_path)
    (tmp_path / "database.json").unlink()
    assert load_store(tmp_path, "database", ORIGIN) is None


def test_a_new_array_beside_an_old_description_is_not_believed(tmp_path, monkeypatch):
    """As a stop between the two files leaves it."""
    _save(tmp_path)

    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(store_module, "write_sealed_json", stopped)
    with pytest.raises(KeyboardInterrupt):
        _save(tmp_path, _store(descriptors=np.ones((3, 2), np.float32)))
    assert not load_store(tmp_path, "database", ORIGIN).files["digest"].any()


def test_rows_of_a_broken_block_are_of_no_file(tmp_path, monkeypatch):
    monkeypatch.setattr(store_module, "BLOCK_ROWS", 2)
    _save(tmp_path)
    path = tmp_path / "database.npy"
    content = bytearray(path.read_bytes())
    for place, rows in ((-20, [1]), (-1, [])):  # In the first block, and in the second too.
        content[place] ^= 1
        path.write_bytes(content)
        store = load_store(tmp_path, "database", ORIGIN)
        left = np.flatnonzero(store.files["digest"].any(axis=1)).tolist()
        assert left == [2][: len(rows)]


@pytest.mark.parametrize(
    ("now", "message"),
    [
        ({**ORIGIN, "scales": [1.0]}, r"made with scales \[0.5, 1.0\], now it is \[1.0\]"),
        ({**ORIGIN, "weights": "xyz"}, "made with weights 'abc', now it is 'xyz'"),
        ({**ORIGIN, "mode": "exact"}, "made with mode None, now it is 'exact'"),
        ({"weights": "abc", "scales": [0.5, 1.0]}, "made with images 'def', now it is None"),
    ],
)
def test_another_origin_is_refused_by_its_key(tmp_path, now, message):
    _save(tmp_path)
    with pytest.raises(UserError, match=f"{message}; use another workdir or remove {tmp_path}"):
        load_store(tmp_path, "database", now)


def _zip():
    content = io.BytesIO()
    zipfile.ZipFile(content, "w").writestr("a.npy", "x")
    return content.getvalue()


def _pickled():
    content = io.BytesIO()
    np.save(content, np.array([object()]), allow_pickle=True)
    return content.getvalue()


@pytest.mark.parametrize("content", [b"", b"text", b"PK\x03\x04", _zip(), _pickled(), None])
def test_broken_array(tmp_path, content):
    _save(tmp_path)
    path = tmp_path / "database.npy"
    path.write_bytes(path.read_bytes()[:-4] if content is None else content)
    with pytest.raises(UserError, match=rf"database\.npy cannot be read .*; remove {tmp_path}"):
        load_store(tmp_path, "database", ORIGIN)


def test_missing_array(tmp_path):
    _save(tmp_path)
    (tmp_path / "database.npy").unlink()
    with pytest.raises(UserError, match=r"database\.npy cannot be read .*No such file"):
        load_store(tmp_path, "database", ORIGIN)


@pytest.mark.parametrize(
    "value",
    [
        [],
        {"origin": ORIGIN},
        {"origin": []},
        {"skipped": []},
        {"skipped": {"first": "no image"}},
        {"files": "x"},
        {"files": 3},
        {"checksums": 3},
    ],
)
def test_broken_description(tmp_path, value):
    _save(tmp_path)
    path = tmp_path / "database.json"
    if value and value != {"origin": ORIGIN}:
        value = sealed(read_sealed_json(path, "") | value)
    path.write_text(json.dumps(value))
    with pytest.raises(UserError, match=rf"database\.json is broken: .*; remove {tmp_path}"):
        load_store(tmp_path, "database", ORIGIN)


def test_an_array_of_another_kind_names_its_file(tmp_path):
    _save(tmp_path)
    np.save(tmp_path / "database.npy", np.ones((3, 2)))
    with pytest.raises(UserError, match=r"database\.npy does not match its checksum; remove"):
        load_store(tmp_path, "database", ORIGIN)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"descriptors": np.ones(3, np.float32)}, r"are float32\[3\], not a matrix of any storage"),
        ({"descriptors": np.ones((3, 2))}, r"are float64\[3, 2\], not a matrix of any storage"),
        ({"descriptors": np.ones((3, 2), int)}, r"are int64\[3, 2\], not a matrix of any storage"),
        ({"descriptors": np.zeros(3, [("int8", "i1", (2,))])}, "not a matrix of any storage"),
        ({"descriptors": np.ones((3, 0), np.float32)}, r"float32\[3, 0\], not a matrix of any"),
        ({"descriptors": np.ones((2, 2), np.float32)}, "2 descriptors are of 3 files"),
        ({"skipped": {3: "no image"}}, "no row 3 among 3 descriptors"),
        ({"skipped": {-1: "no image"}}, "no row -1"),
    ],
)
def test_what_is_no_store(changes, message):
    with pytest.raises(UserError, match=message):
        _store(**changes)


def test_a_file_in_the_way_is_one_line(tmp_path):
    (tmp_path / "town").write_text("mine")
    with pytest.raises(UserError, match=r"cannot write .*town/database\.npy: .*choose a place"):
        _save(tmp_path / "town")


def test_a_full_disk_leaves_what_stood_there(tmp_path, monkeypatch):
    _save(tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def pieces():
        yield DescribedRows((0,), np.ones((1, 2), np.float32), {}, FILES[:1])
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(UserError, match=r"cannot write .*database\.npy: No space left on device"):
        save_store(tmp_path, "database", shape=(3, 2), pieces=pieces(), origin=ORIGIN)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_named_by_their_row(number):
    descriptors = np.ones((3, 2), np.float32)
    check_finite(descriptors, (8, 5, 9))
    descriptors[1, 1] = number
    with pytest.raises(UserError, match="the descriptor of row 5 is not finite"):
        check_finite(descriptors, (8, 5, 9))


@pytest.mark.parametrize("storage", ["float32", "float16", "bfloat16"])
def test_what_is_not_finite_is_not_saved(tmp_path, storage):
    number = 1e6 if storage == "float16" else np.inf
    with pytest.raises(UserError, match="the descriptor of row 1 is not finite"):
        _save(
            tmp_path, _store(descriptors=np.float32([[0, 0], [0, number], [0, 0]])), storage=storage
        )
    assert not any(tmp_path.iterdir())
