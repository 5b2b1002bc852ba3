"""What is found in an index, in which order."""

import json
import shutil

import numpy as np
import pytest

from senet_jax.index import searcher as searcher_module
from senet_jax.index.find import find
from senet_jax.index.store import as_line, open_index
from senet_jax.search.__main__ import main as search_main
from senet_jax.search.database import as_float32
from senet_jax.system.errors import UserError
from tests.data.pictures import encoded, picture
from tests.index.conftest import Colours


@pytest.mark.parametrize("storage", ["float32", "int8"])
@pytest.mark.parametrize("top", [1, 7, 20, 1000])
def test_the_most_similar_come_first(town, queries, top, storage):
    town.update(storage=storage)
    index = open_index(town.index)
    scores = queries @ as_float32(index.contents.descriptors).T
    for hits, of_query in zip(find(index, queries, top), scores, strict=True):
        order = np.argsort(-of_query, kind="stable")[:top]
        assert [hit.path for hit in hits] == [index.paths_of_row[row][0] for row in order]
        np.testing.assert_allclose([hit.score for hit in hits], of_query[order], rtol=1e-6)


def test_what_is_gone_is_not_found_and_copies_are(town, queries):
    town.update()
    for number in (3, 6):
        (town.photos / f"0/{number}.jpg").unlink()
    shutil.copy(town.photos / "1/1.jpg", town.photos / "copy of 1.jpg")
    town.update()
    index = open_index(town.index)
    assert len(index.database.unranked) == 2
    for hits in find(index, queries, 1000):
        paths = [hit.path for hit in hits]
        assert sorted(paths) == [str(town.photos / name) for name in index.listing.names]
        first, second = (paths.index(str(town.photos / n)) for n in ("1/1.jpg", "copy of 1.jpg"))
        assert second == first + 1 and hits[first].score == hits[second].score
    assert all(len(hits) == 1 for hits in find(index, queries, 1))


@pytest.fixture
def run(town, run_command_here, monkeypatch, capsys):
    """The command on an index of the town."""
    town.update()
    capsys.readouterr()
    monkeypatch.setattr(searcher_module.Describer, "of", lambda weights: Colours())
    return lambda *arguments: run_command_here(search_main, town.index, *arguments)


def test_the_json_is_the_contract(town, run, tmp_path):
    query = tmp_path / 'from "elsewhere"\n.png'
    query.write_bytes((town.photos / "2/5.jpg").read_bytes())
    other = town.photos / "0/0.jpg"
    out = tmp_path / "found.json"
    done = run(query, other, "--box=1,2,30,20", "--box=0,0,40,30", "--top=3", f"--json={out}")
    assert (done.returncode, done.stderr) == (0, "")
    first, second = json.loads(out.read_text())
    assert (first["query"], second["query"]) == (str(query), str(other))
    assert (first["box"], second["box"]) == ([1, 2, 30, 20], [0, 0, 40, 30])
    assert second["results"][0]["path"] == str(other)
    assert second["results"][0]["score"] == pytest.approx(1)
    for entry in (first, second):
        assert [result["rank"] for result in entry["results"]] == [1, 2, 3]
        assert all(set(result) == {"rank", "path", "score"} for result in entry["results"])
        scores = [result["score"] for result in entry["results"]]
        assert scores == sorted(scores, reverse=True)
    lines = done.stdout.splitlines()
    assert len(lines) == 8
    assert lines[0] == f"{str(query)!r} [1.0, 2.0, 30.0, 20.0]"
    assert lines[5] == f"    1  {second['results'][0]['score']:.4f}  {other}"


def test_without_a_box_and_with_one_for_all(run, town, tmp_path):
    paths = [town.photos / "0/0.jpg", town.photos / "1/1.jpg"]
    out = tmp_path / "found.json"
    for flags, boxes in (((), [None, None]), (("--box=0,0,9,9",), [[0, 0, 9, 9]] * 2)):
        assert run(*paths, *flags, f"--json={out}").returncode == 0
        assert [entry["box"] for entry in json.loads(out.read_text())] == boxes
        assert all(len(entry["results"]) == 10 for entry in json.loads(out.read_text()))


def test_a_box_is_what_is_described(run, town, tmp_path):
    """The part of one photograph that is another one."""
    both = np.zeros((100, 150, 3), np.uint8)
    both[20:50, 60:100] = picture(30, 40, seed=4)
    path, out = tmp_path / "both.png", tmp_path / "found.json"
    path.write_bytes(encoded(both, ".png"))
    assert run(path, "--box=60,20,100,50", f"--json={out}").returncode == 0
    best = json.loads(out.read_text())[0]["results"][0]
    assert best["path"] == str(town.photos / "1/4.jpg") and best["score"] > 0.999


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["0/0.jpg", "--box=1,2,3"], "argument --box: '1,2,3' is not x1,y1,x2,y2"),
        (["0/0.jpg", "--box=a,b,c,d"], "argument --box: 'a,b,c,d' is not x1,y1,x2,y2"),
        (["0/0.jpg", "--box=nan,0,3,3"], "argument --box: 'nan,0,3,3' is not x1,y1,x2,y2"),
        (["0/0.jpg", "--box=900,0,990,9"], "0.jpg: the box [900.0, 0.0, 990.0, 9.0] is outside"),
        (
            ["0/0.jpg", "1/1.jpg", "2/2.jpg", "--box=0,0,9,9", "--box=0,0,9,9"],
            "there are 2 boxes for 3 queries; give one, or one each",
        ),
        (["0/0.jpg", "--top=0"], "the 0 best items of a query are none"),
        (["nowhere.jpg"], "nowhere.jpg: No such file or directory"),
        (["0"], "Is a directory"),
    ],
)
def test_mistakes_are_one_line(run, town, arguments, message):
    arguments = [a if a[0] == "-" else town.photos / a for a in arguments]
    done = run(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr and done.stderr.count("\n") == 1


def test_an_index_that_is_none(tmp_path, weights, run_command_here):
    done = run_command_here(search_main, tmp_path / "nowhere", tmp_path / "a.jpg")
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: no index in {tmp_path / 'nowhere'}; run senet-jax index")
    assert not (tmp_path / "nowhere").exists()


def test_weights_that_are_gone_or_exchanged(run, town, tmp_path, weights):
    moved = tmp_path / "moved"
    shutil.copytree(weights, moved)
    town.update(weights=moved)
    shutil.rmtree(moved)
    done = run(town.photos / "0/0.jpg")
    assert done.returncode == 2 and f"no weights folder at {moved}" in done.stderr
    assert f"index {town.photos} {town.index} --weights=THEIR_FOLDER" in done.stderr


def test_queries_of_another_width(town):
    town.update()
    with pytest.raises(UserError, match="has 3 columns, the database 128"):
        find(open_index(town.index), np.zeros((1, 3), np.float32), 5)


def test_a_path_is_printed_on_one_line():
    assert as_line("/a/b c 写真.jpg") == "/a/b c 写真.jpg"
    assert as_line("/a/b\n\x1b.jpg") == r"'/a/b\n\x1b.jpg'"
    assert as_line("/a/\udcff.jpg") == r"'/a/\udcff.jpg'"
