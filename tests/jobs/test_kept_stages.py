import dataclasses
import itertools
import json
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from senet_jax.jobs import kept_stages
from senet_jax.jobs.kept_stages import StageFolder
from senet_jax.rerank.method import DatabaseStage
from senet_jax.search.database import BlockedDatabase
from senet_jax.system.errors import UserError
from tests.rerank.retrievals import clustered

ROWS = np.random.default_rng(0).standard_normal((7, 3)).astype(np.float32)
ARRAYS = {"rows": ROWS, "empty": np.zeros((0, 2), np.int32), "ends": np.arange(5)}
PIECES = [
    {"rows": ROWS[:4], "empty": ARRAYS["empty"], "ends": ARRAYS["ends"][:1]},
    {"rows": ROWS[4:], "ends": ARRAYS["ends"][1:]},
]


class Stage:
    """A stage, and how often it was computed."""

    def __init__(self, descriptors=None, unranked=(), name="dba", settings=None, pieces=PIECES):
        self.computed = 0
        rows = clustered(30) if descriptors is None else descriptors
        database = BlockedDatabase((rows[:11], rows[11:]), unranked, block_rows=16)
        self.stage = DatabaseStage(name, settings or {"neighbours": 5}, database, self._pieces)
        self._given = pieces

    def _pieces(self):
        self.computed += 1
        yield from self._given


def _assert_is(arrays):
    assert {name: array.dtype for name, array in arrays.items()} == {
        name: array.dtype for name, array in ARRAYS.items()
    }
    for name, array in arrays.items():
        np.testing.assert_array_equal(array, ARRAYS[name])


def test_a_stage_is_computed_once(tmp_path):
    first, again = Stage(), Stage()
    folder = tmp_path / "rerank" / "prepared"
    _assert_is(StageFolder(folder)(first.stage))
    _assert_is(StageFolder(folder)(again.stage))
    assert (first.computed, again.computed) == (1, 0)
    [path] = folder.iterdir()
    assert sorted(file.name for file in path.iterdir()) == [
        *("empty.npy", "ends.npy", "rows.npy", "stage.json")
    ]
    np.testing.assert_array_equal(np.load(path / "rows.npy"), ROWS)


def test_what_was_not_used_for_long_makes_room(tmp_path):
    stages = [Stage(settings={"neighbours": count}) for count in range(3)]
    for age, each in enumerate(stages):
        StageFolder(tmp_path)(each.stage)
        for path in tmp_path.iterdir():
            os.utime(path, (path.stat().st_mtime - 10 * (3 - age),) * 2)
    StageFolder(tmp_path)(stages[0].stage)  # Now the second was not used for the longest time.
    size = sum(file.stat().st_size for file in next(tmp_path.iterdir()).iterdir())
    StageFolder(tmp_path, 3 * size + size // 2)(Stage(settings={"neighbours": 9}).stage)
    assert len(list(tmp_path.iterdir())) == 3
    for each in stages:
        StageFolder(tmp_path)(each.stage)
    assert [each.computed for each in stages] == [1, 2, 1]


def test_a_stage_in_use_stays_however_large(tmp_path):
    folder = StageFolder(tmp_path, limit_bytes=0)
    first, second = Stage(), Stage(settings={"neighbours": 1})
    for each in (first, second, first, second):
        _assert_is(folder(each.stage))
    assert first.computed == second.computed == 1


def test_the_cut_of_a_database_is_no_part_of_what_it_is(tmp_path):
    first, again = Stage(), Stage()
    whole = BlockedDatabase((clustered(30),))
    StageFolder(tmp_path)(first.stage)
    StageFolder(tmp_path)(dataclasses.replace(again.stage, database=whole))
    assert again.computed == 0


def _another_bit():
    rows = clustered(30)
    rows[29, 15] = np.nextafter(rows[29, 15], 1)
    return rows


@pytest.mark.parametrize(
    "other",
    [
        {"descriptors": _another_bit()},
        {"descriptors": clustered(30)[:-1]},
        {"unranked": (2,)},
        {"name": "graph"},
        {"settings": {"neighbours": 6}},
    ],
    ids=["bit", "row", "unranked", "name", "settings"],
)
def test_another_stage_is_another_one(tmp_path, other):
    first, second, again = Stage(), Stage(**other), Stage()
    for each in (first, second, again):
        _assert_is(StageFolder(tmp_path)(each.stage))
    assert (first.computed, second.computed, again.computed) == (1, 1, 0)
    assert len(list(tmp_path.iterdir())) == 2


def test_other_versions_make_another_stage(tmp_path, monkeypatch):
    first, again = Stage(), Stage()
    StageFolder(tmp_path)(first.stage)
    monkeypatch.setattr(kept_stages, "versions", lambda: {"jax": "1000"})
    StageFolder(tmp_path)(again.stage)
    assert again.computed == 1


def _flip(path):
    content = bytearray(path.read_bytes())
    content[len(content) * 3 // 4] ^= 1
    path.write_bytes(content)


def _truncate(path):
    path.write_bytes(path.read_bytes()[:-5])


def _other_origin(path):
    value = json.loads(path.read_text())
    value["origin"]["stage"] = "graph"
    del value["checksum"]
    kept_stages.write_sealed_json(path, value)


@pytest.mark.parametrize(
    ("damage", "file"),
    [
        (_other_origin, "stage.json"),
        *itertools.product(
            [_flip, _truncate, pathlib.Path.unlink], ["rows.npy", "ends.npy", "stage.json"]
        ),
    ],
)
def test_a_broken_file_is_made_again(tmp_path, capsys, damage, file):
    StageFolder(tmp_path)(Stage().stage)
    [path] = tmp_path.iterdir()
    damage(path / file)
    again, third = Stage(), Stage()
    _assert_is(StageFolder(tmp_path)(again.stage))
    assert again.computed == 1
    assert f"{path} is broken and is made anew: " in capsys.readouterr().out
    _assert_is(StageFolder(tmp_path)(third.stage))
    assert third.computed == 0


def test_what_was_interrupted_leaves_nothing_half_written(tmp_path):
    def interrupted():
        yield PIECES[0]
        raise KeyboardInterrupt

    whole = Stage(name="graph")
    StageFolder(tmp_path)(whole.stage)
    [kept] = tmp_path.iterdir()
    with pytest.raises(KeyboardInterrupt):
        StageFolder(tmp_path)(dataclasses.replace(Stage().stage, pieces=interrupted))
    assert list(tmp_path.iterdir()) == [kept]


_KILLED = """
import dataclasses, os, pathlib, signal, sys
from tests.jobs.test_kept_stages import PIECES, Stage, StageFolder
def pieces():
    yield PIECES[0]
    os.kill(os.getpid(), signal.SIGKILL)
StageFolder(sys.argv[1])(Stage(name="graph").stage)
StageFolder(sys.argv[1])(dataclasses.replace(Stage().stage, pieces=pieces))
"""


def test_what_was_killed_is_cleared_away_and_what_was_whole_stays(tmp_path):
    done = subprocess.run([sys.executable, "-c", _KILLED, tmp_path], capture_output=True)
    assert done.returncode == -9
    left = sorted(path.name for path in tmp_path.iterdir())
    assert [name[:5] for name in left] == [".dba-", "graph"]
    finished, killed = Stage(name="graph"), Stage()
    for each in (finished, killed):
        _assert_is(StageFolder(tmp_path)(each.stage))
    assert (finished.computed, killed.computed) == (0, 1)
    assert sorted(path.name[:5] for path in tmp_path.iterdir()) == ["dba-" + left[0][5], "graph"]


def test_what_another_process_is_writing_is_left_alone(tmp_path):
    inner = Stage()

    def meanwhile():
        _assert_is(StageFolder(tmp_path)(inner.stage))
        yield from PIECES

    outer = Stage()
    _assert_is(StageFolder(tmp_path)(dataclasses.replace(outer.stage, pieces=meanwhile)))
    assert inner.computed == 1
    assert len(list(tmp_path.iterdir())) == 1


def test_a_place_that_cannot_be_written_is_found_out_before_the_work(tmp_path):
    (tmp_path / "file").write_text("")
    stage = Stage()
    with pytest.raises(UserError, match=r"cannot write .*; choose a place that can be written"):
        StageFolder(tmp_path / "file" / "prepared")(stage.stage)
    assert stage.computed == 0
