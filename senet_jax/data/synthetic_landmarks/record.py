"""What stands beside generated pictures: the world and the split that they are of."""

import dataclasses
import pathlib
import zlib
from collections.abc import Iterable

from senet_jax.data.synthetic_landmarks.drawing import jpeg
from senet_jax.data.synthetic_landmarks.world import EVALUATED_SPLITS, Shot, World
from senet_jax.system.errors import UserError, shown
from senet_jax.system.files import read_json, write_json

RECORD = "world.json"
"""The file, in the folder of a dataset."""


def picture(world: World, split: str, shot: Shot) -> bytes:
    """The file of a shot of an evaluated split."""
    return jpeg(world.photograph(split, shot))


def claim(folders: Iterable[pathlib.Path], world: World, split: str) -> None:
    """Marks folders as this world's, or refuses them: pictures of two worlds must never mix.

    Raises:
        UserError: a folder holds anything else.
    """
    folders = list(folders)
    value = {
        "world": dataclasses.asdict(world),
        "split": split,
        # Another version of this code or of a library may draw other pictures.
        "first_query_crc32": zlib.crc32(picture(world, split, world.queries_of(split)[0])),
    }
    for folder in folders:
        record = folder / RECORD
        if record.exists():
            if read_json(record) != value:
                raise UserError(
                    f"{folder} holds another generated world (see {record.name} there); choose "
                    "another place or remove it"
                )
        elif (folder / "jpg").exists() or (folder / f"gnd_{folder.name}.pkl").exists():
            raise UserError(
                f"{folder} holds a dataset without {record.name}, which is not made here; choose "
                "another place"
            )
    for folder in folders:
        write_json(folder / RECORD, value)


def recorded(folder: pathlib.Path) -> tuple[World, str]:
    """The world and the split that pictures in a folder are of.

    Raises:
        UserError: the folder tells of none.
    """
    record = folder / RECORD
    value = read_json(record)
    try:
        world, split = World(**value["world"]), value["split"]
    except (KeyError, TypeError) as error:
        raise UserError(f"{record} tells of no generated world") from error
    if split not in EVALUATED_SPLITS:
        raise UserError(f"{record} tells of the split {shown(split)}, which is not evaluated")
    return world, split
