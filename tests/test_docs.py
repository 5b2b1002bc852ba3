"""The pages in `docs/`: they build, their links lead somewhere, and what they show is run."""

import importlib.util
import json
import os
import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest

import senet_jax
from senet_jax.export.targets import TARGETS
from senet_jax.rerank.methods import METHODS
from senet_jax.weights import load_weights, save_weights
from tests.data.pictures import picture
from tests.documents import python_blocks
from tests.installed import REPOSITORY
from tests.oracles.lively_twin import lively_weights
from tests.tolerances import BATCHED

PAGES = {path.stem: path.read_text() for path in sorted((REPOSITORY / "docs").glob("*.md"))}
# By which test the Python of a page is run.
RUN_BY = {
    "api": "tests/test_snippets.py",
    "exporting": "tests/test_docs.py",
    "extending": "tests/models/test_extending.py",
    "mathematics": "tests/test_docs.py",
}


def test_the_python_of_every_page_is_run():
    """A test that runs a page's names the page."""
    assert {name for name, text in PAGES.items() if python_blocks(text)} == set(RUN_BY)
    for page, test in RUN_BY.items():
        assert f'"{page}' in (REPOSITORY / test).read_text()


@pytest.mark.parametrize("name", PAGES)
def test_the_json_of_a_page_is_json(name):
    for block in re.findall(r"^```json\n(.*?)^```$", PAGES[name], re.MULTILINE | re.DOTALL):
        json.loads(block)


def test_the_page_on_the_mathematics():
    names = {}
    for block in python_blocks(PAGES["mathematics"]):
        exec(block, names)
    assert names["s"].shape == (5, 6, 7, 7, 4) and names["s"].max() > 0


def test_the_table_of_the_other_systems_is_the_written_one():
    specification = importlib.util.spec_from_file_location(
        "systems", REPOSITORY / "docs/systems.py"
    )
    systems = importlib.util.module_from_spec(specification)
    sys.modules[specification.name] = systems  # Where a dataclass looks for its module.
    specification.loader.exec_module(systems)
    assert systems.page(PAGES["systems"]) == PAGES["systems"], "run python docs/systems.py"
    assert f"\n{systems.BEGIN}| row of Table S1 |" in PAGES["systems"]
    for row in systems.ROWS:
        assert not row.test or (REPOSITORY / row.test).is_file(), row.test
        for method in re.findall(r"rerank=(\w+)", row.here):
            assert method in METHODS


@pytest.mark.slow
def test_the_page_on_exporting(tmp_path, monkeypatch):
    """Each program is loaded as the page says, and describes at the scales as it says."""
    pytest.importorskip("onnx", reason="onnx is not installed")
    monkeypatch.chdir(tmp_path)
    save_weights("weights", lively_weights("tiny_baseline"))
    pathlib.Path("exported").mkdir()
    for target in TARGETS.values():
        target.write(pathlib.Path("exported"), load_weights("weights"), "")
    image = picture(52, 64)
    ours = senet_jax.load("weights").describe(image)[0]
    first, *loading = python_blocks(PAGES["exporting"])
    assert len(loading) == len(TARGETS)
    names = {}
    exec(first, names)
    for block in loading:
        exec(block, names)
        assert np.linalg.norm(names["describe"](names["program"], image) - ours) <= BATCHED


@pytest.mark.slow
def test_the_notebook(tmp_path):
    """Its cells, one after the other, in a process of their own."""
    notebook = json.loads((REPOSITORY / "docs" / "demo.ipynb").read_text())
    cells = ["".join(c["source"]) for c in notebook["cells"] if c["cell_type"] == "code"]
    assert len(cells) > 4 and not any(c.get("outputs") for c in notebook["cells"])
    (tmp_path / "cells.py").write_text("\n\n".join(cells))
    environment = os.environ | {
        "PYTHONPATH": str(REPOSITORY),
        "MPLBACKEND": "agg",
        "TMPDIR": str(tmp_path),
        "XLA_FLAGS": "--xla_force_host_platform_device_count=1",
    }
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "cells.py"],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "the first query finds" in done.stdout and "medium" in done.stdout


@pytest.mark.slow
def test_the_pages_build_and_their_links_lead_somewhere(tmp_path):
    for package in ("mkdocs", "material", "mkdocstrings_handlers"):
        if importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed; requirements-docs.txt names it")
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", tmp_path / "site"],
        cwd=REPOSITORY,
        env=os.environ | {"NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    reference = (tmp_path / "site" / "reference.html").read_text()
    assert 'id="senet_jax.api.Model.describe"' in reference
    # Whoever opens the site asks nobody else for anything.
    for page in (tmp_path / "site").glob("*.html"):
        loaded = re.findall(r'<(?:script|img|iframe)[^>]* src="([^"]+)"', page.read_text())
        loaded += re.findall(r'<link[^>]* href="([^"]+)"[^>]* rel="stylesheet"', page.read_text())
        assert not [address for address in loaded if "//" in address], page
