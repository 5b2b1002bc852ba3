import json

import numpy as np
import pytest

from senet_jax.study.results import Results, RunScores, read_results
from senet_jax.system.checksummed import sealed
from senet_jax.system.errors import UserError

from .examples import trainings


def test_there_and_back(tmp_path):
    results = trainings()
    results.write(tmp_path / "a.json")
    read = read_results(tmp_path / "a.json")
    assert read.about == results.about and len(read.runs) == len(results.runs)
    for one, other in zip(results.runs, read.runs, strict=True):
        assert (one.name, one.seed, one.notes) == (other.name, other.seed, other.notes)
        assert one.entries.keys() == other.entries.keys()
        for entry, scores in one.entries.items():
            for protocol, values in scores.items():
                # Halves of what has four digits are rounded to four.
                np.testing.assert_allclose(other.entries[entry][protocol], values, atol=5.1e-5)
    read.write(tmp_path / "b.json")
    assert (tmp_path / "a.json").read_bytes() == (tmp_path / "b.json").read_bytes()


def _changed(path, change):
    value = json.loads(path.read_text())
    del value["checksum"]
    change(value)
    path.write_text(json.dumps(sealed(value)))


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda value: value.pop("runs"), "'runs'"),
        (lambda value: value.update(kind="other"), "it is of another kind"),
        (lambda value: value["runs"][0].update(seed="0"), "a run has no name, seed or notes"),
        (lambda value: value["runs"][0]["entries"]["landmarks"].update(medium="10001"), "range"),
        (lambda value: value["runs"][0]["entries"]["landmarks"].update(medium="1 x"), "int"),
        (lambda value: value["runs"][0]["entries"]["landmarks"].update(medium="1 2"), "other que"),
        (lambda value: value["runs"][0].update(entries=[1]), "attribute"),
    ],
)
def test_what_is_no_results(tmp_path, change, why):
    trainings().write(tmp_path / "a.json")
    _changed(tmp_path / "a.json", change)
    with pytest.raises(UserError, match=f"holds no results: .*{why}.*; give the results.json"):
        read_results(tmp_path / "a.json")


def test_a_flipped_digit_is_seen(tmp_path):
    trainings().write(tmp_path / "a.json")
    text = (tmp_path / "a.json").read_text()
    (tmp_path / "a.json").write_text(text.replace('"seed": 2', '"seed": 3', 1))
    with pytest.raises(UserError, match="does not match its checksum"):
        read_results(tmp_path / "a.json")


def test_queries_that_are_not_scored_do_not_count():
    scores = {"easy": np.array([0.5, np.nan]), "medium": np.ones(2), "hard": np.ones(2)}
    results = Results("trainings", {}, (RunScores("a", 4, {"landmarks": scores}),))
    assert results.scores("a", "landmarks", "easy")[4].tolist() == [0.5]
    assert results.scores("a", "other", "easy") == {}
