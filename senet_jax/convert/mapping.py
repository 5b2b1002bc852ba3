"""One table from the variables here to the keys of PyTorch checkpoints, read in both directions.

Three namings are known. `authors`: SENet's checkpoints and the pycls model zoo, whose trunk it is.
`cvnet`: CVNet's, the same under `encoder_q.` and with a re-ranker beside. `torchvision`: the
ResNets of torchvision and timm, which expect RGB where the other two expect BGR; the input axis of
their stem's kernel is flipped on the way, so that the weights here always take BGR.
"""

import dataclasses
import functools
import re
from collections.abc import Callable, Collection
from typing import Literal

import numpy as np

from senet_jax.models.architecture import Architecture
from senet_jax.models.cvnet import reranker_shapes
from senet_jax.weights import flatten, tensor_shapes

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
    return [
        _row(path, shape, _module_key("/".join(path.split("/")[1:-1]), naming), naming)
        for path, shape in tensor_shapes(architecture).items()
    ]


def _row(path: str, shape: tuple[int, ...], module_key: str, naming: Naming) -> Row:
    layout = _layout(path, shape, naming)
    torch_shape = layout.to_torch(np.broadcast_to(np.zeros(()), shape)).shape
    leaf = path.rpartition("/")[2]
    return Row(path, f"{module_key}.{_LEAVES[leaf]}", torch_shape, layout)


def _module_key(module: str, naming: Naming) -> str:
    pattern, template = next(entry for entry in _AUTHORS_MODULES if re.fullmatch(entry[0], module))
    key = re.fullmatch(pattern, module).expand(template).replace("/", ".")
    if naming == "cvnet":
        return f"encoder_q.{key}"
    if naming == "torchvision":
        return _renamed(key, _TORCHVISION_MODULES)
    return key


def _renamed(module: str, names: tuple[tuple[str, Callable[[re.Match], str]], ...]) -> str:
    return next(
        rename(match) for pattern, rename in names if (match := re.fullmatch(pattern, module))
    )


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
        rows += [Row(row.key, row.key, row.shape, SAME) for row in reranker_table(architecture)]
    return rows


_MEAN = ".running_mean"


def _counter(key: str) -> str:
    return f"{key.removesuffix(_MEAN)}.num_batches_tracked"


# Module paths of the re-ranker here -> CVNet's module names.
_RERANKER_MODULES = (
    (r"compress_(\d)", lambda m: f"conv2ds.{m[1]}"),
    (r"blocks_(\d)_(\d)/conv/over_query", lambda m: f"{_layer(m)}.conv1"),
    (r"blocks_(\d)_(\d)/conv/over_key", lambda m: f"{_layer(m)}.conv2"),
    (r"blocks_(\d)_(\d)", lambda m: _layer(m, of_block=1)),
    (r"mlp_(\d)", lambda m: f"cv_learner.mlp.{2 * int(m[1])}"),
)


def _layer(match: re.Match, of_block: int = 0) -> str:
    """A layer of the re-ranker is three modules: a convolution, a group norm, a ReLU."""
    return f"cv_learner.block{int(match[1]) + 1}.{3 * int(match[2]) + of_block}"


@functools.cache
def reranker_table(architecture: Architecture) -> list[Row]:
    """Every parameter of a re-ranker with its key in a CVNet checkpoint."""
    return [
        _row(path, leaf.shape, _renamed(path.rpartition("/")[0], _RERANKER_MODULES), "cvnet")
        for path, leaf in flatten(reranker_shapes(architecture))
    ]


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
