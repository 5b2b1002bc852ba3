"""What the headers of the trainings' configs promise."""

import csv
import importlib
import itertools
import pathlib

import pytest

from configs import ablation
from senet_jax.forecast.training import forecast_training

TABLES = pathlib.Path(__file__).parents[3] / "shared" / "paper" / "reported_map.csv"
SYSTEMS = {
    "r50_cls": ("S2", "SENet", "cls", "R50"),
    "r50_cls_con": ("S2", "SENet", "cls+con", "R50"),
    "r101_cls": ("S2", "SENet", "cls", "R101"),
    "r101_cls_con": ("S2", "SENet", "cls+con", "R101"),
}
ABLATIONS = {
    "direct": ("S3", "SENet direct", "cls", "R50"),
    "dot": ("S4", "SENet dot product", "cls", "R50"),
    "concat": ("S5", "SENet concatenate", "cls", "R50"),
    "baseline": ("S3", "baseline", "cls", "R50"),
}


@pytest.fixture(scope="module")
def reported():
    """The paper's eight figures of a table, system, loss and backbone, Medium first."""
    if not TABLES.is_file():
        pytest.skip(f"the paper's tables are not at {TABLES}")
    with TABLES.open() as file:
        return {tuple(row[:4]): row[6:] for row in csv.reader(file)}


def _forecast(config):
    """The lines down to the state's, which need no compiled step."""
    lines = forecast_training(config)
    return dict(itertools.takewhile(lambda line: not line[0].startswith(" "), lines))


@pytest.mark.parametrize("name", SYSTEMS)
def test_forecast(name):
    config = importlib.import_module(f"configs.{name}")
    lines = _forecast(config.get_config())
    header = config.__doc__.splitlines()
    assert f"  {'steps':28}{lines['steps']}" in header
    assert f"  {'state of a device':28}{lines['state of a device']}" in header
    assert f"  {'images':28}{lines['images'].split(', all')[0]}" in header


@pytest.mark.parametrize("name", ABLATIONS)
def test_forecast_of_an_ablation(name):
    lines = _forecast(ablation.get_config(name))
    assert f"\n  {name:10}{lines['state of a device']}  " in ablation.__doc__


@pytest.mark.parametrize("name", SYSTEMS)
def test_figures_of_the_paper(name, reported):
    figures = reported[SYSTEMS[name]]
    header = importlib.import_module(f"configs.{name}").__doc__.splitlines()
    assert f"  Medium    {'  '.join(figures[:4])}" in header
    assert f"  Hard      {'  '.join(figures[4:])}" in header


@pytest.mark.parametrize("name", ABLATIONS)
def test_figures_of_an_ablation(name, reported):
    figures = reported[ABLATIONS[name]]
    line = f"  {name:10}{'  '.join(figures[:4])}        {'  '.join(figures[4:])}"
    assert line in ablation.__doc__.splitlines()
