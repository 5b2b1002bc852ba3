import dataclasses
import json

import cv2
import numpy as np
import pytest

from senet_jax.data.ground_truth import GroundTruth
from senet_jax.data.revisitop import load_dataset
from senet_jax.data.synthetic_landmarks import TINY, write_evaluation
from senet_jax.metrics.evaluation_report import EvaluationReport
from senet_jax.report.examples import (
    ScoredLists,
    average_precisions,
    find_examples,
    judge,
    query_at_percentile,
)
from senet_jax.search.ranked_list import NO_MORE, FoundLists, RankedList
from senet_jax.system.errors import UserError

IMAGES = 14
VERDICTS = ("right", "look-alike", "wrong", "junk")
GREYS = {f"image{i}": 10 * i for i in range(IMAGES)} | {"bright": 250, "dark": 5, "none": 0}


@pytest.fixture
def town(tmp_path):
    """Grey images, from dark to bright, and three queries: 13, 12 and 11 are right, 0 is junk."""
    folder = tmp_path / "town" / "jpg"
    folder.mkdir(parents=True)
    for name, grey in GREYS.items():
        cv2.imwrite(str(folder / f"{name}.jpg"), np.full((16, 16, 3), grey, np.uint8))
    entry = {"bbx": [0, 0, 8, 16], "easy": [13], "hard": [12, 11], "junk": [0]}
    truth = {
        "imlist": list(GREYS)[:IMAGES],
        "qimlist": list(GREYS)[IMAGES:],
        "gnd": [entry, entry, entry | {"easy": [], "hard": []}],
    }
    (tmp_path / "town" / "gnd_town.json").write_text(json.dumps(truth))
    return load_dataset(tmp_path, "town")


def _lists(label, average_precisions, ranks):
    """The same list for every query."""
    ranked = RankedList(np.array([ranks] * len(average_precisions)), IMAGES)
    similarities = np.linspace(1, 0, ranked.ranks.size, dtype=np.float32)
    found = FoundLists(ranked, similarities.reshape(ranked.ranks.shape))
    return ScoredLists(label, np.array(average_precisions), found)


DOWN, UP = list(range(13, -1, -1)), list(range(IMAGES))


def test_what_was_found_for_the_chosen_queries(town):
    lists = [_lists("one", [0.9, 0.2, np.nan], DOWN), _lists("other", [0.1, 0.3, np.nan], UP)]
    examples = find_examples(town, town.queries, town.images, lists)
    hard, easy = (example.caption for example in examples)  # The hard one is the middle one too.
    assert hard.startswith("A hard query: ") and hard.endswith(" (dark)")
    assert easy.startswith("An easy query: ") and easy.endswith(" (bright)")
    for example, query in zip(examples, (1, 0), strict=True):
        assert example.box == (0, 0, 8, 16)
        assert example.image.mean() == pytest.approx([250, 5][query], abs=1)
        assert list(example.rows) == ["one", "other"]
        for each in lists:
            found = example.rows[each.label]
            assert found.average_precision == each.average_precisions[query]
            assert list(found.similarities) == each.found.similarities[query, :10].tolist()
    one, other = examples[0].rows.values()
    greys = [image.mean() for image in one.images]
    assert greys == pytest.approx([10 * item for item in range(13, 3, -1)], abs=1)
    assert one.verdicts == ["right"] * 3 + ["wrong"] * 7
    greys = [image.mean() for image in other.images]
    assert greys == pytest.approx([10 * item for item in range(10)], abs=1)
    assert other.verdicts == ["junk"] + ["wrong"] * 9


def test_a_short_list_and_a_photograph_that_is_broken_and_a_query_that_is_whole(town):
    town.images[3].path.write_bytes(b"no picture")
    lists = [_lists("one", [0.9, 0.2, 0.1], [13, 3, NO_MORE])]
    for example in find_examples(town, town.whole_queries, town.images, lists):
        assert example.box is None
        right, broken = example.rows["one"].images
        assert right.mean() > 120 and not broken.any()


def test_generated_scenes_are_drawn_large_and_look_alikes_are_known(tmp_path):
    world = dataclasses.replace(TINY, evaluation_families=1, siblings=2, distractors=0)
    write_evaluation(world, "evaluation", tmp_path)
    landmarks = load_dataset(tmp_path, "landmarks")
    ranks = np.arange(len(landmarks.images))[None].repeat(2, axis=0)
    found = FoundLists(RankedList(ranks, ranks.shape[1]), np.ones(ranks.shape, np.float32))
    lists = [ScoredLists("one", np.array([0.9, 0.2]), found)]
    hard, easy = find_examples(landmarks, landmarks.queries, landmarks.images, lists)
    assert hard.image.shape == easy.rows["one"].images[0].shape == (256, 256, 3)
    assert hard.box == tuple(256 / world.side * x for x in landmarks.queries[1].box)
    seen = {verdict: hard.rows["one"].verdicts.count(verdict) for verdict in VERDICTS}
    views = world.easy + world.hard
    assert seen == {
        "right": views,
        "look-alike": views + world.junk,
        "wrong": 0,
        "junk": world.junk,
    }


def test_no_query_is_scored(town):
    with pytest.raises(UserError, match="no query of town is scored under Medium"):
        find_examples(town, town.queries, town.images, [_lists("one", [np.nan] * 3, UP)])


@pytest.mark.parametrize("seed", range(10))
def test_the_query_at_a_percentile_is_the_first_that_so_many_do_not_exceed(seed):
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 8, rng.integers(1, 30)) / 8
    scores[1:][rng.random(len(scores) - 1) < 0.2] = np.nan
    ranked = sorted(
        (score, query) for query, score in enumerate(scores.tolist()) if not np.isnan(score)
    )
    for percentile in (10, 50, 90, 100):
        share = 0
        while 100 * (share + 1) < percentile * len(ranked):
            share += 1
        assert query_at_percentile(scores, percentile) == ranked[share][1]


def test_the_percentiles_of_a_hundred_queries():
    scores = np.arange(100)[::-1] / 100
    assert [query_at_percentile(scores, p) for p in (10, 50, 90)] == [90, 50, 10]


def test_verdicts_are_those_of_medium():
    truth = GroundTruth(
        *(("a", "b", "c", "d"), ("q", "r")),
        easy=(np.array([3]), np.array([0])),
        hard=(np.array([1]), np.zeros(0, np.int64)),
        junk=(np.array([0]), np.array([3])),
    )
    assert judge(truth, 0, [0, 1, 2, 3]) == ["junk", "right", "wrong", "right"]
    assert judge(truth, 1, [3, 2, 0]) == ["junk", "wrong", "right"]


def test_of_what_is_wrong_the_look_alikes_are_told_apart():
    none = (np.zeros(0, np.int64),)
    truth = GroundTruth(
        *(("a", "b", "c", "d"), ("q",), (np.array([0]),), none, (np.array([1]),)),
        lookalikes=(np.array([1, 2]),),
    )
    assert judge(truth, 0, [0, 1, 2, 3]) == ["right", "junk", "look-alike", "wrong"]


def _report(names):
    scores = np.full((len(names), 4), np.nan)
    scores[0] = 0.5
    return EvaluationReport(names, {"easy": scores, "medium": scores, "hard": scores})


@pytest.mark.parametrize("names", [("bright", "dark", "none"), (None,) * 3])
def test_average_precisions_of_a_report(town, names):
    np.testing.assert_array_equal(average_precisions(_report(names), town), [0.5, *[np.nan] * 2])


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("bright", "dark"), "the scores of 2 queries, town has 3"),
        (("bright", "dark", "tower"), "the scores of other queries than town has now"),
    ],
)
def test_a_report_of_something_else(town, names, message):
    with pytest.raises(UserError, match=message):
        average_precisions(_report(names), town)
