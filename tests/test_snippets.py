"""The Python that the README and the page on the library show, run as it stands there."""

import json

import pytest

from senet_jax import api
from senet_jax.weights import save_weights
from tests.data.pictures import encoded, picture
from tests.documents import python_blocks
from tests.installed import REPOSITORY
from tests.oracles.lively_twin import lively_weights


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """The weights, photographs and ground truth that the texts speak of; the smallest network."""
    save_weights(tmp_path / "weights" / "r50", lively_weights("demo"))
    for seed, name in enumerate(("a", "b", "c", "query")):
        (tmp_path / f"{name}.jpg").write_bytes(encoded(picture(48, 64, seed=seed)))
    entry = {"easy": [0], "hard": [1], "junk": []}
    truth = {"imlist": ["a", "b", "c"], "qimlist": ["query"], "gnd": [entry]}
    (tmp_path / "gnd_town.json").write_text(json.dumps(truth))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(api, "SCALES", (1.0,))  # A third of what has to be compiled.
    return tmp_path


@pytest.mark.slow
def test_the_example_of_the_readme(folder, capsys):
    (block,) = python_blocks((REPOSITORY / "README.md").read_text())
    assert len(block.replace("\n\n", "\n").splitlines()) == 5
    exec(block, {})
    ranks = capsys.readouterr().out.partition("]")[0]
    assert sorted(ranks.strip("[").split()) == ["0", "1", "2"]


@pytest.mark.slow
def test_the_page_on_the_library(folder, capsys):
    names = {}
    for block in python_blocks((REPOSITORY / "docs" / "api.md").read_text()):
        exec(block, names)
    said = capsys.readouterr().out
    assert said.startswith("image 0 is float32[224, 224, 3], not uint8; give the pixels as ")
    assert "medium" in said
    assert names["heat"].shape == names["a"]["fused"].shape[:2]
