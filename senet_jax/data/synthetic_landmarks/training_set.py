"""The training split of a generated world, as labelled images."""

import itertools
import zlib

import numpy as np

from senet_jax.data.image_source import ImageSource
from senet_jax.data.synthetic_landmarks.drawing import Draw, draw_here, jpeg
from senet_jax.data.synthetic_landmarks.world import World
from senet_jax.data.world_sizes import NAME


def training_source(world: World, draw: Draw = draw_here) -> ImageSource:
    """The pictures to train on, none of them drawn yet; each landmark is a class.

    The siblings of a family follow one another: label // siblings is the family.

    Args:
        world: whose pictures.
        draw: see `drawing`.
    """
    landmarks = list(itertools.product(range(world.training_families), range(world.siblings)))
    shots = [(*landmark, view) for landmark in landmarks for view in range(world.training_views)]

    def read(index: int) -> bytes:
        return draw(_picture, world, *shots[index])

    return ImageSource(
        name=NAME,
        class_names=[f"family-{family:04d}-{sibling}" for family, sibling in landmarks],
        keys=[f"family-{family:04d}-{sibling}-{view:03d}" for family, sibling, view in shots],
        labels=np.array([world.training_label(*shot[:2]) for shot in shots], np.int32),
        read=read,
        origin={
            "seed": world.seed,
            "side": world.side,
            # Another version of this code or of a library may draw other pictures.
            "first_picture_crc32": zlib.crc32(read(0)),
        },
    )


def _picture(world: World, family: int, sibling: int, view: int) -> bytes:
    return jpeg(world.training_view(family, sibling, view))
