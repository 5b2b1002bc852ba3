import json
import pathlib

import numpy as np
import pytest

from senet_jax.data.ground_truth import GroundTruth, load_ground_truth
from senet_jax.metrics.evaluation_report import MEASURES, EvaluationReport
from senet_jax.metrics.report import evaluate_descriptors, evaluate_ranks
from senet_jax.search.ranked_list import RankedList
from senet_jax.system.errors import UserError
from tests.oracles import scorer

DATASETS = pathlib.Path(__file__).resolve().parents[2].parent / "shared" / "datasets"
PROTOCOLS = ["easy", "medium", "hard"]
QUERIES = 6  # Of the random ground truths.


def _real_ground_truth(name):
    path = DATASETS / name / f"gnd_{name}.pkl"
    if not path.exists():
        pytest.skip(f"no {path}")
    return load_ground_truth(path)


def _by_label(ground_truth, query):
    easy, hard, junk = (getattr(ground_truth, kind)[query] for kind in ("easy", "hard", "junk"))
    items = np.arange(len(ground_truth.image_names))
    negatives = np.setdiff1d(items, np.concatenate([easy, hard, junk]))
    return np.concatenate([easy, negatives, junk, hard])


RANKINGS = {
    "database order": lambda truth, query: np.arange(len(truth.image_names)),
    "reverse order": lambda truth, query: np.arange(len(truth.image_names))[::-1],
    "permutations": lambda truth, query: np.random.RandomState(query).permutation(
        len(truth.image_names)
    ),
    "easy, negatives, junk, hard": _by_label,
}

# Made with the benchmark's own scorer: mAP x 100 under Easy, Medium and Hard.
MEAN_AVERAGE_PRECISIONS = {
    ("roxford5k", "database order"): (0.947192, 1.711396, 0.867938),
    ("roxford5k", "reverse order"): (0.940009, 1.656396, 0.904014),
    ("roxford5k", "permutations"): (0.969961, 1.659264, 0.807917),
    ("roxford5k", "easy, negatives, junk, hard"): (100, 48.597397, 0.368310),
    ("rparis6k", "database order"): (1.723624, 4.083332, 2.514963),
    ("rparis6k", "reverse order"): (1.633287, 3.953629, 2.480496),
    ("rparis6k", "permutations"): (1.660589, 4.032784, 2.511053),
    ("rparis6k", "easy, negatives, junk, hard"): (100, 44.706687, 1.237982),
}

# Likewise mP@1, 5, 10 x 100 of database order.
MEAN_PRECISIONS = {
    "roxford5k": ((0, 0, 1.9118), (0, 2.0, 4.4286), (0, 2.0, 2.5714)),
    "rparis6k": ((0, 2.2857, 1.1429), (11.4286, 3.7143, 4.1429), (11.4286, 2.2857, 3.0)),
}


def _report_of(truth, ranks, source):
    if source == "ranks":
        return evaluate_ranks(truth, RankedList(ranks, ranks.shape[1]))
    # Query i is the i-th unit vector, and an item's i-th number is minus its rank for query i.
    return evaluate_descriptors(truth, np.eye(len(ranks)), [-np.argsort(ranks, axis=1).T])


@pytest.mark.parametrize("source", ["ranks", "descriptors"])
@pytest.mark.parametrize(("dataset", "ranking"), MEAN_AVERAGE_PRECISIONS)
def test_fixed_points(dataset, ranking, source):
    truth = _real_ground_truth(dataset)
    queries = range(len(truth.query_names))
    ranks = np.stack([RANKINGS[ranking](truth, query) for query in queries])
    report = _report_of(truth, ranks, source)
    means = 100 * np.array([report.means(protocol) for protocol in PROTOCOLS])
    expected = MEAN_AVERAGE_PRECISIONS[dataset, ranking]
    np.testing.assert_allclose(means[:, 0], expected, rtol=0, atol=1e-6)
    if ranking == "database order":
        np.testing.assert_allclose(means[:, 1:], MEAN_PRECISIONS[dataset], rtol=0, atol=5e-5)
    scored = [report.query_count(protocol) for protocol in PROTOCOLS]
    assert scored == ([68, 70, 70] if dataset == "roxford5k" else [70, 70, 70])


@pytest.mark.parametrize("dataset", ["roxford5k", "rparis6k"])
@pytest.mark.parametrize("sign", [1, -1])
def test_fixed_points_by_one_number_an_item(dataset, sign):
    truth = _real_ground_truth(dataset)
    rows = -np.arange(len(truth.image_names))[:, None]
    report = evaluate_descriptors(truth, np.full((len(truth.query_names), 1), sign), [rows])
    expected = MEAN_AVERAGE_PRECISIONS[dataset, "database order" if sign > 0 else "reverse order"]
    means = [100 * report.means(protocol)[0] for protocol in PROTOCOLS]
    np.testing.assert_allclose(means, expected, rtol=0, atol=1e-6)


def _random_ground_truth(rng, image_count):
    """Query 0 has nothing labelled, query 1 only junk, query 2 only easy; the others anything."""
    labels = rng.integers(0, 4, (QUERIES, image_count))
    labels[0], labels[1], labels[2] = 3, 2, 0
    return GroundTruth(
        tuple(f"image{i}" for i in range(image_count)),
        tuple(f"query{i}" for i in range(QUERIES)),
        *(tuple(np.flatnonzero(row == kind) for row in labels) for kind in range(3)),
    )


def _assert_scores(report, expected):
    for protocol in PROTOCOLS:
        rows = [[np.nan] * 4 if scores is None else scores for scores in expected[protocol]]
        np.testing.assert_allclose(report.scores[protocol], rows, rtol=0, atol=1e-9)


@pytest.mark.parametrize("seed", range(20))
def test_descriptors_with_ties_distractors_and_unranked_rows(seed):
    rng = np.random.default_rng(seed)
    size, distractors = int(rng.integers(1, 50)), int(rng.integers(0, 20))
    truth = _random_ground_truth(rng, size)
    rows = rng.integers(-2, 3, (size + distractors, 3)).astype(np.float32)
    queries = rng.integers(-2, 3, (QUERIES, 3)).astype(np.float32)
    unranked = rng.permutation(size)[: rng.integers(0, 4)].tolist()
    report = evaluate_descriptors(truth, queries, [rows[:size], rows[size:]], unranked)
    rankings = [scorer.ranking((rows @ query).tolist(), unranked) for query in queries]
    _assert_scores(report, scorer.scores_of_benchmark(rankings, truth))


@pytest.mark.parametrize("seed", range(20))
def test_truncated_ranks(seed):
    rng = np.random.default_rng(seed)
    size = int(rng.integers(1, 50))
    truth = _random_ground_truth(rng, size)
    ranks = np.stack([rng.permutation(size) for _ in range(QUERIES)])
    ranks = ranks[:, : rng.integers(0, size + 1)]
    for row in ranks:
        row[rng.integers(0, len(row) + 1) :] = -1
    report = evaluate_ranks(truth, RankedList(ranks, size))
    listed = [[item for item in row if item >= 0] for row in ranks.tolist()]
    _assert_scores(report, scorer.scores_of_benchmark(listed, truth))


def test_one_ranking_for_each_protocol():
    rng = np.random.default_rng(0)
    truth = _random_ground_truth(rng, 30)
    lists = {
        protocol: RankedList(np.stack([rng.permutation(30) for _ in range(QUERIES)]), 30)
        for protocol in PROTOCOLS
    }
    together = evaluate_ranks(truth, lists)
    for protocol, ranked in lists.items():
        alone = evaluate_ranks(truth, ranked).scores[protocol]
        np.testing.assert_array_equal(together.scores[protocol], alone)


def test_narrow_and_wide_types_rank_alike():
    rng = np.random.default_rng(0)
    truth = _random_ground_truth(rng, 30)
    rows, queries = rng.integers(-9, 9, (30, 4)), rng.integers(-9, 9, (QUERIES, 4))
    reports = [
        evaluate_descriptors(truth, queries.astype(dtype), [rows.astype(dtype)])
        for dtype in (np.int8, np.float16, np.float32, np.float64)
    ]
    for report in reports[1:]:
        for protocol in PROTOCOLS:
            np.testing.assert_array_equal(report.scores[protocol], reports[0].scores[protocol])


def test_what_float32_cannot_tell_apart_is_a_tie():
    truth = _random_ground_truth(np.random.default_rng(1), 8)
    rows = np.full((8, 1), 1.0)
    rows[::-1, 0] += np.arange(8) * 1e-12
    queries = np.ones((QUERIES, 1))
    report = evaluate_descriptors(truth, queries, [rows])
    _assert_scores(report, scorer.scores_of_benchmark([range(8)] * QUERIES, truth))


@pytest.mark.parametrize(
    ("queries", "parts", "message"),
    [
        (np.ones((QUERIES - 1, 2)), [np.ones((9, 2))], "has 5 rows for 6 queries"),
        (np.ones((QUERIES + 1, 2)), [np.ones((9, 2))], "has 7 rows for 6 queries"),
        (np.ones((QUERIES, 2)), [np.ones((8, 2))], "has 8 rows for 9 images"),
        (np.ones((QUERIES, 3)), [np.ones((9, 2))], "3 columns, the database 2"),
        (np.ones(QUERIES), [np.ones((9, 2))], r"queries is float64 of shape \(6,\)"),
        (np.full((QUERIES, 2), np.inf), [np.ones((9, 2))], "row 0 of the array of queries"),
        (np.full((QUERIES, 2), 1e39), [np.ones((9, 2))], "not finite in float32"),
    ],
)
def test_wrong_descriptors_are_one_line(queries, parts, message):
    truth = _random_ground_truth(np.random.default_rng(0), 9)
    with pytest.raises(UserError, match=message):
        evaluate_descriptors(truth, queries, parts)


def test_wrong_number_of_rankings():
    truth = _random_ground_truth(np.random.default_rng(0), 9)
    with pytest.raises(UserError, match="1 rows for 6 queries"):
        evaluate_ranks(truth, RankedList(np.array([[0]]), 9))


def test_no_queries_and_no_images():
    truth = GroundTruth((), (), (), (), ())
    nothing = np.zeros((0, 2))
    for database in (nothing, np.ones((3, 2))):
        report = evaluate_descriptors(truth, nothing, [database])
        assert [report.query_count(protocol) for protocol in PROTOCOLS] == [0, 0, 0]


def _report():
    easy = np.full((3, 4), np.nan)
    medium = np.array([[0.5, 1, 0.2, 0.1], [np.nan] * 4, [0.25, 0, 0.4, 0.3]])
    scores = {"easy": easy, "medium": medium, "hard": np.ones((3, 4))}
    return EvaluationReport(("one", "two", "three"), scores)


def test_report_as_json():
    value = json.loads(json.dumps(_report().to_json(), allow_nan=False))
    assert list(value) == PROTOCOLS
    keys = ["map", "map_ci95", "mp@1", "mp@5", "mp@10", "queries", "per_query"]
    assert all(list(of_protocol) == keys for of_protocol in value.values())
    unscored = dict.fromkeys(MEASURES)
    assert value["easy"] == {
        **dict.fromkeys(keys[:5]),
        "queries": 0,
        "per_query": [
            {"query": query, "name": name, **unscored}
            for query, name in enumerate(("one", "two", "three"))
        ],
    }
    assert value["medium"]["queries"] == 2
    means = [value["medium"][key] for key in ("map", *MEASURES[1:])]
    np.testing.assert_allclose(means, [0.375, 0.5, 0.3, 0.2], rtol=1e-15)
    # A quarter of the resamples of two queries holds the worse one only, a quarter the better one.
    assert value["medium"]["map_ci95"] == [0.25, 0.5]
    assert value["hard"]["map_ci95"] == [1, 1]
    assert value["medium"]["per_query"] == [
        {"query": 0, "name": "one", "ap": 0.5, "mp@1": 1.0, "mp@5": 0.2, "mp@10": 0.1},
        {"query": 1, "name": "two", **unscored},
        {"query": 2, "name": "three", "ap": 0.25, "mp@1": 0.0, "mp@5": 0.4, "mp@10": 0.3},
    ]


def test_report_as_table():
    assert [line.split() for line in _report().table().splitlines()] == [
        ["mAP", "mP@1", "mP@5", "mP@10", "queries", "mAP,", "95", "%"],
        ["easy", "-", "-", "-", "-", "0", "-"],
        ["medium", "37.5", "50.0", "30.0", "20.0", "2", "25.0-50.0"],
        ["hard", "100.0", "100.0", "100.0", "100.0", "3", "100.0-100.0"],
    ]


@pytest.mark.parametrize(
    "hard",
    [np.ones((2, 4)), np.ones((3, 3)), np.full((3, 4), 1.1), np.array([[1, 1, 1, np.nan]] * 3)],
)
def test_report_of_impossible_scores(hard):
    with pytest.raises(ValueError, match=r"shapes|outside"):
        EvaluationReport(_report().query_names, {**_report().scores, "hard": hard})


def test_report_with_other_queries():
    with pytest.raises(ValueError, match="shapes"):
        EvaluationReport(("one", "two"), _report().scores)


def test_report_names_the_queries_of_the_ground_truth():
    truth = _random_ground_truth(np.random.default_rng(0), 9)
    by_descriptors = evaluate_descriptors(truth, np.ones((QUERIES, 1)), [np.ones((9, 1))])
    by_ranks = evaluate_ranks(truth, RankedList(np.zeros((QUERIES, 1), int), 9))
    assert by_descriptors.query_names == by_ranks.query_names == truth.query_names


def test_report_without_a_protocol():
    with pytest.raises(ValueError, match="protocols"):
        EvaluationReport(("one",), {"easy": np.ones((1, 4))})
