import dataclasses

import numpy as np
import pytest

from senet_jax.metrics.bootstrap import mean_interval
from senet_jax.metrics.run_report import Run
from senet_jax.report.__main__ import RANKED_LISTS, main
from senet_jax.report.beside import (
    Rival,
    difference,
    different_settings,
    entries_beside,
    lists_beside,
    read_rival,
)
from senet_jax.report.html_report import PAGE
from senet_jax.report.results import ranked_dataset, read_run
from senet_jax.report.systems import datasets_of
from senet_jax.system.errors import UserError
from tests.report.test_page import Document, report
from tests.report.workdirs import write_town, write_training

# ml_collections loads a config file in an old way.
pytestmark = pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")


@pytest.fixture(scope="module")
def other(world):
    """Another training that has evaluated the same dataset."""
    return write_training(world, world / "other", seed=3)


def test_the_command_shows_both(workdir, other, run_command_here):
    done = run_command_here(main, workdir, f"--beside={other}")
    assert done.returncode == 0, done.stderr
    assert (workdir / RANKED_LISTS).is_file()
    document = Document((workdir / PAGE).read_text(encoding="utf-8"))
    labels = [text.partition(":")[0] for text in document.said("h4")]
    assert labels == ["demo", "other", "untrained"] * 2  # The networks have one name.
    assert any(text.startswith("Beside it stands other, of ") for text in document.said("p"))
    assert any(text.startswith("Against other: ") for text in document.said("p"))


def test_lists_stand_below_one_s_own(trained, other):
    entries, run = read_run(trained)
    rival = read_rival(other, run)
    ranked = ranked_dataset(trained, entries, run, "town")
    both = lists_beside(trained, ranked, rival)
    assert [each.label for each in both.lists] == ["demo", "other", "untrained"]
    theirs = ranked_dataset(other, *read_run(other), "town").lists[0]
    np.testing.assert_array_equal(both.lists[1].found.ranked.ranks, theirs.found.ranked.ranks)
    entries = entries_beside(entries, rival)
    assert datasets_of(entries) == {"town": ["town", "town+other", "town_untrained"]}
    assert entries["town+other"] is rival.entries["town"]


def test_other_photographs_are_not_compared(trained, tmp_path):
    write_town(tmp_path)
    (tmp_path / "town" / "jpg" / "a.jpg").rename(tmp_path / "town" / "jpg" / "a.jpeg")
    workdir = write_training(tmp_path, tmp_path / "run")
    entries, run = read_run(trained)
    ranked = ranked_dataset(trained, entries, run, "town")
    with pytest.raises(UserError, match=r"database of .*trained and .*run are not the same"):
        lists_beside(trained, ranked, read_rival(workdir, run))


def test_the_difference_is_paired_over_the_queries_that_are_scored():
    one, two = [0.9, np.nan, 0.5, 0.7], [0.4, np.nan, 0.1, 0.1]
    low, high = mean_interval(100 * np.array([0.5, 0.4, 0.6]))
    said = difference(report(one), report(two))
    assert said == (
        f"+50.0 points of mAP under Medium ({low:+.1f} to {high:+.1f}), so they differ."
    )
    assert "do not tell the two apart" in difference(report([0.5, 0.1]), report([0.1, 0.5]))
    assert difference(report([np.nan]), report([np.nan])).startswith("no query is scored")
    for others in (report([0.4, 0.2, 0.1, 0.1]), report(two, ("a", "b", "c", "d"))):
        with pytest.raises(UserError, match="have scored other queries"):
            difference(report(one), others)


def test_the_settings_that_differ(tmp_path):
    run = Run(config={"job": "train", "model": "tiny", "data": {"side": 64, "flip": False}})
    config = {"job": "train", "model": "tiny_baseline", "data": {"side": 96, "flip": False}}
    rival = Rival(tmp_path, "x", {}, dataclasses.replace(run, config=config | {"seed": 1}))
    assert different_settings(run, rival) == ["data.side", "model", "seed"]
    assert not different_settings(run, dataclasses.replace(rival, run=run))
