import json

import numpy as np
import pytest

from senet_jax.system.checksummed import (
    load_arrays,
    read_sealed_json,
    save_arrays,
    sealed,
    unsealed,
    write_sealed_json,
)
from senet_jax.system.errors import UserError

VALUE = {"b": [1, 2.5, None, {"é": "\udc80"}], "a": (1, 2), "c": -0.0}


def test_json_there_and_back(tmp_path):
    write_sealed_json(tmp_path / "a.json", VALUE)
    read = read_sealed_json(tmp_path / "a.json", "")
    assert read == VALUE | {"a": [1, 2]} and str(read["c"]) == "-0.0"
    # The order of keys and the blanks say nothing.
    value = json.loads((tmp_path / "a.json").read_text())
    (tmp_path / "a.json").write_text(json.dumps(dict(reversed(value.items()))))
    assert read_sealed_json(tmp_path / "a.json", "") == read


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda value: value | {"c": 0}, "does not match its checksum"),
        (lambda value: value | {"d": 1}, "does not match its checksum"),
        (lambda value: value | {"checksum": "crc32:00000000"}, "does not match its checksum"),
        (lambda value: value | {"checksum": 7}, "does not match its checksum"),
        (lambda value: {"a": 1, "chdcksum": value["checksum"]}, "does not match its checksum"),
        (lambda value: [value], "it is no JSON object"),
    ],
)
@pytest.mark.parametrize("required", [True, False])
def test_another_value_is_one_line(tmp_path, change, message, required):
    (tmp_path / "a.json").write_text(json.dumps(change(sealed(VALUE))))
    with pytest.raises(UserError, match=rf"a\.json is broken: .*{message}; make it again"):
        read_sealed_json(tmp_path / "a.json", "make it again", required=required)


def test_what_people_wrote_has_no_checksum():
    assert unsealed({"a": 1}, required=False) == {"a": 1}
    with pytest.raises(ValueError, match="does not match its checksum"):
        unsealed({"a": 1})


def test_arrays_there_and_back(tmp_path):
    arrays = {
        "numbers": np.arange(6, dtype=np.float32).reshape(2, 3).T,
        "nothing": np.zeros((0, 4), np.int8),
        "text": np.array("a text"),
        "records": np.zeros(2, [("a", "<i8"), ("b", "<u8", (2,))]),
    }
    save_arrays(tmp_path / "a.npz", **arrays)
    read = load_arrays(tmp_path / "a.npz")
    assert read.keys() == arrays.keys()
    for name, array in arrays.items():
        assert (read[name].dtype, read[name].shape) == (array.dtype, array.shape)
        assert read[name].tobytes() == array.tobytes()


@pytest.mark.parametrize(
    "change",
    [
        lambda arrays: arrays | {"numbers": arrays["numbers"] + 1},
        lambda arrays: arrays | {"numbers": arrays["numbers"].astype(np.int64)},
        lambda arrays: arrays | {"numbers": arrays["numbers"].reshape(2, 3)},
        lambda arrays: arrays | {"more": arrays["numbers"]},
        lambda arrays: {"other": arrays["numbers"], "checksum": arrays["checksum"]},
        lambda arrays: {"numbers": arrays["numbers"]},
        lambda arrays: {"numbers": arrays["numbers"], "checksum": np.zeros(2)},
    ],
)
def test_other_arrays_are_not_believed(tmp_path, change):
    save_arrays(tmp_path / "a.npz", numbers=np.arange(6.0))
    np.savez(tmp_path / "b.npz", **change(dict(np.load(tmp_path / "a.npz"))))
    with pytest.raises(ValueError, match=r"."):
        load_arrays(tmp_path / "b.npz")


@pytest.mark.parametrize("content", [None, b"", b"text", b"PK\x03\x04"])
def test_what_is_no_archive(tmp_path, content):
    if content is not None:
        (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(ValueError, match=r"."):
        load_arrays(tmp_path / "a.npz")


def test_a_compressed_archive_is_refused(tmp_path):
    """It may be small and say much."""
    np.savez_compressed(tmp_path / "a.npz", numbers=np.zeros(6), checksum=0)
    with pytest.raises(ValueError, match="it is compressed"):
        load_arrays(tmp_path / "a.npz")
