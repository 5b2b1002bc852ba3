"""What users bring, wrong in one way each, through the job `evaluate`: one line, exit code 2."""

import pathlib

import h5py
import numpy as np
import pytest

from senet_jax.convert.sources import read_source
from senet_jax.main import main
from senet_jax.system import runtime
from senet_jax.weights import save_weights
from tests.data.pictures import encoded, picture, write_dataset
from tests.oracles.delg_files import delg_local

# ml_collections loads a config file in an old way.
pytestmark = pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")

CONFIG = pathlib.Path(__file__).parents[2] / "configs" / "evaluate.py"
POINTS = np.array([[9.0, 9], [20, 30], [30, 20], [33, 33]])
FILE = delg_local(POINTS, np.eye(4), np.ones(4), np.ones(4))
PAIRS = "query,item,global,score\n" + "".join(f"{q},{i},0,{i}\n" for q in (0, 1) for i in range(3))


@pytest.fixture(scope="module")
def town(tmp_path_factory):
    root = tmp_path_factory.mktemp("given")
    write_dataset(root, "town", boxes=[(0, 0, 48, 40), (4, 4, 40, 36)])
    for seed, name in enumerate("abcqr"):
        content = encoded(picture(40, 48, seed=seed))
        (root / "town" / "jpg" / f"{name}.jpg").write_bytes(content)
    save_weights(root / "weights", read_source("thumbnails")[0])
    return root


@pytest.fixture
def evaluate(town, run_command_here, monkeypatch):
    """In one workdir, in which all is described after the first time."""
    # The memory of this process stays as it is.
    monkeypatch.setattr(runtime, "tune_for_inference", lambda: None)

    def run(*flags):
        arguments = [
            "main",
            f"--config={CONFIG}:thumbnails",
            f"--workdir={town / 'run'}",
            f"--config.weights={town / 'weights'}",
            f"--config.data_root={town}",
            "--config.datasets=town",
            "--config.scales=(1.0,)",
            *flags,
        ]
        return run_command_here(lambda: main(arguments))

    return run


def _refused(done, told):
    assert done.returncode == 2
    line = done.stderr.splitlines()[-1]
    assert line.startswith("error: ") and told in line, line


def _h5(points=POINTS, rows=None, **more):
    return {"keypoints": points, "descriptors": np.eye(4) if rows is None else rows, **more}


@pytest.mark.parametrize(
    ("image", "told"),
    [
        (FILE, None),
        (FILE[:-3], "a.delg_local: it ends within"),
        (delg_local(POINTS, [[1], [1], [1], [1, 2]], POINTS[:, 0], POINTS[:, 0]), "1 to 2 numbers"),
        (delg_local(POINTS + 20, np.eye(4), np.ones(4), np.ones(4)), "outside of its photograph"),
        (delg_local(POINTS, np.eye(4), np.ones(4), np.full(4, np.nan)), "is not finite"),
        (delg_local(POINTS, np.eye(4, 5), np.ones(4), np.ones(4)), "have 4 and 5 numbers"),
        (b"", None),
        (None, "a.npz or a.delg_local; config.local_features has one for every photograph"),
        (_h5(), None),
        (_h5(POINTS[:3]), "descriptors is f[4, 4]"),
        (_h5(POINTS + 20), "outside of its photograph"),
        (_h5(scores=np.full(4, np.nan)), "is not finite"),
        (_h5(rows=np.full((4, 4), np.inf)), "is not finite"),
        (_h5(rows=np.eye(5, 4)), "have 4 and 5 numbers"),
        (_h5(image_size=np.array([480, 400])), "480x400 pixels, and this one has 48x40"),
        ({}, "has no group a.jpg; config.local_features has one for every photograph"),
    ],
)
def test_local_features(evaluate, tmp_path, image, told):
    """Of one photograph they are as given, of the others right."""
    if isinstance(image, dict):
        local = tmp_path / "local.h5"
        with h5py.File(local, "w") as file:
            for name in "abcqr":
                arrays = image if name == "a" else _h5()
                for each, array in arrays.items():
                    file[f"{name}.jpg/{each}"] = array
    else:
        local = tmp_path
        for name in "abcqr":
            content = image if name == "a" else FILE
            if content is not None:
                (tmp_path / f"{name}.delg_local").write_bytes(content)
    done = evaluate("--config.rerank=gv", f"--config.local_features={local}")
    if told is None:
        assert done.returncode == 0, done.stderr
    else:
        _refused(done, told)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (PAIRS, None),
        (PAIRS.replace("1,2,0,2\n", ""), "no score of query 1 and item 2, and of 0 other pairs"),
        (PAIRS + "1,2,0,2\n", "line 8: query 1 and item 2 stand there twice"),
        (PAIRS + "1,3,0,2\n", "line 8: the item is '3'; it has to be from 0 to 2"),
        (PAIRS.replace("0,1,0,1", "0,1,0,nan"), "line 3: the score is 'nan'"),
        (PAIRS[:-3], "line 7: ['1', '2', '0'] has 3 values, not 4"),
    ],
)
def test_scores_of_pairs(evaluate, tmp_path, text, told):
    path = tmp_path / "pairs.csv"
    path.write_text(text)
    done = evaluate("--config.rerank=pairs", f"--config.pair_scores={path}")
    if told is None:
        assert done.returncode == 0, done.stderr
    else:
        _refused(done, told)
