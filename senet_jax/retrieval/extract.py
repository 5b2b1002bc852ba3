"""Multi-scale descriptors of photographs.

Source: the authors' public inference code. Each scale's descriptor gets unit length, their mean
gets it again; the scales are resizings of the decoded pixels, not of the normalised image.
"""

import collections
import concurrent.futures
import functools
import os
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np

from senet_jax.data.revisitop import Photograph, read_image
from senet_jax.data.transforms import (
    Preprocessing,
    UnreadableImage,
    crop,
    normalise,
    resize,
)
from senet_jax.errors import UserError
from senet_jax.models.architecture import Architecture
from senet_jax.models.layers import l2_normalise
from senet_jax.models.senet import build_model
from senet_jax.models.valid_region import WHOLE, ValidRegion
from senet_jax.progress import Progress
from senet_jax.retrieval.buckets import padded_to_bucket
from senet_jax.weights import Weights

Describe = Callable[[np.ndarray], jax.Array]


Mode = Literal["auto", "exact"]


def jit_network(
    architecture: Architecture, preprocessing: Preprocessing, mode: Mode
) -> Callable[[Any, np.ndarray], jax.Array]:
    """The compiled function from variables and pixels to descriptors of unit length.

    Args:
        architecture: of a network that describes.
        preprocessing: what it expects.
        mode: `exact` compiles a program for each shape of image; `auto` pads images to common
            shapes and has the network look at the images alone, as precisely.

    Returns:
        variables, uint8[b h w 3] BGR -> float32[b d].
    """
    model = build_model(architecture)

    @jax.jit
    def network(variables: Any, images: jax.Array, region: ValidRegion) -> jax.Array:
        pixels = region.zero_outside(normalise(images, preprocessing))
        return l2_normalise(model.apply(variables, pixels, region)[0])

    def describe(variables: Any, images: np.ndarray) -> jax.Array:
        if mode == "exact":
            return network(variables, images, WHOLE)
        padded, sizes = padded_to_bucket(images)
        return network(variables, padded, ValidRegion(sizes))

    return describe


def make_describe(weights: Weights, mode: Mode = "exact") -> Describe:
    """The function from pixels to descriptors of unit length: uint8[b h w 3] -> float32[b d]."""
    network = jit_network(weights.architecture, weights.preprocessing, mode)
    return functools.partial(network, jax.device_put(weights.variables()))


def describe_pyramid(describe: Describe, pyramid: Sequence[np.ndarray]) -> np.ndarray:
    """The unit mean of the descriptors of an image's scales.

    Args:
        describe: see `make_describe`.
        pyramid: uint8[h w 3] for each scale.

    Returns:
        float32[d].
    """
    scales = jnp.stack([describe(image[None])[0] for image in pyramid])
    return np.asarray(l2_normalise(jnp.mean(scales, axis=0)))


def read_pyramid(photograph: Photograph, scales: Sequence[float]) -> list[np.ndarray]:
    """Reads a photograph, cuts its box out, and resizes what is left to each scale.

    Raises:
        UnreadableImage: the file is missing or no image.
        UserError: the box is empty or outside of the image.
    """
    image = read_image(photograph.path)
    if photograph.box is not None:
        try:
            image = crop(image, photograph.box)
        except UserError as error:
            raise UserError(f"{photograph.path}: {error}") from error
    return [resize(image, scale) for scale in scales]


def extract(
    describe: Describe,
    photographs: Sequence[Photograph],
    scales: Sequence[float],
    *,
    label: str,
    width: int,
    skip_unreadable: bool,
) -> tuple[np.ndarray, dict[int, str]]:
    """Describes photographs in their order, reading some of them ahead.

    Args:
        describe: see `make_describe`.
        photographs: what to describe.
        scales: the sizes at which each is described, relative to its own.
        label: of the line of progress.
        width: of a descriptor.
        skip_unreadable: give an unreadable image a row of zeros instead of stopping.

    Returns:
        Descriptors, float32[n d], and why each row that was skipped could not be read.

    Raises:
        UnreadableImage: an image cannot be read, and such images are not to be skipped.
        UserError: a box is empty or outside of its image.
    """
    descriptors = np.zeros((len(photographs), width), np.float32)
    skipped = {}
    progress = Progress(label, len(photographs), "images")
    for row, pyramid in enumerate(_read_ahead(photographs, scales)):
        if isinstance(pyramid, UnreadableImage):
            if not skip_unreadable:
                raise pyramid
            skipped[row] = str(pyramid)
        else:
            descriptors[row] = describe_pyramid(describe, pyramid)
        progress.advance()
    return descriptors, skipped


def _read_ahead(
    photographs: Sequence[Photograph], scales: Sequence[float]
) -> Iterator[list[np.ndarray] | UnreadableImage]:
    def read(photograph: Photograph) -> list[np.ndarray] | UnreadableImage:
        try:
            return read_pyramid(photograph, scales)
        except UnreadableImage as error:
            return error

    threads = os.cpu_count() or 1
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        waiting: collections.deque = collections.deque()
        try:
            for photograph in photographs:
                waiting.append(pool.submit(read, photograph))
                if len(waiting) > 2 * threads:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()
