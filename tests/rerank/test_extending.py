"""The re-rankers of `docs/extending.md`, added from outside of the package."""

import csv
import json
import sys

import numpy as np
import pytest

from senet_jax.main import main
from senet_jax.rerank.methods import METHODS, make_chain, methods_help
from senet_jax.system.errors import UserError
from senet_jax.weights import save_weights
from tests.data.pictures import encoded, picture, write_dataset
from tests.documents import python_under
from tests.oracles.lively_twin import lively_weights
from tests.processes import ROOT
from tests.rerank.retrievals import retrieval

# ml_collections loads a config file in an old way.
pytestmark = pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")


@pytest.fixture
def outside(tmp_path):
    """A folder with a module of methods; what it adds goes with the test."""
    before = dict(METHODS)
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "rerankers.py").write_text(python_under("extending", "A re-ranker"))
    yield folder
    METHODS.clear()
    METHODS.update(before)
    for name in [name for name in sys.modules if name.partition(".")[0] == "outside"]:
        del sys.modules[name]


@pytest.fixture
def added(outside, monkeypatch):
    monkeypatch.syspath_prepend(outside.parent)
    import outside.rerankers


def test_methods_from_outside_are_in_chains_help_and_errors(added):
    found = retrieval(rows=60, length=25)
    augmented = make_chain("dba")(found)
    reranked = make_chain("dba,centre_first(top=20)")(found)
    [rows] = augmented.database.parts
    for query, items in enumerate(augmented.ranked.ranks):
        scores = rows[items[:20]] @ rows[items[:20]].mean(axis=0)
        expected = [*items[:20][np.argsort(-scores, kind="stable")], *items[20:]]
        assert reranked.ranked.ranks[query].tolist() == expected
    assert (reranked.ranked.ranks != augmented.ranked.ranks).any()
    assert "centre_first         Brings a shortlist into the order of" in methods_help()
    assert "best_matches         The mean similarity of" in methods_help()
    with pytest.raises(UserError, match=r"its settings: top \(an integer from 1; default 50\)"):
        make_chain("centre_first(size=3)")
    with pytest.raises(UserError, match="best_matches looks at photographs"):
        make_chain("best_matches")(found)


@pytest.mark.slow
def test_a_config_that_imports_them_evaluates_them(outside, tmp_path, run_command_here):
    config = (ROOT / "configs" / "evaluate.py").read_text()
    config = config.replace("\nfrom ", "\nimport outside.rerankers\nfrom ", 1)
    (outside / "evaluate.py").write_text(config)
    write_dataset(tmp_path, "town", boxes=[(0, 0, 48, 40), (4, 4, 40, 36)])
    (tmp_path / "town" / "jpg").mkdir(exist_ok=True)
    for seed, name in enumerate("abcqr"):
        image = encoded(picture(40, 48, seed=seed))
        (tmp_path / "town" / "jpg" / f"{name}.jpg").write_bytes(image)
    save_weights(tmp_path / "weights", lively_weights("tiny_baseline"))
    text = "best_matches(top=2),centre_first(top=3)"
    arguments = [
        *("main", f"--config={outside / 'evaluate.py'}:tiny_baseline"),
        *(f"--workdir={tmp_path / 'run'}", f"--config.weights={tmp_path / 'weights'}"),
        *(f"--config.data_root={tmp_path}", "--config.datasets=town", "--config.scales=(1.0,)"),
        f"--config.rerank={text}",
    ]
    done = run_command_here(lambda: main(arguments))
    assert done.returncode == 0, done.stderr
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert list(report) == ["town", f"town+{text}:blind", f"town+{text}:protocol", "run"]
    assert report[f"town+{text}:blind"]["cost"]["pairs_per_query"] == 2
    with (tmp_path / "run/rerank/town/best_matches(top=2).csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) >= 4 and all(-1 <= float(row["score"]) <= 1.001 for row in rows)
