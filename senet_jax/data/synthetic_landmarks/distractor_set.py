"""More distractors of a world, in the layout of the benchmark's million."""

import os
import pathlib

from senet_jax.data.synthetic_landmarks.drawing import Draw, draw_here
from senet_jax.data.synthetic_landmarks.evaluation_set import DATASETS, write_pictures
from senet_jax.data.synthetic_landmarks.record import RECORD, claim, recorded
from senet_jax.data.world_sizes import DISTRACTORS
from senet_jax.system.errors import UserError, shown
from senet_jax.system.files import atomic_write

_SPLIT = "evaluation"
_MOST = 9_000_000


def write_distractors(root: str | os.PathLike, count: int, draw: Draw = draw_here) -> pathlib.Path:
    """Writes pictures of buildings that stand nowhere else in the world below `root`.

    Pictures that are there already are kept, so that a run that was stopped resumes and a larger
    set holds the smaller one. The list comes first, so that of an unfinished set an evaluation says
    what is missing.

    Args:
        root: where `write_evaluation` wrote.
        count: how many.
        draw: see `drawing`.

    Returns:
        The folder of the set.

    Raises:
        UserError: the count is out of range, there is no generated world, the folder holds
            anything else, or a place cannot be written.
    """
    if not 1 <= count <= _MOST:
        raise UserError(f"the count of distractors is {shown(count)}; give 1 to {_MOST:,}")
    root = pathlib.Path(root)
    of = root / DATASETS[_SPLIT][0]
    if not (of / RECORD).is_file():
        raise UserError(
            f"{root} holds no generated world, whose distractors these would be; make it with "
            f"python -m senet_jax.data.prepare synthetic_landmarks --target={root}"
        )
    world, split = recorded(of)
    folder = root / DISTRACTORS
    claim([folder], world, split)
    shots = world.more_distractors(count)
    with atomic_write(folder / f"{folder.name}.txt") as temporary:
        temporary.write_text("".join(f"{shot.name}.jpg\n" for shot in shots), encoding="utf-8")
    write_pictures(world, split, shots, folder, draw)
    return folder
