"""The page as Chromium runs it."""

import re
import shutil
import subprocess

import numpy as np
import pytest

from tests.report.test_page import made, report, rows_of

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="no chromium or google-chrome is installed"),
]
ENTRIES = {"town": report([0.5, np.nan, 0.25, 1.0], ("b10", "none", "b9", "a"))}
CAPTION = "town: the AP of every query"


@pytest.fixture
def run(tmp_path):
    """The document that is left of a page when its scripts have run."""

    def dump(source):
        (tmp_path / "page.html").write_text(source, encoding="utf-8")
        options = ["--headless=new", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=2000"]
        options += [f"--user-data-dir={tmp_path / 'profile'}", "--dump-dom"]
        command = [CHROMIUM, *options, (tmp_path / "page.html").as_uri()]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return dump


@pytest.mark.parametrize(
    ("clicks", "order", "direction"),
    [
        ([], ["b9", "b10", "a", "none"], "ascending"),
        ([2], ["a", "b10", "b9", "none"], "descending"),
        ([2, 2], ["b9", "b10", "a", "none"], "ascending"),
        ([0], ["a", "b9", "b10", "none"], "ascending"),
        ([0, 0], ["none", "b10", "b9", "a"], "descending"),
        ([0, 3], ["b9", "b10", "a", "none"], "ascending"),
    ],
)
def test_a_click_on_a_heading_sorts(run, clicks, order, direction):
    """Queries without a score come last in both directions."""
    source = re.sub(
        '<meta http-equiv="Content-Security-Policy"[^>]*>', "", made(ENTRIES, galleries={})
    )
    clicked = "".join(
        f"document.querySelectorAll('table.sortable thead button')[{column}].click();"
        for column in clicks
    )
    document = run(source.replace("</body>", f"<script>{clicked}</script></body>"))
    assert [row[0] for row in rows_of(document, CAPTION)[1:]] == order
    sorted_by = re.findall(r'<th[^>]*aria-sort="(\w+)"[^>]*><button type="button">(.*?)<', document)
    column = ["Query", "Easy AP", "Medium AP", "Hard AP"][clicks[-1] if clicks else 2]
    assert sorted_by == [(direction, column)]


def test_the_policy_lets_its_own_script_run_and_no_other(run):
    bad = "<script>document.body.append('it ran')</script>"
    bad += "<img src=x onerror=\"document.body.append('it ran')\">"
    document = run(made(ENTRIES, galleries={}).replace("</main>", f"{bad}</main>"))
    shown = re.sub("(?s)<script.*?</script>|<img[^>]*>", "", document)
    assert "it ran" in document and "it ran" not in shown
    assert shown.count('<button type="button">') == 4
