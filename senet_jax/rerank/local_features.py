"""Local features of photographs, from the maps of the network that also describes them."""

import contextlib
import functools
from collections.abc import Sequence

import jax
import numpy as np

from senet_jax.data.revisitop import Photograph
from senet_jax.data.transforms import UnreadableImage
from senet_jax.features.reader import read_pyramid
from senet_jax.features.runner import fast_form, from_pixels, in_fast_form
from senet_jax.models.registry import build_model
from senet_jax.rerank.geometric import (
    LocalFeatures,
    Whitening,
    fit_whitening,
    local_features,
    strongest_positions,
)
from senet_jax.rerank.maps import map_size, padded_to_program
from senet_jax.system.errors import UserError
from senet_jax.system.progress import Progress
from senet_jax.weights import Weights

# Of each photograph; 500 of 128 numbers are 256 KB.
FEATURES, WIDTH = 500, 128
KEPT = 2048
# How many photographs the whitening is fitted to at most.
FITTED = 64


class LocalFeatureNetwork:
    """Local features at full size; those used last are kept in memory.

    Args:
        weights: of any network with a trunk.
        typical: photographs to which the whitening is fitted, evenly spread over these.

    Raises:
        UserError: none of them can be read, or they have too few active positions.
    """

    def __init__(self, weights: Weights, typical: Sequence[Photograph]):
        model = build_model(weights.architecture, **fast_form())
        self._variables = jax.device_put(in_fast_form(weights.variables()))
        self._stride = weights.architecture.stride(3)
        self._network = jax.jit(
            from_pixels(lambda *inputs: model.apply(*inputs)[1]["s3"], weights.preprocessing)
        )
        self._whitening = self._fit(typical[:: -(-len(typical) // FITTED)])
        self._kept = functools.lru_cache(KEPT)(self._features)

    def __call__(self, photograph: Photograph) -> LocalFeatures:
        """The local features of a photograph, or of its box.

        Raises:
            UnreadableImage: it cannot be read.
            UserError: its box is not in the image.
        """
        return self._kept(photograph)

    def _features(self, photograph: Photograph) -> LocalFeatures:
        return local_features(self._maps(photograph), self._whitening, self._stride, FEATURES)

    def _maps(self, photograph: Photograph) -> np.ndarray:
        [image] = read_pyramid(photograph, [1.0])
        maps = self._network(self._variables, *padded_to_program(image))
        height, width = map_size(image.shape[:2], self._stride)
        return np.asarray(maps)[0, :height, :width]

    def _fit(self, photographs: Sequence[Photograph]) -> Whitening:
        activations = []
        progress = Progress("whitening of local features", len(photographs), "images")
        for photograph in photographs:
            with contextlib.suppress(UnreadableImage):
                maps = self._maps(photograph)
                rows, columns = strongest_positions(maps, FEATURES).T
                activations.append(maps[rows, columns])
            progress.advance()
        if not activations:
            raise UserError(
                "no image of the database can be read, so there are no local features; check it"
            )
        samples = np.concatenate(activations)
        return fit_whitening(samples, min(WIDTH, samples.shape[1], len(samples) - 1))
