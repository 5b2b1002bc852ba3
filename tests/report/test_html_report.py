import json
import os
import pathlib
import shutil
import stat

import pytest

from senet_jax import main as main_module
from senet_jax.metrics.saved import REPORT
from senet_jax.report.html_report import PAGE, PICTURE_BYTES, write_html_report
from senet_jax.system.errors import UserError
from tests.report.test_page import Document

# ml_collections loads a config file in an old way.
pytestmark = [
    pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning"),
    pytest.mark.usefixtures("nothing_is_computed"),
]

FIXTURES = pathlib.Path(__file__).parents[1] / "metrics" / "fixtures"


def test_the_page_of_an_evaluation_stands_there_when_it_ends(evaluated):
    """It is what the command makes of the same workdir."""
    written = (evaluated / PAGE).read_text(encoding="utf-8")
    assert write_html_report(evaluated) == evaluated / PAGE
    assert (evaluated / PAGE).read_text(encoding="utf-8") == written
    document = Document(written)
    labels = [text.partition(":")[0] for text in document.said("h4")]
    assert labels == ["search", "dba,alpha_qe", "aqe"] * 2
    names = {text for text in document.said("small") if text.endswith(".jpg")}
    assert names == {f"{name}.jpg" for name in "abcde"}
    # The broken one has no picture, wherever it is found; every query has one.
    assert document.said("p").count("no picture") == 2 * 3
    assert len(document.of("img")) == 2 * (1 + 3 * 4)
    assert "1 photograph could not be read" in written
    assert "Every database holds the distractors noise too" in written


def test_the_page_of_a_training(workdir):
    document = Document(write_html_report(workdir).read_text(encoding="utf-8"))
    assert document.said("h1") == ["Training of demo: town"]
    labels = [text.partition(":")[0] for text in document.said("h4")]
    assert labels == ["demo", "untrained"] * 2


@pytest.mark.parametrize(
    ("lost", "why"),
    [("ranks/town.npy", "cannot read"), ("world", "no gnd_town"), ("broken", "checksum")],
)
def test_without_lists_or_photographs_the_page_says_so(workdir, lost, why):
    if lost == "world":
        report = json.loads((workdir / REPORT).read_text())
        report["run"]["config"]["evaluation"]["data_root"] = str(workdir)
        (workdir / "town" / "jpg").mkdir(parents=True)
        (workdir / REPORT).write_text(json.dumps(report))
    elif lost == "broken":
        (workdir / "ranks" / "town.npy").write_bytes(b"x")
    else:
        (workdir / lost).unlink()
    written = write_html_report(workdir).read_text(encoding="utf-8")
    [reason] = [text for text in Document(written).said("p") if text.startswith("No ranked lists")]
    assert why in reason
    assert "Query by query" in written


@pytest.mark.parametrize("name", ["evaluated", "trained"])
def test_reports_of_the_version_before_have_a_page(tmp_path, name):
    shutil.copy(FIXTURES / f"{name}.json", tmp_path / REPORT)
    written = write_html_report(tmp_path).read_text(encoding="utf-8")
    assert "for an earlier version of senet_jax kept none" in written


def test_the_budget_is_that_of_a_page_of_a_few_megabytes():
    assert PICTURE_BYTES * 4 / 3 < 5e6


def test_a_workdir_without_a_report(tmp_path):
    with pytest.raises(UserError, match=r"has no report\.json"):
        write_html_report(tmp_path)
    assert not list(tmp_path.iterdir())


def test_a_page_that_cannot_be_written_is_a_warning_after_the_job(workdir, capsys):
    (workdir / PAGE).mkdir()
    (workdir / PAGE / "x").write_text("")
    before = (workdir / REPORT).read_bytes()
    main_module._write_page(workdir)
    said = capsys.readouterr()
    assert said.out == ""
    assert said.err.startswith("warning: there is no page of the results: cannot write")
    assert (workdir / REPORT).read_bytes() == before


def test_everyone_may_read_it_who_may_read_the_report(workdir):
    write_html_report(workdir)
    report, page = (stat.S_IMODE(os.stat(workdir / file).st_mode) for file in (REPORT, PAGE))
    assert report == page
