import errno
import io
import json
import os
import zipfile

import numpy as np
import pytest

from senet_jax.errors import UserError
from senet_jax.retrieval.blocks import as_float32
from senet_jax.retrieval.extract import Described
from senet_jax.retrieval.quantise import STORAGES, quantise
from senet_jax.retrieval.store import DescriptorStore, check_finite, load_store, save_store

ORIGIN = {"weights": "abc", "scales": [0.5, 1.0], "images": "def"}


def _store(**changes):
    values = {
        "descriptors": np.arange(6, dtype=np.float32).reshape(3, 2),
        "skipped": {1: "no image"},
        "origin": ORIGIN,
    }
    return DescriptorStore(**{**values, **changes})


def _save(folder, store=None, **options):
    """In two pieces, the rows in any order."""
    store = store or _store()
    rows = range(len(store.descriptors))
    pieces = (
        Described(tuple(part), store.descriptors[list(part)], {})
        for part in (rows[::-2], rows[-2::-2])
    )
    save_store(
        folder,
        "database",
        shape=store.descriptors.shape,
        pieces=pieces,
        skipped=store.skipped,
        origin=store.origin,
        **options,
    )


def test_what_is_saved_is_loaded(tmp_path):
    store = _store(skipped={2: "cut short", 0: "no image"})
    _save(tmp_path / "town", store)
    loaded = load_store(tmp_path / "town", "database", ORIGIN)
    np.testing.assert_array_equal(loaded.descriptors, store.descriptors)
    assert loaded.descriptors.dtype == np.float32
    assert loaded.skipped == store.skipped
    assert loaded.origin == ORIGIN
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
    piece = Described((3, 1), np.float32([[0, 127], [-127, 127]]), {})
    save_store(
        tmp_path,
        "database",
        shape=(5, 2),
        pieces=[piece],
        skipped={},
        origin=ORIGIN,
        storage=storage,
    )
    expected = [[0, 0], [-127, 127], [0, 0], [0, 127], [0, 0]]
    assert as_float32(load_store(tmp_path, "database", ORIGIN).descriptors).tolist() == expected


def test_there_are_none_yet(tmp_path):
    assert load_store(tmp_path, "database", ORIGIN) is None


def test_descriptors_without_their_description_are_not_whole(tmp_path):
    _save(tmp_path)
    (tmp_path / "database.json").unlink()
    assert load_store(tmp_path, "database", ORIGIN) is None


def test_a_new_array_never_stands_beside_an_old_description(tmp_path, monkeypatch):
    """A stop between the two files leaves descriptors that are not whole."""
    _save(tmp_path)

    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("senet_jax.retrieval.store.write_json", stopped)
    with pytest.raises(KeyboardInterrupt):
        _save(tmp_path, _store(descriptors=np.ones((3, 2), np.float32)))
    assert load_store(tmp_path, "database", ORIGIN) is None


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
        {"origin": [], "skipped": {}},
        {"origin": ORIGIN, "skipped": []},
        {"origin": ORIGIN, "skipped": {"first": "no image"}},
    ],
)
def test_broken_description(tmp_path, value):
    _save(tmp_path)
    (tmp_path / "database.json").write_text(json.dumps(value))
    with pytest.raises(UserError, match=rf"database\.json is broken; remove {tmp_path}"):
        load_store(tmp_path, "database", ORIGIN)


def test_an_array_of_another_kind_names_its_file(tmp_path):
    _save(tmp_path)
    np.save(tmp_path / "database.npy", np.ones((3, 2)))
    with pytest.raises(UserError, match=r"database\.npy: descriptors are float64\[3, 2\], not a"):
        load_store(tmp_path, "database", ORIGIN)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"descriptors": np.ones(3, np.float32)}, r"are float32\[3\], not a matrix of any storage"),
        ({"descriptors": np.ones((3, 2))}, r"are float64\[3, 2\], not a matrix of any storage"),
        ({"descriptors": np.ones((3, 2), int)}, r"are int64\[3, 2\], not a matrix of any storage"),
        ({"descriptors": np.zeros(3, [("int8", "i1", (2,))])}, "not a matrix of any storage"),
        ({"descriptors": np.float16([[1, 2], [np.inf, 0], [0, 0]])}, "row 1 is not finite"),
        ({"descriptors": np.float32([[1, 2], [np.nan, 0], [0, 0]])}, "row 1 is not finite"),
        ({"descriptors": np.float32([[1, 2], [3, 4], [0, np.inf]])}, "row 2 is not finite"),
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
        yield Described((0,), np.ones((1, 2), np.float32), {})
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with pytest.raises(UserError, match=r"cannot write .*database\.npy: No space left on device"):
        save_store(tmp_path, "database", shape=(3, 2), pieces=pieces(), skipped={}, origin=ORIGIN)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_numbers_that_are_not_finite_are_named_by_their_row(number):
    descriptors = np.ones((3, 2), np.float32)
    check_finite(descriptors, (8, 5, 9))
    descriptors[1, 1] = number
    with pytest.raises(UserError, match="the descriptor of row 5 is not finite"):
        check_finite(descriptors, (8, 5, 9))
