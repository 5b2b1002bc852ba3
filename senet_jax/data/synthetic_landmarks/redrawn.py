"""The pictures of an evaluated split in any size: a network reads small ones, people do not."""

import dataclasses
import functools

import numpy as np

from senet_jax.data.revisitop import Photograph
from senet_jax.data.synthetic_landmarks.record import picture, recorded
from senet_jax.system.errors import UserError
from senet_jax.system.files import read_regular

Box = tuple[float, float, float, float]

_recorded = functools.lru_cache(maxsize=16)(recorded)  # Of thousands of pictures in a folder.


def redrawn(photograph: Photograph, side: int) -> tuple[np.ndarray, Box | None] | None:
    """The scene of a generated picture, drawn in another size.

    Args:
        photograph: of a dataset that `write_evaluation` wrote.
        side: the width and height in pixels, 32 to 1024.

    Returns:
        uint8[side side 3] BGR and the photograph's box in it. None unless the file holds the very
        bytes that are drawn here in its own size: a name alone proves nothing.
    """
    try:
        world, split = _recorded(photograph.folder.parent)
        shot = world.shot(photograph.path.stem)
        if shot is None or picture(world, split, shot) != read_regular(photograph.path):
            return None
        image = dataclasses.replace(world, side=side).photograph(split, shot)
    except (OSError, UserError):
        return None
    if photograph.box is None:
        return image, None
    x1, y1, x2, y2 = (edge * side / world.side for edge in photograph.box)
    return image, (x1, y1, x2, y2)
