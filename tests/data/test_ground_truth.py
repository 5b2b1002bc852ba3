import json
import pickle
import sys

import numpy as np
import pytest

from senet_jax.data.ground_truth import GroundTruth, load_ground_truth
from senet_jax.errors import UserError

VALUE = {
    "imlist": ["a", "b", "c", "d"],
    "qimlist": ["q", "r"],
    "gnd": [
        {"bbx": [0, 0, 10.5, 10], "easy": [3, 1], "hard": [], "junk": [0]},
        {"bbx": [1, 2, 3, 4], "easy": [], "hard": [2], "junk": []},
    ],
}


def _changed(**changes):
    return {**VALUE, **changes}


def _entry(**changes):
    return _changed(gnd=[{**VALUE["gnd"][0], **changes}, VALUE["gnd"][1]])


def _with_arrays():
    entries = [
        {k: np.asarray(v, float if k == "bbx" else np.int32) for k, v in entry.items()}
        for entry in VALUE["gnd"]
    ]
    return _changed(gnd=entries)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("value", [VALUE, _with_arrays()], ids=["lists", "arrays"])
def test_pickle_of_every_protocol(tmp_path, protocol, value):
    path = tmp_path / "gnd_x.pkl"
    path.write_bytes(pickle.dumps(value, protocol))
    _assert_is_value(load_ground_truth(path))


def test_json(tmp_path):
    path = tmp_path / "gnd_x.json"
    path.write_text(json.dumps(VALUE))
    _assert_is_value(load_ground_truth(path))


def _assert_is_value(truth):
    assert truth.image_names == ("a", "b", "c", "d")
    assert truth.query_names == ("q", "r")
    assert [x.tolist() for x in truth.easy] == [[1, 3], []]
    assert [x.tolist() for x in truth.hard] == [[], [2]]
    assert [x.tolist() for x in truth.junk] == [[0], []]
    assert truth.boxes.tolist() == [[0, 0, 10.5, 10], [1, 2, 3, 4]]


def test_boxes_may_be_missing(tmp_path):
    entries = [{k: v for k, v in e.items() if k != "bbx"} for e in VALUE["gnd"]]
    path = tmp_path / "gnd_x.json"
    path.write_text(json.dumps(_changed(gnd=entries)))
    assert load_ground_truth(path).boxes is None


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ([1], "no imlist, qimlist, gnd"),
        ({"imlist": []}, "no qimlist, gnd"),
        (_changed(gnd=VALUE["gnd"][:1]), "one entry for each of 2"),
        (_changed(imlist=["a", "b", "c", "a"]), "'a' more than once"),
        (_changed(imlist=["a", "b", "c", 4]), "holds 4"),
        (_changed(imlist=["a", "b", "c", ""]), "empty name"),
        (_entry(easy=[4]), "the item 4, but imlist has 4"),
        (_entry(easy=[-1]), "the item -1"),
        (_entry(easy=[1, 1]), "the item 1 more than once"),
        (_entry(hard=[1]), "the item 1 more than once"),
        (_entry(easy=[1.5]), "not a list of integers"),
        (_entry(easy=[[1], [2, 3]]), "not a list of integers"),
        (_entry(bbx=[1, 2, 3]), "four numbers"),
        (_entry(bbx=[1, 2, 3, float("nan")]), "four finite numbers"),
        (_entry(bbx="box"), "four numbers"),
        (_changed(gnd=[{"easy": [], "hard": []}, VALUE["gnd"][1]]), "query 0 has no junk"),
    ],
)
def test_wrong_content_is_one_line(tmp_path, value, message):
    path = tmp_path / "gnd_x.pkl"
    path.write_bytes(pickle.dumps(value))
    with pytest.raises(UserError, match=message) as caught:
        load_ground_truth(path)
    assert str(path) in str(caught.value)


class _Hostile:
    def __reduce__(self):
        return (open, (self.marker, "w"))


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_hostile_pickle_runs_nothing(tmp_path, protocol):
    marker = tmp_path / "ran"
    _Hostile.marker = str(marker)
    path = tmp_path / "gnd_x.pkl"
    path.write_bytes(pickle.dumps(_changed(imlist=_Hostile()), protocol))
    with pytest.raises(UserError, match="not plain data"):
        load_ground_truth(path)
    assert not marker.exists()


def test_dotted_names_do_not_reach_further(tmp_path):
    path = tmp_path / "gnd_x.pkl"
    path.write_bytes(b"\x80\x04\x8c\x05numpy\x8c\x11ndarray.__class__\x93.")
    with pytest.raises(UserError, match="not plain data"):
        load_ground_truth(path)


@pytest.mark.parametrize("content", [b"", b"no pickle", pickle.dumps(VALUE)[:-20]])
def test_broken_file(tmp_path, content):
    path = tmp_path / "gnd_x.pkl"
    path.write_bytes(content)
    with pytest.raises(UserError, match="cannot be read as ground truth"):
        load_ground_truth(path)


def test_missing_file(tmp_path):
    with pytest.raises(UserError, match="No such file"):
        load_ground_truth(tmp_path / "gnd_x.pkl")


def test_lists_of_unequal_length():
    none = (np.zeros(0, np.int64),)
    with pytest.raises(UserError, match="0 lists of hard items for 1 queries"):
        GroundTruth(("a",), ("q",), none, (), none)


def test_deep_nesting_is_no_crash(tmp_path):
    path = tmp_path / "gnd_x.json"
    depth = sys.getrecursionlimit() * 50
    path.write_text("[" * depth + "]" * depth)
    with pytest.raises(UserError):
        load_ground_truth(path)
