"""Variables for inference: batch norms folded, and kernels transposed for transposed images."""

from collections.abc import Mapping
from typing import Any

import jax
import numpy as np

from senet_jax.models.layers import BATCH_NORM_EPSILON


def fold_batch_norms(variables: Mapping[str, Any]) -> dict[str, Any]:
    """Moves every batch norm, with its running statistics, into the layer before it.

    Args:
        variables: `params` and `batch_stats` of a network.

    Returns:
        `params` of the same network with the option `folded`, float32 of NumPy.
    """
    return {"params": _folded(variables["params"], variables.get("batch_stats", {}))}


def _folded(params: Mapping[str, Any], statistics: Mapping[str, Any]) -> dict[str, Any]:
    """Folds a module's own norms into the layers beside them, and those of its submodules."""
    norms = {_layer_before(name, params): name for name in statistics if "var" in statistics[name]}
    folded = {}
    for name, node in params.items():
        if "kernel" in node:
            norm = norms.get(name)
            bias = node.get("bias", np.zeros(node["kernel"].shape[-1], np.float32))
            layer = {"kernel": node["kernel"], "bias": bias}
            folded[name] = layer if norm is None else fold(layer, params[norm], statistics[norm])
        elif name not in norms.values():
            leaf = not isinstance(node, Mapping)
            folded[name] = node if leaf else _folded(node, statistics.get(name, {}))
    return folded


def _layer_before(norm: str, siblings: Mapping[str, Any]) -> str:
    """The name of the layer whose output a batch norm takes: `a` of `a_bn`, `conv_0` of `bn_0`.

    A residual block's `bn` follows its shortcut `proj`.
    """
    names = (norm.removesuffix("_bn"), norm.replace("bn", "conv"), "proj")
    return next(name for name in names if name != norm and name in siblings)


def fold(
    layer: Mapping[str, Any], norm: Mapping[str, Any], statistics: Mapping[str, Any]
) -> dict[str, np.ndarray]:
    """One layer that does what it and the batch norm behind it did.

    Args:
        layer: `kernel` float[... d] and `bias` float[d].
        norm: `scale` and `bias`, float[d].
        statistics: `mean` and `var`, float[d].

    Returns:
        `kernel` and `bias`, float32.
    """
    wide = {
        f"{owner}_{name}": np.asarray(value, np.float64)
        for owner, node in (("layer", layer), ("norm", norm), ("seen", statistics))
        for name, value in node.items()
    }
    factor = wide["norm_scale"] / np.sqrt(wide["seen_var"] + BATCH_NORM_EPSILON)
    bias = (wide["layer_bias"] - wide["seen_mean"]) * factor + wide["norm_bias"]
    kernel = wide["layer_kernel"] * factor
    return {"kernel": kernel.astype(np.float32), "bias": bias.astype(np.float32)}


def transpose(variables: Mapping[str, Any]) -> dict[str, Any]:
    """Variables that make of a transposed image the transposed maps, and the same descriptor."""
    return jax.tree.map(lambda leaf: leaf.swapaxes(0, 1) if leaf.ndim == 4 else leaf, variables)
