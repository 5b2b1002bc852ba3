import io
import json
import zipfile

import numpy as np
import pytest

from senet_jax.errors import UserError
from senet_jax.retrieval.store import DescriptorStore, load_store, save_store

ORIGIN = {"weights": "abc", "scales": [0.5, 1.0], "images": "def"}


def _store(**changes):
    values = {
        "descriptors": np.arange(6, dtype=np.float32).reshape(3, 2),
        "skipped": {1: "no image"},
        "origin": ORIGIN,
    }
    return DescriptorStore(**{**values, **changes})


def test_what_is_saved_is_loaded(tmp_path):
    store = _store(skipped={2: "cut short", 0: "no image"})
    save_store(tmp_path / "town", "database", store)
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


def test_there_are_none_yet(tmp_path):
    assert load_store(tmp_path, "database", ORIGIN) is None


def test_descriptors_without_their_description_are_not_whole(tmp_path):
    save_store(tmp_path, "database", _store())
    (tmp_path / "database.json").unlink()
    assert load_store(tmp_path, "database", ORIGIN) is None


def test_a_new_array_never_stands_beside_an_old_description(tmp_path, monkeypatch):
    """A stop between the two files leaves descriptors that are not whole."""
    save_store(tmp_path, "database", _store())

    def stopped(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("senet_jax.retrieval.store.write_json", stopped)
    with pytest.raises(KeyboardInterrupt):
        save_store(tmp_path, "database", _store(descriptors=np.ones((3, 2), np.float32)))
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
    save_store(tmp_path, "database", _store())
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
    save_store(tmp_path, "database", _store())
    path = tmp_path / "database.npy"
    path.write_bytes(path.read_bytes()[:-4] if content is None else content)
    with pytest.raises(UserError, match=rf"database\.npy cannot be read .*; remove {tmp_path}"):
        load_store(tmp_path, "database", ORIGIN)


def test_missing_array(tmp_path):
    save_store(tmp_path, "database", _store())
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
    save_store(tmp_path, "database", _store())
    (tmp_path / "database.json").write_text(json.dumps(value))
    with pytest.raises(UserError, match=rf"database\.json is broken; remove {tmp_path}"):
        load_store(tmp_path, "database", ORIGIN)


def test_an_array_of_another_kind_names_its_file(tmp_path):
    save_store(tmp_path, "database", _store())
    np.save(tmp_path / "database.npy", np.ones((3, 2)))
    with pytest.raises(UserError, match=r"database\.npy: descriptors are float64\[3, 2\], not a"):
        load_store(tmp_path, "database", ORIGIN)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"descriptors": np.ones(3, np.float32)}, r"are float32\[3\], not a float32 matrix"),
        ({"descriptors": np.ones((3, 2))}, r"are float64\[3, 2\], not a float32 matrix"),
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
        save_store(tmp_path / "town", "database", _store())
