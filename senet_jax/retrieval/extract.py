"""Multi-scale descriptors of photographs.

Source: the authors' public inference code. Each scale's descriptor gets unit length, their mean
gets it again; the scales are resizings of the decoded pixels, not of the normalised image.
"""

import collections
import concurrent.futures
import os
from collections.abc import Callable, Iterator, Sequence

import jax
import jax.numpy as jnp
import numpy as np

from senet_jax.data.revisitop import Photograph, read_image
from senet_jax.data.transforms import UnreadableImage, crop, normalise, resize
from senet_jax.errors import UserError
from senet_jax.models.layers import l2_normalise
from senet_jax.models.senet import build_model
from senet_jax.progress import Progress
from senet_jax.weights import Weights

Describe = Callable[[np.ndarray], jax.Array]


def make_describe(weights: Weights) -> Describe:
    """The jitted function from pixels to descriptors of unit length.

    Args:
        weights: of a network that describes.

    Returns:
        uint8[b h w 3] BGR -> float32[b d]; one program is compiled for each shape.
    """
    model = build_model(weights.architecture)
    variables = jax.device_put(weights.variables())

    @jax.jit
    def describe(variables: dict, images: jax.Array) -> jax.Array:
        descriptors, _ = model.apply(variables, normalise(images, weights.preprocessing))
        return l2_normalise(descriptors)

    return lambda images: describe(variables, images)


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
