"""One table from the variables here to the keys of PyTorch checkpoints, read in both directions.

Three namings are known. `authors`: SENet's checkpoints and the pycls model zoo, whose trunk it is.
`cvnet`: CVNet's, the same under `encoder_q.` and with a re-ranker beside. `torchvision`: the
ResNets of torchvision and timm, which expect RGB where the other two expect BGR; the input axis of
their stem's kernel is flipped on the way, so that the weights here always take BGR.
"""

import dataclasses
import functools
import itertools
import re
from collections.abc import Callable, Collection
from typing import Literal

import numpy as np

from senet_jax.models.architecture import Architecture
from senet_jax.weights import tensor_shapes

Naming = Literal["authors", "cvnet", "torchvision"]


@dataclasses.dataclass(frozen=True)
class Layout:
    """How an array's axes are ordered in PyTorch (`to_torch`) and here (`from_torch`)."""

    to_torch: Callable[[np.ndarray], np.ndarray]
    from_torch: Callable[[np.ndarray], np.ndarray]


SAME = Layout(lambda a: a, lambda a: a)
LINEAR = Layout(lambda a: a.T, lambda a: a.T)  # [in out] <-> [out in]
CONV = Layout(lambda a: a.transpose(3, 2, 0, 1), lambda a: a.transpose(2, 3, 1, 0))
# The offset convolutions are 3-D in PyTorch, over (1, u, v): [u v in out] <-> [out in 1 u v].
OFFSET_CONV = Layout(
    lambda a: a.transpose(3, 2, 0, 1)[:, :, None], lambda a: a[:, :, 0].transpose(2, 3, 1, 0)
)
RGB_CONV = Layout(lambda a: CONV.to_torch(a)[:, ::-1], lambda a: CONV.from_torch(a[:, ::-1]))


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of the table.

    Attributes:
        path: of the variable here.
        key: in the checkpoint.
        shape: in the checkpoint.
        layout: between the two.
    """

    path: str
    key: str
    shape: tuple[int, ...]
    layout: Layout


_LEAVES = {
    "kernel": "weight",
    "bias": "bias",
    "scale": "weight",
    "mean": "running_mean",
    "var": "running_var",
    "p": "p",
}
# Module paths here -> the authors' module names; the first that fits, on the whole path.
_AUTHORS_MODULES = (
    (r"trunk/(.*)", r"\1"),
    (r"ssm/reduce", "SSM.ch_reduction_encoder"),
    (r"ssm/encoder/conv_(\d)", r"SSM.SSE.conv_in.\1.0"),
    (r"ssm/encoder/bn_(\d)", r"SSM.SSE.conv_in.\1.1"),
    (r"ssm/encoder/expand", "SSM.SSE.conv1x1_out.0"),
    (r"ssm/encoder/expand_bn", "SSM.SSE.conv1x1_out.1"),
    (r"ssm/fuse_0", "SSM.FFN.0"),
    (r"ssm/fuse_1", "SSM.FFN.2"),
    (r"pool", "head.pool"),
    (r"fc", "head.fc"),
)
_CONV_NUMBER = {"a": 1, "b": 2, "c": 3}
# The authors' module names -> torchvision's and timm's.
_TORCHVISION_MODULES = (
    (r"stem\.conv", lambda m: "conv1"),
    (r"stem\.bn", lambda m: "bn1"),
    (r"s(\d)\.b(\d+)\.f\.([abc])", lambda m: f"{_block(m)}.conv{_CONV_NUMBER[m[3]]}"),
    (r"s(\d)\.b(\d+)\.f\.([abc])_bn", lambda m: f"{_block(m)}.bn{_CONV_NUMBER[m[3]]}"),
    (r"s(\d)\.b(\d+)\.proj", lambda m: f"{_block(m)}.downsample.0"),
    (r"s(\d)\.b(\d+)\.bn", lambda m: f"{_block(m)}.downsample.1"),
    (r"head\.fc", lambda m: "fc"),
)


def _block(match: re.Match) -> str:
    return f"layer{match[1]}.{int(match[2]) - 1}"


@functools.cache
def table(architecture: Architecture, naming: Naming) -> list[Row]:
    """Every variable of a network with its key under a naming."""
    rows = []
    for path, shape in tensor_shapes(architecture).items():
        _, *modules, leaf = path.split("/")
        key = _module_key("/".join(modules), naming)
        layout = _layout(path, shape, naming)
        torch_shape = layout.to_torch(np.broadcast_to(np.zeros(()), shape)).shape
        rows.append(Row(path, f"{key}.{_LEAVES[leaf]}", torch_shape, layout))
    return rows


def _module_key(module: str, naming: Naming) -> str:
    pattern, template = next(entry for entry in _AUTHORS_MODULES if re.fullmatch(entry[0], module))
    key = re.fullmatch(pattern, module).expand(template).replace("/", ".")
    if naming == "cvnet":
        return f"encoder_q.{key}"
    if naming == "torchvision":
        return next(
            rename(match)
            for pattern, rename in _TORCHVISION_MODULES
            if (match := re.fullmatch(pattern, key))
        )
    return key


def _layout(path: str, shape: tuple[int, ...], naming: Naming) -> Layout:
    if len(shape) == 1:
        return SAME
    if len(shape) == 2:
        return LINEAR
    if "/encoder/conv_" in path:
        return OFFSET_CONV
    if naming == "torchvision" and path == "params/trunk/stem/conv/kernel":
        return RGB_CONV
    return CONV


def canonical_naming(architecture: Architecture) -> Naming:
    """The naming in which a network's weights are written: that of its authors."""
    return "cvnet" if architecture.head == "gem_learnable" else "authors"


def carried_rows(architecture: Architecture, naming: Naming) -> list[Row]:
    """What a checkpoint may hold besides; a row's path is its key in the canonical naming."""
    canonical = table(architecture, canonical_naming(architecture))
    rows = [
        Row(_counter(known.key), _counter(row.key), (), SAME)
        for row, known in zip(table(architecture, naming), canonical, strict=True)
        if row.key.endswith(_MEAN)
    ]
    if naming == "cvnet":
        rows += [Row(key, key, shape, SAME) for key, shape in reranker_shapes().items()]
    return rows


_MEAN = ".running_mean"


def _counter(key: str) -> str:
    return f"{key.removesuffix(_MEAN)}.num_batches_tracked"


# The centre-pivot convolutions of CVNet's re-ranker: block -> (kernel, widths).
_RERANKER_BLOCKS = {1: (5, (9, 16)), 2: (3, (16, 16, 32)), 3: (3, (32, 32, 32, 64))} | {
    4: (3, (64, 64, 64, 128))
}


def reranker_shapes() -> dict[str, tuple[int, ...]]:
    """Key -> shape of the re-ranker in a CVNet checkpoint; the same for every trunk.

    Source: the authors' public code of CVNet.
    """
    shapes: dict[str, tuple[int, ...]] = {
        f"conv2ds.{scale}.weight": (256, 1024, 3, 3) for scale in range(3)
    }
    for block, (kernel, widths) in _RERANKER_BLOCKS.items():
        for layer, (inputs, outputs) in enumerate(itertools.pairwise(widths)):
            prefix = f"cv_learner.block{block}"
            for conv in ("conv1", "conv2"):
                key = f"{prefix}.{3 * layer}.{conv}"
                shapes[f"{key}.weight"] = (outputs, inputs, kernel, kernel)
                shapes[f"{key}.bias"] = (outputs,)
            shapes[f"{prefix}.{3 * layer + 1}.weight"] = (outputs,)
            shapes[f"{prefix}.{3 * layer + 1}.bias"] = (outputs,)
    for layer, outputs in ((0, 128), (2, 2)):
        shapes[f"cv_learner.mlp.{layer}.weight"] = (outputs, 128)
        shapes[f"cv_learner.mlp.{layer}.bias"] = (outputs,)
    return shapes


def naming_of(keys: Collection[str]) -> Naming:
    """Whose names a checkpoint's keys are."""
    if any(key.startswith("encoder_q.") for key in keys):
        return "cvnet"
    if "conv1.weight" in keys or any(key.startswith("layer1.") for key in keys):
        return "torchvision"
    return "authors"


def depths_of(keys: Collection[str]) -> tuple[int, ...]:
    """How many residual blocks the keys name in each of four stages."""
    blocks = {
        m.groups() for key in keys if (m := re.match(r"(?:.*\.)?(?:s|layer)(\d)\.b?(\d+)\.", key))
    }
    return tuple(sum(stage == str(index) for stage, _ in blocks) for index in range(1, 5))
