import dataclasses

import pytest

from senet_jax.metrics.run_report import Run
from senet_jax.report.systems import datasets_of, figure_of, label_of, warnings_of
from tests.report.test_page import report

NAMES = ("a", "a+aqe:blind", "a+aqe:protocol", "a+b", "a+b+aqe:blind", "c_untrained", "c", "d+x:y")
EVALUATION = Run(config={"job": "evaluate", "distractors": ""}, weights={"model": "r50"})
TRAINING = Run(config={"job": "train", "model": "r50"})


def test_entries_by_their_datasets():
    one = report([0.5])
    assert datasets_of(dict.fromkeys(NAMES, one)) == {
        "a": ["a", "a+aqe:blind", "a+aqe:protocol", "a+b", "a+b+aqe:blind"],
        "c": ["c", "c_untrained"],
        "d+x:y": ["d+x:y"],
    }


@pytest.mark.parametrize(
    ("entry", "run", "label"),
    [
        ("a", EVALUATION, "search"),
        ("a+aqe(k=3),cvnet:blind", EVALUATION, "aqe(k=3),cvnet:blind"),
        ("a", TRAINING, "r50"),
        ("a", Run(config={"job": "train"}), "trained"),
        ("a", Run(config={"job": "train_pairs"}), "trained"),
        ("a_untrained", TRAINING, "untrained"),
        ("a_untrained", Run(config={"job": "train", "start": "weights/r50"}), "before"),
    ],
)
def test_labels(entry, run, label):
    assert label_of(entry, "a", run) == label


@pytest.mark.parametrize(
    ("change", "medium"),
    [
        ({}, 81.9),
        ({"random_weights": True}, None),
        ({"config": {"job": "evaluate", "distractors": "", "crop_queries": False}}, None),
        ({"config": {"job": "evaluate", "distractors": "revisitop1m"}}, 74.2),
        ({"config": {"job": "evaluate", "distractors": ["revisitop1m"]}}, None),
        ({"config": {"job": "train"}}, None),
        ({"weights": {"model": ["r50"]}}, None),
        ({"config": {"job": "evaluate", "distractors": "", "whiten": True}}, None),
    ],
)
def test_only_what_compares_is_compared_with_the_paper(change, medium):
    figure = figure_of("roxford5k", "roxford5k", dataclasses.replace(EVALUATION, **change))
    assert getattr(figure, "medium", None) == medium


def test_the_paper_s_re_rankings():
    assert figure_of("roxford5k+cvnet:protocol", "roxford5k", EVALUATION).medium == 85.8
    assert figure_of("roxford5k+cvnet:blind", "roxford5k", EVALUATION) is None


def test_what_is_known_of_the_training_is_a_warning():
    run = dataclasses.replace(
        EVALUATION,
        weights={"model": "r50", "training_set": "GLDv2-clean", "note": "trained on <b>"},
        overlaps={"roxford5k": 36},
    )
    about, overlap = warnings_of({"roxford5k": report([0.5])}, run)
    assert about == "About the weights: trained on <b>."
    assert overlap.startswith(
        "The network was trained on GLDv2-clean, and so on the landmarks of 36 of the queries"
    )


def test_an_approximate_search_is_a_warning():
    record = {"backend": "faiss(index=Flat)", "recall@100": 0.987, "recall@1000": None}
    [warning] = warnings_of({"a": report([0.5], search=record)}, EVALUATION)
    assert warning == (
        "a was searched approximately, by faiss(index=Flat); it finds 98.7 % of the best 100."
    )
    assert not warnings_of({"a": report([0.5])}, EVALUATION)
