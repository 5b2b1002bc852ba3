import numpy as np
import pytest

from senet_jax.data.ground_truth import GroundTruth
from senet_jax.metrics import ties
from senet_jax.metrics.ties import count_tied, warning_of_ties
from senet_jax.search.storage import STORAGES, quantise


def _ground_truth(images, easy, hard, junk):
    names = tuple(f"image{image}" for image in range(images))
    kinds = ([np.array(items, np.int64) for items in kind] for kind in (easy, hard, junk))
    return GroundTruth(names, tuple(f"query{q}" for q in range(len(easy))), *map(tuple, kinds))


def _count_by_hand(truth, queries, database, unranked):
    tied = looked_at = 0
    for query, row in enumerate(queries):
        scores = database @ row
        positives = {*truth.easy[query].tolist(), *truth.hard[query].tolist()} - set(unranked)
        labelled = positives | set(truth.junk[query].tolist())
        others = set(range(len(database))) - labelled - set(unranked)
        others -= {*truth.easy[query].tolist(), *truth.hard[query].tolist()}
        tied += sum(any(scores[item] == scores[other] for other in others) for item in positives)
        looked_at += len(positives)
    return tied, looked_at


@pytest.mark.parametrize("seed", range(10))
def test_against_loops(seed):
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 6, (3, 30))
    truth = _ground_truth(
        30, *([np.flatnonzero(row == kind) for row in labels] for kind in range(3))
    )
    queries = rng.integers(-4, 5, (3, 3)).astype(np.float32)
    database = rng.integers(-4, 5, (37, 3)).astype(np.float32)
    unranked = rng.permutation(30)[:4].tolist()
    found = count_tied(truth, queries, [database[:30], database[30:]], unranked)
    assert found == _count_by_hand(truth, queries, database, unranked)
    assert 0 < found[0] < found[1]


TRUTH = _ground_truth(6, [[0, 1], [5]], [[2], []], [[3], []])


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int8])
def test_descriptors_that_are_all_equal_are_told(dtype):
    """They would be a perfect search, as the images to find come first."""
    said = warning_of_ties(TRUTH, np.ones((2, 3), dtype), [np.ones((6, 3), dtype)])
    assert said.startswith("4 of 4 images to find have the very score of an image that is not")
    assert warning_of_ties(TRUTH, np.zeros((2, 3), dtype), [np.ones((6, 3), dtype)]) == said


def test_what_is_no_tie():
    rng = np.random.default_rng(0)
    queries, database = rng.standard_normal((2, 8)), rng.standard_normal((6, 8))
    assert warning_of_ties(TRUTH, queries, [database]) is None
    # Images to find that are the same, and junk.
    database[[0, 1, 2, 3]] = database[0]
    assert count_tied(TRUTH, queries, [database]) == (0, 4)
    # Half of them are not most.
    database = rng.standard_normal((6, 8))
    database[4] = database[0] = database[1]
    assert count_tied(TRUTH, queries, [database]) == (2, 4)
    assert warning_of_ties(TRUTH, queries, [database]) is None


def test_images_that_cannot_be_read_are_no_tie():
    database = np.random.default_rng(0).standard_normal((6, 8))
    database[[0, 1, 4]] = 0
    assert count_tied(TRUTH, np.ones((2, 8)), [database], [0, 1, 4]) == (0, 2)
    assert count_tied(TRUTH, np.ones((2, 8)), [database]) == (2, 4)


@pytest.mark.parametrize("storage", STORAGES)
def test_quantised_descriptors(storage):
    database = quantise(np.ones((6, 3), np.float32), storage)
    assert count_tied(TRUTH, np.ones((2, 3), np.float32), [database]) == (4, 4)


def test_few_blocks_are_looked_at(monkeypatch):
    monkeypatch.setattr(ties, "BLOCKS_LOOKED_AT", 2)
    size = 3 * 8192
    truth = _ground_truth(size, [[0, 8192, 2 * 8192]], [[]], [[]])
    assert count_tied(truth, np.ones((1, 1)), [np.ones((size, 1), np.int8)]) == (2, 2)


def test_nothing_to_find():
    nothing = _ground_truth(2, [[]], [[]], [[0]])
    assert warning_of_ties(nothing, np.ones((1, 1)), [np.ones((2, 1))]) is None
    assert warning_of_ties(_ground_truth(0, [], [], []), np.ones((0, 1)), [np.ones((3, 1))]) is None
