"""Any folder of class folders, to be trained on."""

import os
import pathlib

import numpy as np

from senet_jax.data.image_source import ImageSource
from senet_jax.errors import UserError

NAME = "image_folder"


def image_folder(images: str | os.PathLike) -> ImageSource:
    """The files in the folders of a folder; none of them is opened yet.

    A class is a folder, and all files in it and below are its images; the classes are in the order
    of their names. Names that begin with a dot, and files beside the class folders, are left out.
    Every other file has to be an image; a class may hold a single one.

    Args:
        images: the folder of the class folders.

    Raises:
        UserError: there is no such folder, or no class folder in it, or no file in those.
    """
    folder = pathlib.Path(images)
    if not folder.is_dir():
        raise UserError(f"no folder {folder}; check the path")
    classes = sorted(
        entry.name for entry in folder.iterdir() if entry.is_dir() and entry.name[0] != "."
    )
    if not classes:
        raise UserError(
            f"{folder} holds no folder; put the images of each class into a folder of its own"
        )
    keys_of_class = [_files(folder, name) for name in classes]
    keys = [key for keys in keys_of_class for key in keys]
    counts = [len(keys) for keys in keys_of_class]
    return ImageSource(
        name=NAME,
        class_names=classes,
        keys=keys,
        labels=np.repeat(np.arange(len(counts), dtype=np.int32), counts),
        read=lambda index: (folder / keys[index]).read_bytes(),
    )


def _files(folder: pathlib.Path, class_name: str) -> list[str]:
    """The files of a class, sorted, relative to the folder of the class folders."""
    paths = (
        path.relative_to(folder) for path in (folder / class_name).rglob("*") if path.is_file()
    )
    return sorted(
        path.as_posix() for path in paths if not any(part[0] == "." for part in path.parts)
    )
