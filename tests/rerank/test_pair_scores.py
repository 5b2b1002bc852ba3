import dataclasses
import os

import cv2
import numpy as np
import pytest
import torch

from senet_jax.data.revisitop import Photograph
from senet_jax.data.transforms import UnreadableImage
from senet_jax.features.cache import FeatureCache
from senet_jax.rerank import pair_scores as pair_scores_module
from senet_jax.rerank.pair_scores import (
    MAP_MULTIPLE,
    PROGRAM_POSITIONS,
    PairScores,
    map_cache,
    pair_shapes,
)
from senet_jax.rerank.pairs import PairCount
from tests.data.pictures import encoded, picture
from tests.oracles import pyramid
from tests.oracles.cvnet_twin import (
    TRUNK,
    lively_cvnet_weights,
    scores_of_twin,
    stage3_of_twin,
)
from tests.oracles.lively_twin import lively_twin
from tests.tolerances import TIMES_THE_TWIN

SIZES = [(40, 56), (37, 61), (5, 9), (64, 48)]
BOX = (3, 2, 50, 39)
PAIRS = np.array([(query, item) for query in range(2) for item in range(4)])


@pytest.fixture(scope="module")
def runner(tmp_path_factory):
    return map_cache(lively_cvnet_weights(), tmp_path_factory.mktemp("maps"), 0).runner


@pytest.fixture
def photographs(tmp_path):
    """Queries and database: the queries are the first two images, the second cut to a box."""
    for seed, size in enumerate(SIZES):
        (tmp_path / f"{seed}.png").write_bytes(encoded(picture(*size, seed=seed), ".png"))
    images = [Photograph(tmp_path, f"{seed}.png") for seed in range(len(SIZES))]
    return [images[0], Photograph(tmp_path, "1.png", box=BOX)], images


def _scorer(runner, tmp_path, photographs, limit_bytes=10**9, count=None, origin="a network"):
    cache = FeatureCache(runner, {"of": origin}, tmp_path / "maps", limit_bytes)
    return PairScores(cache, *photographs, count or PairCount())


def _stage3(photograph, dtype):
    pixels = cv2.imread(str(photograph.path))
    if photograph.box:
        x1, y1, x2, y2 = photograph.box
        pixels = pixels[y1:y2, x1:x2]
    pixels = torch.from_numpy(pixels.copy()).to(dtype) / 255
    mean, std = (torch.tensor(v, dtype=dtype) for v in (pyramid.MEAN, pyramid.STD))
    twin = lively_twin(TRUNK)
    try:
        with torch.no_grad():
            maps = stage3_of_twin(twin.to(dtype), ((pixels - mean) / std).permute(2, 0, 1)[None])
    finally:
        twin.float()
    return maps[0].permute(1, 2, 0).numpy()


def _scores_of_twin(photographs, dtype):
    queries, images = ([_stage3(p, dtype) for p in part] for part in photographs)
    return scores_of_twin([queries[q] for q, _ in PAIRS], [images[i] for _, i in PAIRS], dtype)


def test_scores_from_photographs_are_as_near_to_float64_as_the_twins(
    runner, tmp_path, photographs, capsys
):
    ours = _scorer(runner, tmp_path, photographs)(PAIRS)
    theirs, exact = (
        _scores_of_twin(photographs, dtype) for dtype in (torch.float32, torch.float64)
    )
    assert ours.dtype == np.float32 and np.ptp(exact) > 0.1
    assert np.linalg.norm(ours - exact) <= TIMES_THE_TWIN * np.linalg.norm(theirs - exact)
    printed = capsys.readouterr().out
    assert "cvnet: 8 pairs in 1 programs\n" in printed
    assert "cvnet, maps: 5 of 5 images to compute; all take 0.00 GiB" in printed


def test_one_by_one_is_as_near(runner, tmp_path, photographs):
    chosen = np.flatnonzero(PAIRS[:, 0] == 1)  # Each takes programs of its own.
    alone = [
        _scorer(runner, tmp_path / str(index), photographs)(PAIRS[index : index + 1])[0]
        for index in chosen
    ]
    theirs, exact = (
        _scores_of_twin(photographs, dtype)[chosen] for dtype in (torch.float32, torch.float64)
    )
    assert np.linalg.norm(alone - exact) <= TIMES_THE_TWIN * np.linalg.norm(theirs - exact)


def _scores_in(path):
    """What the lines of a journal say, but for the time that it took."""
    return sorted(line.rsplit(",", 2)[0] for line in path.read_text().splitlines())


def _never(*_):
    raise AssertionError("computed again")


def test_no_pair_is_scored_twice(runner, tmp_path, photographs, monkeypatch):
    first = _scorer(runner, tmp_path, photographs)(PAIRS[:5])
    count = PairCount()
    twice = _scorer(runner, tmp_path, photographs, count=count)(
        np.concatenate([PAIRS[::-1], PAIRS])
    )
    assert count == PairCount(compared=16, computed=3)
    np.testing.assert_array_equal(twice[8:13], first)
    np.testing.assert_array_equal(twice[:8], twice[:7:-1])
    monkeypatch.setattr(pair_scores_module, "_scores", _never)
    np.testing.assert_array_equal(_scorer(runner, tmp_path, photographs)(PAIRS), twice[8:])


@pytest.mark.parametrize("lines", range(8))
def test_what_was_ended_has_the_same_scores(runner, tmp_path, photographs, lines):
    """To the bit, wherever it was ended, be it in the middle of a line."""
    scores = _scorer(runner, tmp_path, photographs)(PAIRS)
    [journal] = (tmp_path / "maps").glob("scores-*.csv")
    content, known = journal.read_text().splitlines(keepends=True), _scores_in(journal)
    journal.write_text("".join(content[:lines]) + content[lines][:-3])
    np.testing.assert_array_equal(_scorer(runner, tmp_path, photographs)(PAIRS), scores)
    assert _scores_in(journal) == known


def test_what_is_known_from_before_is_compared_but_not_computed(runner, tmp_path, photographs):
    count = PairCount()
    _scorer(runner, tmp_path, photographs, count=count)(PAIRS[:3])
    assert (count.compared, count.computed) == (3, 3)
    _scorer(runner, tmp_path, photographs, count=count)(PAIRS[:4])
    assert (count.compared, count.computed) == (7, 4)


CHANGES = {
    # It is an item too.
    "the query's file": (5, lambda folder, p: _exchange(folder / "0.png")),
    "an item's file": (2, lambda folder, p: _exchange(folder / "2.png")),
    "the query's box": (4, lambda folder, p: p[0].__setitem__(1, _boxed(p[0][1], (3, 2, 50, 38)))),
    "a touched file": (0, lambda folder, p: os.utime(folder / "2.png", (1, 1))),
    "the order": (0, lambda folder, p: p[1].reverse()),
}


def _exchange(path):
    """With a file of the same size and time."""
    status = path.stat()
    content = encoded(picture(40, 56, seed=9), ".jpg")
    path.write_bytes(content.ljust(status.st_size, b"\0"))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert path.stat().st_size == status.st_size or len(content) > status.st_size


def _boxed(photograph, box):
    return dataclasses.replace(photograph, box=box)


@pytest.mark.parametrize("change", CHANGES)
def test_scores_of_a_changed_photograph_are_computed_again(runner, tmp_path, photographs, change):
    computed, apply = CHANGES[change]
    photographs = [list(part) for part in photographs]
    _scorer(runner, tmp_path, photographs)(PAIRS)
    apply(tmp_path, photographs)
    count = PairCount()
    scores = _scorer(runner, tmp_path, photographs, count=count)(PAIRS)
    assert count.computed == computed
    expected = _scorer(runner, tmp_path / "anew", photographs)(PAIRS)
    # Other pairs share a program.
    np.testing.assert_allclose(scores, expected, atol=1e-4)


def test_other_maps_have_other_scores(runner, tmp_path, photographs):
    count = PairCount()
    scores = _scorer(runner, tmp_path, photographs, count=count)(PAIRS[:2])
    others = _scorer(runner, tmp_path, photographs, count=count, origin="another")(PAIRS[:2])
    assert count.computed == 4
    np.testing.assert_array_equal(others, scores)


def test_a_cache_without_room_says_so(runner, tmp_path, photographs, capsys):
    small = _scorer(runner, tmp_path / "small", photographs, limit_bytes=0)(PAIRS[:3])
    assert "holds 0.00: SOME WILL BE COMPUTED MORE THAN ONCE" in capsys.readouterr().out
    np.testing.assert_array_equal(small, _scorer(runner, tmp_path, photographs)(PAIRS[:3]))


@pytest.mark.parametrize("content", ["", "a,b\n", "a,b,c\n", "\x80\n", "\n,\n"])
def test_broken_lines_of_the_journal_are_scored_anew(
    runner, tmp_path, photographs, content, capsys
):
    scores = _scorer(runner, tmp_path, photographs)(PAIRS)
    [journal] = (tmp_path / "maps").glob("scores-*.csv")
    lines, known = journal.read_bytes().splitlines(keepends=True), _scores_in(journal)
    journal.write_bytes(content.encode("latin-1") + b"".join(lines[:5]) + lines[5][3:])
    count = PairCount()
    again = _scorer(runner, tmp_path, photographs, count=count)(PAIRS)
    np.testing.assert_array_equal(again, scores)
    assert count.computed == len(PAIRS) - 5
    assert "lines are broken" in capsys.readouterr().out
    assert _scores_in(journal) == known


def test_no_pair_needs_nothing(runner, tmp_path, photographs):
    assert _scorer(runner, tmp_path, photographs)(np.zeros((0, 2), int)).shape == (0,)


def test_an_unreadable_photograph_is_named(runner, tmp_path, photographs):
    (tmp_path / "3.png").write_text("text")
    with pytest.raises(UnreadableImage, match=r"3\.png: its 4 bytes are no image"):
        _scorer(runner, tmp_path, photographs)(PAIRS)


def test_batches_are_as_full_as_they_can_be():
    shape = 8, 8, 16, 16  # 16 of them at once.
    assert [pair_scores_module._capacity(count, shape) for count in (1, 16, 17, 33)] == [
        *(1, 16, 9, 11)
    ]
    assert pair_scores_module._capacity(5, (64, 64, 64, 64)) == 1


@pytest.mark.parametrize("repeats", [1, 20, 100])
def test_few_shapes_hold_all_maps(repeats):
    sizes = np.random.default_rng(0).integers(1, 65, (500, 4)).repeat(repeats, axis=0)
    shapes, apart = pair_shapes(sizes), -(-sizes // MAP_MULTIPLE) * MAP_MULTIPLE
    assert (shapes >= sizes).all() and (shapes % MAP_MULTIPLE == 0).all()

    def cost(shapes):
        programs = len(np.unique(shapes, axis=0))
        return shapes.prod(axis=1).sum() + programs * PROGRAM_POSITIONS

    assert cost(shapes) < cost(apart)


def test_shapes_of_which_there_are_few_stay():
    np.testing.assert_array_equal(pair_shapes(np.full((9, 4), 16)), np.full((9, 4), 16))
    assert pair_shapes(np.array([[48, 64, 64, 48]] * 300 + [[8, 8, 48, 64]] * 300)).tolist() == [
        *([[48, 64, 64, 48]] * 300 + [[8, 8, 48, 64]] * 300)
    ]
