"""Kinds of weights to try a claim on, all made from one set of weights."""

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np
import torch

from senet_jax.convert.translate import state_from_weights
from senet_jax.convert.twin import Twin
from senet_jax.weights import Weights

KINDS = ("given", "initial", "unfitted", "uneven")
LAST_BIAS = "params/fc/bias"
Changes = Mapping[str, Callable[[np.ndarray], np.ndarray]]


def kinds_of_weights(weights: Weights, images: np.ndarray, seed: int = 0) -> dict[str, Weights]:
    """Weights as they are, and with batch norms that no longer fit the activations.

    `unfitted` and `uneven` are centred: the bias of the last layer is minus the mean output over
    some images. Descriptors then point in all directions, and roundings count a hundredfold.

    Args:
        weights: of a network that describes.
        images: float32[b h w 3], normalised, on which they are centred; not those of the trial.
        seed: of the random changes.

    Returns:
        `given`; `initial`, with norms and last bias as before any training; `unfitted`, with
        running statistics of other activations; `uneven`, with scales up to tenfold apart.
    """
    rng = np.random.default_rng(seed)
    initial = {"/scale": np.ones_like, "/mean": np.zeros_like, "/var": np.ones_like}
    unfitted = {
        "/mean": lambda mean: mean + mean.std() * rng.normal(size=mean.shape),
        "/var": lambda var: var * 4 ** rng.uniform(-1, 1, var.shape),
    }
    uneven = {"/scale": lambda scale: scale * 10 ** rng.uniform(-0.5, 0.5, scale.shape)}
    return {
        "given": weights,
        "initial": _changed(weights, initial | {LAST_BIAS: np.zeros_like}),
        "unfitted": _centred(_changed(weights, unfitted), images),
        "uneven": _centred(_changed(weights, uneven), images),
    }


def twin_of(weights: Weights, dtype: torch.dtype = torch.float32) -> Twin:
    """The network in PyTorch, in evaluation mode."""
    twin = Twin(weights.architecture)
    state = state_from_weights(weights)
    twin.load_state_dict({key: torch.from_numpy(np.array(state[key])) for key in state})
    return twin.eval().to(dtype)


def _changed(weights: Weights, changes: Changes) -> Weights:
    """Weights with some tensors changed, which are given by the ends of their paths."""
    tensors = dict(weights.tensors)
    for end, change in changes.items():
        for path in tensors:
            if path.endswith(end):
                tensors[path] = change(tensors[path]).astype(np.float32)
    return dataclasses.replace(weights, tensors=tensors, sha256=None)


def _centred(weights: Weights, images: np.ndarray) -> Weights:
    """Weights whose mean output over the images is zero."""
    with torch.no_grad():
        outputs = twin_of(weights)(torch.from_numpy(images).permute(0, 3, 1, 2))["descriptor"]
    bias = weights.tensors[LAST_BIAS] - outputs.mean(dim=0).numpy()
    return dataclasses.replace(weights, tensors={**weights.tensors, LAST_BIAS: bias})
