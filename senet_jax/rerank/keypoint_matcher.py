"""Matches of the keypoints of many pairs of images by LightGlue, in few programs."""

import functools
from collections.abc import Iterator, Sequence
from typing import Any

import jax
import numpy as np

from senet_jax.features.keypoints import Keypoints
from senet_jax.models.family import MATCHER
from senet_jax.models.lightglue import LightGlue
from senet_jax.weights import Weights

MULTIPLE = 128
"""Images are filled up to a multiple of so many keypoints, so that few programs are compiled."""
# How many keypoints the pairs of a program have together. Few fill two CPU cores, and the fewer,
# the less is wasted on filling up the last batch of a program.
CPU_KEYPOINTS, ACCELERATOR_KEYPOINTS = 2**12, 2**17

Pair = tuple[Keypoints, Keypoints]


class Matcher:
    """LightGlue for the keypoints of a network.

    Args:
        weights: of that network, with its matcher.

    Raises:
        UserError: they have no matcher.
    """

    def __init__(self, weights: Weights):
        sizes = weights.architecture
        params = weights.variables([MATCHER])["params"][MATCHER]
        self._params = jax.device_put(params, jax.local_devices()[0])
        self._model = LightGlue(sizes.matcher_width, sizes.matcher_layers, sizes.matcher_heads)

    def __call__(self, pairs: Sequence[Pair]) -> list[tuple[np.ndarray, np.ndarray]]:
        """Matches pairs of images, many at once.

        Returns:
            For each pair which keypoints of the first and of the second image are the same, int[m
            2], and how sure that is, float32[m].
        """
        found: dict[int, tuple[np.ndarray, np.ndarray]] = {}
        for batch, count, capacity in _batches(pairs):
            # The last batch of a program is filled up.
            full = [*batch, *batch[:1] * (capacity - len(batch))]
            images = [image for index in full for image in pairs[index]]
            counts = np.array([len(image.points) for image in images], np.int32)
            partners, scores = _matched(
                self._model,
                self._params,
                _filled([image.relative() for image in images], count),
                _filled([image.descriptors for image in images], count),
                counts.reshape(-1, 2),
            )
            for index, of_pair, sure in zip(
                batch, *map(np.asarray, (partners, scores)), strict=False
            ):
                [matched] = np.nonzero(of_pair >= 0)
                found[index] = np.stack([matched, of_pair[matched]], axis=1), sure[matched]
        return [found[index] for index in range(len(pairs))]


def _batches(pairs: Sequence[Pair]) -> Iterator[tuple[list[int], int, int]]:
    """Pairs of like sizes, to how many keypoints they are filled up, and how many fit together."""
    on_cpu = jax.default_backend() == "cpu"
    together = CPU_KEYPOINTS if on_cpu else ACCELERATOR_KEYPOINTS
    groups: dict[int, list[int]] = {}
    for index, pair in enumerate(pairs):
        most = max(1, *(len(image.points) for image in pair))
        groups.setdefault(-(-most // MULTIPLE) * MULTIPLE, []).append(index)
    for count, group in groups.items():
        capacity = min(max(1, together // (2 * count)), 1 << (len(group) - 1).bit_length())
        for start in range(0, len(group), capacity):
            yield group[start : start + capacity], count, capacity


def _filled(arrays: Sequence[np.ndarray], count: int) -> np.ndarray:
    """float32[n d] of an image each -> float32[b 2 count d], of pairs, with zeros at the end."""
    padded = [np.pad(array, ((0, count - len(array)), (0, 0))) for array in arrays]
    return np.stack(padded).reshape(-1, 2, count, padded[0].shape[1]).astype(np.float32)


@functools.partial(jax.jit, static_argnums=0)
def _matched(
    model: LightGlue, params: Any, points: jax.Array, descriptors: jax.Array, counts: jax.Array
) -> Any:
    # Accelerators multiply in fewer bits unless they are told not to.
    with jax.default_matmul_precision("highest"):
        return model.apply({"params": params}, points, descriptors, counts)
