"""The commands of evaluations know what of them is done."""

import json

import numpy as np
import pytest

from senet_jax.metrics.evaluation_report import EvaluationReport
from senet_jax.metrics.protocols import PROTOCOLS
from senet_jax.metrics.run_report import Report
from senet_jax.metrics.saved import REPORT, write_report
from senet_jax.rerank.methods import make_chain
from senet_jax.study import plan
from senet_jax.study.comparisons import reference_of
from senet_jax.study.evaluations import evaluation, scores_in, tuned, tuning
from senet_jax.system.errors import UserError

METHOD = "alpha_qe(neighbours=20,alpha=1)"


def _scored(ap):
    names = ("q0", "q1")
    return EvaluationReport(names, {each.name: np.full((2, 4), ap) for each in PROTOCOLS})


def test_a_re_ranking_is_done_once_its_entry_is_there(tmp_path):
    given = tmp_path, "lite0", tmp_path / "weights", ["a", "b"], ["--config.data_root=d"]
    search, reranking = evaluation(*given), evaluation(*given, METHOD)
    assert f"--config.rerank={METHOD}" in reranking.arguments
    assert not any(flag.startswith("--config.rerank") for flag in search.arguments)
    assert not search.is_done() and not reranking.is_done()
    entries = {name: _scored(0.25) for name in ("a", "b", f"a+{METHOD}:blind")}
    write_report(tmp_path / REPORT, Report(entries))
    assert search.is_done() and not reranking.is_done()
    entries[f"b+{METHOD}:blind"] = _scored(0.5)
    write_report(tmp_path / REPORT, Report(entries))
    assert reranking.is_done()
    found = scores_in(tmp_path, [f"b+{METHOD}:blind", "c"])
    assert found.keys() == {f"b+{METHOD}:blind"}
    assert found[f"b+{METHOD}:blind"]["hard"].tolist() == [0.5, 0.5]


def test_what_was_tuned(tmp_path):
    path = tmp_path / "tuned.json"
    command = tuning([tmp_path / "g", tmp_path / "q"], [tmp_path / "h"], path)
    assert command.arguments[0] == "rerank.tune" and not command.is_done()
    value = {"chosen": {"method": METHOD}, "report": {"after": _scored(0.75).to_json()}}
    path.write_text(json.dumps(value))
    method, scores = tuned(path)
    assert command.is_done() and method == METHOD and scores["easy"].tolist() == [0.75, 0.75]
    path.write_text(json.dumps({"chosen": value["chosen"]}))
    with pytest.raises(UserError, match=r"holds no tuning: 'report'; remove it and run the study"):
        tuned(path)


@pytest.mark.parametrize("table", plan.LANDMARK_COMPARISONS.values(), ids=lambda table: table.name)
def test_methods_are_spelled_as_reports_have_them(table):
    assert reference_of(table) in table.rows
    for method in {row.method for row in table.rows} - {"", plan.TUNED}:
        assert str(make_chain(method)) == method
