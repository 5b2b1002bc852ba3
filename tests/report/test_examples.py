import json

import cv2
import jax.numpy as jnp
import numpy as np
import pytest

from senet_jax.data.ground_truth import GroundTruth
from senet_jax.data.revisitop import load_dataset
from senet_jax.report.examples import (
    ScoredNetwork,
    average_precisions,
    find_examples,
    judge,
    query_at_percentile,
)
from senet_jax.system.errors import UserError
from tests.features.mean_colour import MeanColour

IMAGES = 14
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


class _Brightness(MeanColour):
    """In place of a network: it finds bright images, or dark ones where the direction is -1."""

    width = 2

    def __init__(self, direction):
        super().__init__("exact")
        self._direction = direction

    def __call__(self, images, sizes, *, transposed):
        if images.shape[2] == 8:  # A query, cut to its box.
            return jnp.array([[self._direction, 0.0]])
        return jnp.array([[images.mean(), 100.0]])


def _network(direction, average_precisions):
    return ScoredNetwork(_Brightness(direction), np.array(average_precisions))


def test_what_the_networks_find_for_the_chosen_queries(town):
    trained = _network(1, [0.9, 0.2, np.nan])
    untrained = _network(-1, [0.1, 0.3, np.nan])
    examples = find_examples(town, trained, untrained, (1.0,))
    names = [example.caption for example in examples]
    assert names == ["10th percentile: dark", "50th percentile: dark", "90th percentile: bright"]
    for example, query in zip(examples, (1, 1, 0), strict=True):
        assert example.box == (0, 0, 8, 16)
        assert example.image.mean() == pytest.approx([250, 5][query], abs=1)
        assert example.trained.average_precision == trained.average_precisions[query]
        assert example.untrained.average_precision == untrained.average_precisions[query]
    greys = [image.mean() for image in examples[0].trained.images]
    assert greys == pytest.approx([10 * item for item in range(13, 3, -1)], abs=1)
    assert examples[0].trained.verdicts == ["right"] * 3 + ["wrong"] * 7
    greys = [image.mean() for image in examples[0].untrained.images]
    assert greys == pytest.approx([10 * item for item in range(10)], abs=1)
    assert examples[0].untrained.verdicts == ["junk"] + ["wrong"] * 9


def test_no_query_is_scored(town):
    network = _network(1, [np.nan] * 3)
    with pytest.raises(UserError, match="no query of town is scored under Medium"):
        find_examples(town, network, network, (1.0,))


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


def _report(count):
    scores = [{"query": query, "ap": None if query else 0.5} for query in range(count)]
    return {"town": {"medium": {"per_query": scores}}, "run": {}}


def test_average_precisions_of_a_report(town):
    np.testing.assert_array_equal(
        average_precisions(_report(3), "town", town), [0.5, *[np.nan] * 2]
    )


@pytest.mark.parametrize(
    ("count", "name", "message"),
    [
        (3, "village", "no scores of village, but of town; choose"),
        (2, "town", "the scores of 2 queries, town has 3"),
    ],
)
def test_a_report_of_something_else(town, count, name, message):
    with pytest.raises(UserError, match=message):
        average_precisions(_report(count), name, town)
