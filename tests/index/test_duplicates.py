"""Groups of photographs that are nearly the same."""

import shutil

import numpy as np
import pytest

from senet_jax.duplicates import main
from senet_jax.index import duplicates
from senet_jax.index.duplicates import Components, groups, similar_rows
from senet_jax.index.store import open_index
from senet_jax.search.database import BlockedDatabase
from tests.data.pictures import encoded


def _naive(count, edges):
    labels = list(range(count))
    for _ in range(count):
        for one, other in edges:
            labels[one] = labels[other] = min(labels[one], labels[other])
    return labels


@pytest.mark.parametrize("seed", range(20))
def test_components_of_edges_that_come_in_pieces(seed):
    rng = np.random.default_rng(seed)
    count = int(rng.integers(1, 40))
    edges = rng.integers(0, count, (int(rng.integers(0, 40)), 2))
    components = Components(count)
    for piece in np.array_split(edges, 4):
        components.join(piece[:, 0], piece[:, 1])
    assert components.labels.tolist() == _naive(count, edges.tolist())


def test_a_long_chain_is_one_component():
    count = 5000
    chain = np.random.default_rng(0).permutation(count)
    components = Components(count)
    components.join(chain[:-1], chain[1:])
    assert not components.labels.any()


@pytest.mark.parametrize(("query_rows", "block_rows"), [(1024, 8192), (4, 16), (16, 4), (7, 10)])
@pytest.mark.parametrize("threshold", [-1, 0.3, 0.5, 0.7, 1])
def test_rows_are_those_of_all_pairs(monkeypatch, query_rows, block_rows, threshold):
    monkeypatch.setattr(duplicates, "QUERY_ROWS", query_rows)
    rows = np.random.default_rng(1).normal(size=(60, 6)).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    gone = {3, 17, 59}
    database = BlockedDatabase((rows,), gone, block_rows=block_rows)
    is_edge = rows @ rows.T >= threshold
    edges = [(i, j) for i, j in np.argwhere(is_edge) if not {int(i), int(j)} & gone]
    done = []
    labels = similar_rows(database, threshold, done.append)
    assert labels.tolist() == _naive(60, edges) and sum(done) == 60


def _flat(colour, quality):
    image = np.full((30, 40, 3), colour, np.uint8)
    image[::5, ::3] = quality
    return encoded(image, ".png")


@pytest.fixture
def pairs(world):
    """Two colours, several times each, a copy, and one by itself."""
    colours = {"a": (200, 10, 10), "b": (10, 200, 10), "c": (10, 10, 200)}
    for name, quality in (("a1", 5), ("a2", 6), ("a3", 7), ("b1", 5), ("c1", 5)):
        (world.photos / f"{name}.png").write_bytes(_flat(colours[name[0]], quality))
    shutil.copy(world.photos / "b1.png", world.photos / "copy.png")
    world.update()
    return world


def test_groups_are_of_photographs(pairs):
    def names(threshold):
        found = groups(open_index(pairs.index), threshold)
        for group in found:
            assert group[0][1] == pytest.approx(1)
            assert all(score >= threshold for _, score in group)
        prefix = f"{pairs.photos}/"
        return [[path.removeprefix(prefix) for path, _ in group] for group in found]

    near = [["a1.png", "a2.png", "a3.png"], ["b1.png", "copy.png"]]
    assert names(0.95) == near
    assert names(-1) == [["a1.png", "a2.png", "a3.png", "b1.png", "c1.png", "copy.png"]]
    (pairs.photos / "a2.png").unlink()
    (pairs.photos / "copy.png").unlink()
    pairs.update()
    assert names(0.95) == [["a1.png", "a3.png"]]


def test_the_command(pairs, run_command_here):
    done = run_command_here(main, pairs.index)
    assert (done.returncode, done.stderr) == (0, "")
    lines = done.stdout.splitlines()
    assert lines[0] == "3 photographs, with their similarity to the first"
    assert lines[1] == f"  1.0000  {pairs.photos / 'a1.png'}"
    assert lines[4:] == [
        "2 photographs, with their similarity to the first",
        f"  1.0000  {pairs.photos / 'b1.png'}",
        f"  1.0000  {pairs.photos / 'copy.png'}",
        "2 groups, with 5 of 6 photographs",
    ]


@pytest.mark.parametrize("threshold", ["1.5", "nan", "-2"])
def test_a_threshold_is_a_cosine(pairs, run_command_here, threshold):
    done = run_command_here(main, pairs.index, f"--threshold={threshold}")
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert "is no cosine; give one from -1 to 1" in done.stderr
