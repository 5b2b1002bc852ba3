"""The baseline of the benchmarks: the authors' own PyTorch code, from a checkout of it.

Their model, their reader and their loops run unchanged, except that `.cuda()` does nothing where
PyTorch has no GPU, the dataset stands under the name `roxford5k`, and `np.in1d` is `np.isin`. Torch
uses all cores, their loader its four processes. A checkout of github.com/sungonce/SENet is needed,
or of sungonce/CVNet where it is about re-ranking (one of the two in a process: their modules have
the same names), and `yacs`, `pyyaml` and `tqdm`; nothing of them is part of this project.
"""

import contextlib
import io
import os
import pathlib
import pickle
import shutil
import sys
import tempfile
from collections.abc import Iterator

import numpy as np
import torch

from senet_jax.convert.translate import state_from_weights
from senet_jax.convert.twin import Twin
from senet_jax.data.revisitop import Dataset
from senet_jax.weights import Weights

NAME = "roxford5k"


def load_model(checkout: str, weights: Weights) -> torch.nn.Module:
    """Their SENet with our weights, in evaluation mode.

    A network of sizes that theirs do not have is the project's twin of it in PyTorch.
    """
    _use(checkout)
    from core.config import cfg
    from model.SENet_model import SENet

    if weights.architecture.name not in ("r50", "r101", "r152"):
        return _with_weights(_TwinThatDescribes(weights.architecture), weights)
    cfg.SENET.RESNET_DEPTH = _depth(weights)
    return _with_weights(SENet(cfg.SENET), weights)


class _TwinThatDescribes(Twin):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return super().forward(images)["descriptor"]


def load_reranker(checkout: str, weights: Weights) -> torch.nn.Module:
    """Their CVNet-Rerank with our weights, in evaluation mode."""
    _use(checkout)
    from model.CVNet_Rerank_model import CVNet_Rerank

    return _with_weights(CVNet_Rerank(_depth(weights), weights.architecture.outputs), weights)


def _use(checkout: str) -> None:
    sys.path.insert(0, str(pathlib.Path(checkout).resolve()))
    if not torch.cuda.is_available():
        torch.Tensor.cuda = lambda self, *_, **__: self
    torch.set_num_threads(os.cpu_count())
    np.in1d = np.isin  # pyright: ignore[reportAttributeAccessIssue]


def _depth(weights: Weights) -> int:
    return {6: 50, 23: 101, 36: 152}[weights.architecture.depths[2]]


def _with_weights(model: torch.nn.Module, weights: Weights) -> torch.nn.Module:
    state = state_from_weights(weights)
    own = model.state_dict()
    own |= {key: torch.from_numpy(np.ascontiguousarray(state[key])) for key in state}
    model.load_state_dict(own)
    return model.cuda().eval()


@contextlib.contextmanager
def under_their_name(dataset: Dataset) -> Iterator[str]:
    """A data folder in which a dataset stands as `roxford5k`."""
    truth = dataset.ground_truth
    plain = {
        "imlist": list(truth.image_names),
        "qimlist": list(truth.query_names),
        "gnd": [
            {"bbx": truth.boxes[i].tolist()}
            | {kind: getattr(truth, kind)[i].tolist() for kind in ("easy", "hard", "junk")}
            for i in range(len(truth.query_names))
        ],
    }
    root = pathlib.Path(tempfile.mkdtemp())
    try:
        (root / NAME).mkdir()
        (root / NAME / "jpg").symlink_to(dataset.images[0].folder.resolve())
        (root / NAME / f"gnd_{NAME}.pkl").write_bytes(pickle.dumps(plain))
        yield str(root)
    finally:
        shutil.rmtree(root)


def extract(model: torch.nn.Module, root: str, part: str, scales: list[float]) -> np.ndarray:
    """Their descriptors of `query` or `db`, float[n d]."""
    from test.test_utils import extract_feature

    with contextlib.redirect_stderr(io.StringIO()):
        return extract_feature(model, root, NAME, f"gnd_{NAME}.pkl", part, scales)


def rerank(
    model: torch.nn.Module, root: str, queries: np.ndarray, database: np.ndarray, top: int
) -> tuple[dict[tuple[int, int], float], dict[str, np.ndarray]]:
    """Their re-ranking of what descriptors find, with the benchmark's protocols.

    Their whole test runs, except that descriptors are given and not extracted.

    Returns:
        The score of each pair (item, query), and for each protocol the ranks int[n q].
    """
    from test import test_model

    extracted = {"query": queries, "db": database}
    found = {}
    own = test_model.rerank_ranks_revisitop

    def kept(cfg, topk, ranks, similarities, scores, ratio):
        found["scores"] = {pair: float(score) for pair, score in scores.items()}
        found["ranks"] = own(cfg, topk, ranks, similarities, scores, ratio)
        return found["ranks"]

    test_model.rerank_ranks_revisitop = kept
    test_model.extract_feature = lambda *arguments: extracted[arguments[4]]
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        test_model.test_model(model, root, [NAME], [1.0], [top])
    return found["scores"], dict(zip(("easy", "medium", "hard"), found["ranks"], strict=True))
