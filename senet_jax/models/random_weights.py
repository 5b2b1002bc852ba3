"""Random weights that behave like trained ones, for trying things without a checkpoint."""

import math
from collections.abc import Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from senet_jax.models.architecture import Architecture
from senet_jax.models.cvnet import (
    SCALES,
    PairRegion,
    Reranker,
    reranker_shapes,
    resizings,
    stage3_before_relu,
)
from senet_jax.models.layers import Array
from senet_jax.models.registry import build_model, initial_variables
from senet_jax.models.valid_region import WHOLE

IMAGE_SHAPE = (192, 256)
IMAGE_COUNT = 8
LEAVES = 1000
# Of stage 3, cut out of maps that are laid side by side.
PAIRED_SIZES = ((6, 8), (12, 16), (24, 32), (48, 64))
PAIRED_IMAGES = 4
LOGIT_SPREAD = 2.0


def random_variables(architecture: Architecture, seed: int) -> dict[str, Any]:
    """Lively, centred random weights: nothing is learned in them, but mistakes show.

    Freshly initialised networks give all images descriptors with cosines above .99, which hides
    every error. So batch norms get random scales and shifts, their running statistics are those
    of generated images, each then moved a little at random, and the last bias is minus the mean
    output, so that descriptors point in all directions.

    Returns:
        The trees `params` and `batch_stats` as NumPy arrays, float32; the same for a seed.
    """
    model, variables, images = _lively(architecture, seed)
    mean_output = jax.jit(_mean_output, static_argnums=0)(model, variables, images)
    variables["params"]["fc"]["bias"] -= np.asarray(mean_output)
    return variables


def random_projected(architecture: Architecture, seed: int) -> dict[str, Any]:
    """The same for networks of the family `gem` whose head is `projected`.

    The mean that is taken off before they are projected is that of generated images.
    """
    model, variables, images = _lively(architecture, seed)
    mean_pooled = jax.jit(_mean_pooled, static_argnums=0)(model, variables, images)
    variables["params"]["projection"]["mean"] = np.array(mean_pooled)
    return variables


def _lively(architecture: Architecture, seed: int) -> tuple[Any, dict[str, Any], Array]:
    """A network, random variables that are not centred yet, and images to centre them with."""
    rng = np.random.default_rng(seed)
    images = jnp.asarray(_dead_leaves(rng))
    model = build_model(architecture)
    variables = initial_variables(model, seed)
    scales = {"scale": lambda a: a * rng.uniform(0.5, 1.5, a.shape)}
    shifts = {"mean": lambda a: a + rng.normal(0, 0.1, a.shape)}
    variances = {"var": lambda a: a * rng.uniform(0.7, 1.4, a.shape)}
    params = _changed_leaves(variables["params"], scales)
    params = _changed_leaves(params, {"bias": lambda a: a + rng.normal(0, 0.1, a.shape)})
    statistics = _batch_statistics(architecture, params, variables["batch_stats"], images)
    statistics = _changed_leaves(statistics, shifts | variances)
    return model, {"params": params, "batch_stats": statistics}, images


def random_reranker(
    architecture: Architecture, variables: Mapping[str, Any], seed: int
) -> dict[str, Any]:
    """Random `params` of CVNet's re-ranker for which the scores of image pairs are spread.

    Its first convolutions are made blind to what the maps of all images have in common, which
    would make all their positions alike, and its last layer to how large they are; that layer is
    then scaled to logits that differ by `LOGIT_SPREAD` between pairs, around zero.

    Args:
        architecture: of the trunk.
        variables: of the trunk.
        seed: the same parameters for the same.

    Returns:
        A tree of NumPy arrays, float32.
    """
    rng = np.random.default_rng(seed)
    images = jnp.asarray(_dead_leaves(rng))
    drawn = {
        "kernel": lambda shape: rng.normal(0, math.prod(shape[:-1]) ** -0.5, shape),
        "scale": lambda shape: rng.uniform(0.5, 1.5, shape),
        "bias": lambda shape: rng.normal(0, 0.1, shape),
    }
    params = jax.tree_util.tree_map_with_path(
        lambda path, leaf: drawn[path[-1].key](leaf.shape).astype(np.float32),
        reranker_shapes(architecture),
    )
    stage3 = jax.jit(stage3_before_relu, static_argnums=0)(
        build_model(architecture), variables, images, WHOLE
    )
    common = np.asarray(jnp.mean(stage3, axis=(0, 1, 2)))
    common = common / np.linalg.norm(common)
    for scale in range(len(SCALES)):
        kernel = params[f"compress_{scale}"]["kernel"]  # [3 3 c d]
        kernel -= common[:, None] * np.einsum("c,uvcd->uvd", common, kernel)[:, :, None]
    tiled = jnp.tile(stage3[:PAIRED_IMAGES], (1, 4, 4, 1))
    hidden = np.stack(
        [jax.jit(_hidden_of_pairs)(params, tiled[:, :h, :w]) for h, w in PAIRED_SIZES]
    )  # [sizes pairs c]
    means = hidden.mean(axis=1)
    by_size = np.linalg.svd(means - means.mean(axis=0))[2][: len(PAIRED_SIZES) - 1]
    last = params["mlp_1"]
    kernel = last["kernel"] - by_size.T @ (by_size @ last["kernel"])
    logits = hidden.reshape(-1, len(kernel)) @ kernel
    factor = LOGIT_SPREAD / np.std(logits[:, 1] - logits[:, 0])
    last["kernel"], last["bias"] = factor * kernel, -factor * logits.mean(axis=0)
    return params


def _hidden_of_pairs(params: Any, stage3: Array) -> Array:
    """Of each image with each other one: float32[n h w c] -> float32[n*(n-1) d]."""
    count, height, width = stage3.shape[:3]
    size = height, width
    reranker, variables = Reranker(), {"params": params}
    maps: Any = reranker.apply(variables, stage3, resizings(size, size), method="maps")
    region = PairRegion(jnp.array([[*size, *size]]))

    def of_pair(pair: Array) -> Array:
        query, key = maps[pair[0]], maps[pair[1]]
        return reranker.apply(variables, query[None], key[None], region, method="hidden")[0]

    return jax.lax.map(of_pair, np.argwhere(~np.eye(count, dtype=bool)))


def _mean_output(model: Any, variables: Any, images: Array) -> Array:
    return jnp.mean(model.apply(variables, images)[0], axis=0)


def _mean_pooled(model: Any, variables: Any, images: Array) -> Array:
    return jnp.mean(model.apply(variables, images)[1]["pooled"], axis=0)


def _dead_leaves(rng: np.random.Generator) -> np.ndarray:
    """Normalised images with the edges and the spectrum of photographs, float32[n h w 3].

    Discs of random places, sizes and colours cover each other (Matheron's "dead leaves").
    """
    height, width = IMAGE_SHAPE
    images = np.zeros((IMAGE_COUNT, height, width, 3), np.float32)
    for image in images:
        light, contrast = rng.normal(0, 0.7, 3), rng.uniform(0.4, 1.2)
        for _ in range(LEAVES):
            radius = 4 * rng.uniform(0.001, 1) ** -0.5  # Small ones are many.
            row, column = rng.uniform(0, height), rng.uniform(0, width)
            top, left = max(0, int(row - radius)), max(0, int(column - radius))
            part = image[top : int(row + radius) + 1, left : int(column + radius) + 1]
            rows, columns = np.ogrid[: part.shape[0], : part.shape[1]]
            inside = (rows + top - row) ** 2 + (columns + left - column) ** 2 < radius**2
            part[inside] = light + contrast * (rng.normal() + 0.4 * rng.normal(size=3))
    images += rng.normal(0, 0.05, images.shape).astype(np.float32)
    return images


def _changed_leaves(tree: Any, changes: dict[str, Any]) -> Any:
    """A copy of a tree of dicts in NumPy, with the leaves of some names changed."""

    def visit(path: tuple, leaf: Array) -> np.ndarray:
        array = np.asarray(leaf)
        change = changes.get(path[-1].key)
        return change(array).astype(np.float32) if change else array.copy()

    return jax.tree_util.tree_map_with_path(visit, tree)


def _batch_statistics(architecture: Architecture, params: Any, before: Any, images: Array) -> Any:
    """The statistics that batch norms see in these images, undiluted by the running average."""
    model = build_model(architecture, train=True)

    def run(params: Any, statistics: Any) -> Any:
        variables = {"params": params, "batch_stats": statistics}
        return model.apply(variables, images, mutable=["batch_stats"])[1]["batch_stats"]

    after = jax.jit(run)(params, before)
    return jax.tree.map(lambda new, old: (new - 0.9 * old) / 0.1, after, before)
