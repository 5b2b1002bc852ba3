"""CVNet's re-ranker, which weights of a network with a ResNet trunk may have beside it.

It looks at the map after the third stage of the trunk; `models/cvnet.py` has its layers.
"""

import functools
import re
from collections.abc import Callable
from typing import Any

import numpy as np

from senet_jax.models.architecture import Architecture
from senet_jax.models.checkpoint_keys import Renaming
from senet_jax.models.family import Output

RERANKER = "reranker"


def _layer(match: re.Match[str], of_block: int = 0) -> str:
    """A layer of the re-ranker is three modules: a convolution, a group norm, a ReLU."""
    return f"cv_learner.block{int(match[1]) + 1}.{3 * int(match[2]) + of_block}"


RERANKER_MODULES: tuple[Renaming, ...] = (
    (rf"{RERANKER}/compress_(\d)", r"conv2ds.\1"),
    (rf"{RERANKER}/blocks_(\d)_(\d)/conv/over_query", lambda m: f"{_layer(m)}.conv1"),
    (rf"{RERANKER}/blocks_(\d)_(\d)/conv/over_key", lambda m: f"{_layer(m)}.conv2"),
    (rf"{RERANKER}/blocks_(\d)_(\d)", lambda m: _layer(m, of_block=1)),
    (rf"{RERANKER}/mlp_(\d)", lambda m: f"cv_learner.mlp.{2 * int(m[1])}"),
)
"""Module paths here -> the authors' module names."""


def reranker_output(build: Callable[..., Any]) -> Output:
    """The re-ranker's maps, float32[b s h w d], from the resizings of each image's own map.

    Args:
        build: see `Family.build`.
    """

    def function(settings: Architecture, **options: Any) -> Callable[..., Any]:
        from senet_jax.models.cvnet import maps_of_images

        return functools.partial(maps_of_images, build(settings, **options))

    return Output(
        function,
        stride=lambda settings: settings.stride(3),
        channels=_channels,
        inputs=_resizings,
        extras=(RERANKER,),
    )


def reranker_shapes(settings: Architecture) -> Any:
    """See `Family.extras`."""
    from senet_jax.models.cvnet import reranker_shapes

    return reranker_shapes(settings)


def _channels(settings: Architecture) -> int:
    from senet_jax.models.cvnet import SCALES, WIDTH

    return len(SCALES) * WIDTH


def _resizings(settings: Architecture, sizes: np.ndarray, whole: tuple[int, int]) -> Any:
    from senet_jax.models.cvnet import resizings_of_images

    return resizings_of_images(sizes, whole)
