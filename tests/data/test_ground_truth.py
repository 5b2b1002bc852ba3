import json
import os
import pickle
import sys

import numpy as np
import pytest

from senet_jax.data.ground_truth import GroundTruth, load_ground_truth
from senet_jax.system.errors import UserError

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


def test_look_alikes_are_read_where_every_query_has_them(tmp_path):
    entries = [{**entry, "lookalikes": [2, 0]} for entry in VALUE["gnd"]]
    path = tmp_path / "gnd_x.json"
    path.write_text(json.dumps(_changed(gnd=entries)))
    truth = load_ground_truth(path)
    _assert_is_value(truth)
    assert [x.tolist() for x in truth.lookalikes] == [[0, 2], [0, 2]]
    for wrong, message in (
        ([VALUE["gnd"][0], entries[1]], "query 0 has no lookalikes, others have"),
        ([entries[0], entries[1] | {"lookalikes": [4]}], "lists the item 4"),
    ):
        path.write_text(json.dumps(_changed(gnd=wrong)))
        with pytest.raises(UserError, match=message):
            load_ground_truth(path)


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
        (_changed(imlist=["a", "b", "c", "d" * 5_000]), "holds 'ddd"),
        (_changed(imlist=["a", "b", "c", "\ud800"]), r"holds '\\ud800"),
        (_changed(imlist=None), "imlist is not a list of names, but None"),
        (_changed(qimlist="qr"), "qimlist is not a list of names, but 'qr'"),
        (_changed(qimlist=2**64), "qimlist is not a list of names, but 18446744073709551616"),
        (_changed(gnd=-1), "one entry for each of 2"),
        (_changed(imlist=["a", "b", "c", ""]), "empty name"),
        (_entry(easy=[4]), "the item 4, but imlist has 4"),
        (_entry(easy=[-1]), "the item -1"),
        (_entry(easy=[1, 1]), "the item 1 more than once"),
        (_entry(hard=[1]), "the item 1 more than once"),
        (_entry(easy=[1.5]), "not a list of integers"),
        (_entry(easy=[True]), "not a list of integers"),
        (_entry(easy=3), "not a list of integers: 3"),
        (_entry(easy=[2**63]), "the item 9223372036854775808, which is no index"),
        (_entry(easy=[-(2**70)]), "the item -1180591620717411303424, which is no index"),
        (_entry(easy=[[1], [2, 3]]), "not a list of integers"),
        (_entry(bbx=[1, 2, 3]), "four numbers"),
        (_entry(bbx=[1, 2, 3, float("nan")]), "four finite numbers"),
        (_entry(bbx="box"), "four numbers"),
        (_entry(bbx=[1, 2, 3, None]), "four numbers"),
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


@pytest.mark.parametrize("value", ["Infinity", "NaN", "1e999", "1" * 5_000, str(2**64)])
@pytest.mark.parametrize("key", ["imlist", "qimlist", "gnd"])
def test_numbers_that_json_does_not_have(tmp_path, key, value):
    path = tmp_path / "gnd_x.json"
    path.write_text(json.dumps(_changed(**{key: ["HERE"]})).replace('"HERE"', value))
    with pytest.raises(UserError, match="cannot be read as ground truth"):
        load_ground_truth(path)


def test_control_characters_are_escaped(tmp_path):
    path = tmp_path / "gnd_x.json"
    path.write_text(json.dumps(_changed(qimlist=["q\x1b]0;title\x07", "r"], imlist=["a"])))
    with pytest.raises(UserError) as raised:
        load_ground_truth(path)
    assert str(raised.value).isprintable() and r"q\x1b]0;title\x07" in str(raised.value)


def test_an_entry_that_is_there_many_times_is_counted(tmp_path):
    """Each of the lists has a few kilobytes in the file, all together would have gigabytes."""
    path = tmp_path / "gnd_x.pkl"
    entry = {**VALUE["gnd"][0], "junk": list(range(20_000))}
    path.write_bytes(pickle.dumps(_changed(qimlist=["q"] * 20_000, gnd=[entry] * 20_000)))
    assert path.stat().st_size < 200_000
    with pytest.raises(UserError, match=r"gnd lists 400,\S* items; more than"):
        load_ground_truth(path)


def test_only_a_regular_file_is_read(tmp_path):
    os.mkfifo(tmp_path / "gnd_x.pkl")
    with pytest.raises(UserError, match="it is no regular file; check the path"):
        load_ground_truth(tmp_path / "gnd_x.pkl")


def test_deep_nesting_is_no_crash(tmp_path):
    path = tmp_path / "gnd_x.json"
    depth = sys.getrecursionlimit() * 50
    path.write_text("[" * depth + "]" * depth)
    with pytest.raises(UserError):
        load_ground_truth(path)


def test_the_number_of_queries_is_bounded(tmp_path):
    path = tmp_path / "gnd_x.pkl"
    path.write_bytes(pickle.dumps(_changed(qimlist=["q"] * (2**18 + 1))))
    with pytest.raises(UserError, match="qimlist has 262,145 names"):
        load_ground_truth(path)
