"""The pictures of an evaluated split in any size: a network reads small ones, people do not."""

import dataclasses
import functools
import pathlib

import numpy as np

from senet_jax.data.revisitop import Photograph
from senet_jax.data.synthetic_landmarks.drawing import jpeg
from senet_jax.data.synthetic_landmarks.evaluation_set import RECORD
from senet_jax.data.synthetic_landmarks.world import EVALUATED_SPLITS, World
from senet_jax.system.errors import UserError, shown
from senet_jax.system.files import read_json, read_regular

Box = tuple[float, float, float, float]


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
        world, split = _world_of(photograph.folder.parent / RECORD)
        shot = world.shot(photograph.path.stem)
        if shot is None or jpeg(world.photograph(split, shot)) != read_regular(photograph.path):
            return None
        image = dataclasses.replace(world, side=side).photograph(split, shot)
    except (OSError, UserError):
        return None
    if photograph.box is None:
        return image, None
    x1, y1, x2, y2 = (edge * side / world.side for edge in photograph.box)
    return image, (x1, y1, x2, y2)


@functools.lru_cache(maxsize=16)
def _world_of(record: pathlib.Path) -> tuple[World, str]:
    """The world that a record beside pictures tells of, and the split."""
    value = read_json(record)
    try:
        world, split = World(**value["world"]), value["split"]
    except (KeyError, TypeError) as error:
        raise UserError(f"{record} tells of no generated world") from error
    if split not in EVALUATED_SPLITS:
        raise UserError(f"{record} tells of the split {shown(split)}, which is not evaluated")
    return world, split
