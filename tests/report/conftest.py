import pathlib
import shutil

import pytest

from senet_jax import main as main_module
from senet_jax.features import described_list
from senet_jax.features import extract as extract_module
from senet_jax.system import runtime
from senet_jax.weights import save_weights
from tests.data.pictures import encoded, picture
from tests.oracles.lively_twin import lively_weights
from tests.report.workdirs import write_town, write_training

ROOT = pathlib.Path(__file__).parents[2]


@pytest.fixture(scope="package")
def world(tmp_path_factory):
    """A dataset, and distractors of which one is broken."""
    folder = tmp_path_factory.mktemp("report")
    write_town(folder)
    (folder / "noise" / "jpg").mkdir(parents=True)
    (folder / "noise" / "jpg" / "d.jpg").write_bytes(encoded(picture(40, 48, 9)))
    (folder / "noise" / "jpg" / "e.jpg").write_bytes(b"no picture")
    return folder


@pytest.fixture(scope="package")
def trained(world):
    """The workdir of a training that ended."""
    return write_training(world, world / "trained")


@pytest.fixture(scope="package")
def evaluated(world):
    """The workdir of an evaluation with two re-rankings, one after the other."""
    workdir = world / "evaluated"
    save_weights(world / "weights", lively_weights("tiny_baseline"))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(runtime, "tune_for_inference", lambda: None)
        for method in ("dba,alpha_qe", "aqe"):
            main_module.main(
                [
                    "main",
                    f"--config={ROOT}/configs/evaluate.py:tiny_baseline",
                    f"--workdir={workdir}",
                    f"--config.weights={world / 'weights'}",
                    f"--config.data_root={world}",
                    "--config.datasets=town",
                    "--config.distractors=noise",
                    "--config.scales=(1.0,)",
                    f"--config.rerank={method}",
                ]
            )
    return workdir


@pytest.fixture
def workdir(trained, tmp_path):
    """A copy of the training's that the test may break."""
    return shutil.copytree(trained, tmp_path / "run")


@pytest.fixture
def nothing_is_computed(monkeypatch):
    """No network is run and nothing is searched for a picture."""

    def computed_again(*_, **__):
        raise AssertionError("computed again")

    for name in ("extract_batches", "plan_job"):
        monkeypatch.setattr(extract_module, name, computed_again)
        monkeypatch.setattr(described_list, name, computed_again)
    monkeypatch.setattr("senet_jax.search.scores._dot_products", computed_again)
