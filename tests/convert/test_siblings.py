"""A checkpoint of one system is none of another, at full size: one line, exit code 2."""

import functools

import pytest
import torch

from senet_jax.convert.__main__ import main
from senet_jax.convert.mapping import canonical_naming, extra_tables, table
from senet_jax.models.registry import ARCHITECTURES


@functools.cache
def _state(model):
    """All that a checkpoint of a network has, by its authors' names, in zeros."""
    architecture, naming = ARCHITECTURES[model], canonical_naming(ARCHITECTURES[model])
    rows = list(table(architecture, naming))
    if model.startswith("cvnet"):  # With its re-ranker.
        rows += [row for extra in extra_tables(architecture, naming) for row in extra]
    return {row.key: torch.zeros(row.shape, dtype=torch.float16) for row in rows}


def _checkpoint(model):
    state = dict(_state(model))
    if not model.startswith("gem"):
        return {"model_state": state}
    meta = {
        key.rpartition(".")[2]: state.pop(key).double().numpy() for key in [*state] if "Lw" in key
    }
    return {"meta": {"Lw": {"retrieval-SfM-120k": {"ms": meta}}}, "state_dict": state}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    """The file of a checkpoint of a network."""
    folder = tmp_path_factory.mktemp("siblings")

    @functools.cache
    def save(model):
        torch.save(_checkpoint(model), folder / f"{model}.pth")
        return folder / f"{model}.pth"

    return save


@pytest.mark.slow
@pytest.mark.parametrize(
    ("of", "asked"),
    [
        ("cvnet_r50", "gem_r50"),
        ("cvnet_r50", "r50"),
        ("cvnet_r50", "resnet50"),
        ("gem_r50", "gem_r101"),
        ("gem_r50", "r50"),
        ("gem_r50", "resnet50"),
        ("r50", "cvnet_r50"),
        ("r50", "gem_r50"),
        ("r50", "r101"),
        ("disk", "lite0"),
        ("lite0", "disk"),
        ("lite0", "r50"),
    ],
)
def test_a_checkpoint_of_a_sibling(saved, run_command_here, tmp_path, of, asked):
    done = run_command_here(main, saved(of), tmp_path / "weights", f"--model={asked}")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    assert asked in done.stderr and not (tmp_path / "weights").exists()
