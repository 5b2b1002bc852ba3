import csv
import pathlib

import pytest

from senet_jax.models.registry import ARCHITECTURES
from senet_jax.report.paper import _figures, paper_figure

REPORTED = pathlib.Path(__file__).parents[2].parent / "shared" / "paper" / "reported_map.csv"
COLUMNS = {"roxford5k": "roxf", "rparis6k": "rpar"}


def test_figures_by_system_and_dataset():
    figure = paper_figure("rparis6k", "revisitop1m", "r101", "alpha_qe:blind")
    assert (figure.table, figure.medium, figure.hard) == ("S2", 88.2, 76.5)
    assert paper_figure("roxford5k", "", "r50").medium == 81.9
    assert paper_figure("rparis6k", "", "cvnet_r50", "cvnet:protocol").hard == 78.6
    assert paper_figure("roxford5k", "", "r50", training="classification").medium == 81.4
    for other in (
        ("photos", "", "r50"),
        ("roxford5k", "noise", "r50"),
        ("roxford5k", "", "r152"),
        ("roxford5k", "", "r50", "cvnet:blind"),
    ):
        assert paper_figure(*other) is None


def test_every_system_is_a_network_of_the_project():
    assert {model for _, _, model, *_ in _figures()} <= ARCHITECTURES.keys()
    assert len(_figures()) == 4 * 15


@pytest.mark.skipif(not REPORTED.is_file(), reason=f"no {REPORTED.name} beside the repository")
def test_figures_are_those_of_the_tables():
    reported = list(csv.DictReader(REPORTED.read_text().splitlines()))
    for (dataset, distractors, model, *_), figure in _figures().items():
        column = COLUMNS[dataset] + "_1m" * (distractors == "revisitop1m")
        backbone = model.removeprefix("cvnet_").partition("_")[0].upper()
        there = {
            (row[f"medium_{column}"], row[f"hard_{column}"])
            for row in reported
            if row["table"] == figure.table and row["backbone"] == backbone
        }
        assert (str(figure.medium), str(figure.hard)) in there
