"""Any folder of class folders, to be trained on."""

import os
import pathlib

import numpy as np

from senet_jax.data.folders import files_below
from senet_jax.data.image_source import IMAGE_BYTES, ImageSource
from senet_jax.system.errors import UserError
from senet_jax.system.files import read_regular

NAME = "image_folder"


def image_folder(images: str | os.PathLike) -> ImageSource:
    """The files in the folders of a folder; none of them is opened yet.

    A class is a folder, or a link to one, and all files in it and below are its images; the classes
    are in the order of their names. Names that begin with a dot, and files beside the class
    folders, are left out. Every other file has to be an image; a class may hold a single one. Links
    to nothing, and folders that cannot be listed, count as images that cannot be read.

    Args:
        images: the folder of the class folders.

    Raises:
        UserError: there is no such folder, or no class folder in it, or no file in those.
    """
    folder = pathlib.Path(images)
    if not folder.is_dir():
        raise UserError(f"no folder {folder}; check the path")
    classes = sorted(
        entry.name
        for entry in folder.iterdir()
        if entry.name[0] != "." and (entry.is_dir() or (entry.is_symlink() and not entry.exists()))
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
        read=lambda index: read_regular(folder / keys[index], IMAGE_BYTES),
    )


def _files(folder: pathlib.Path, class_name: str) -> list[str]:
    """The files of a class, sorted, relative to the folder of the class folders."""
    files, unlisted = files_below(folder / class_name)
    return sorted(f"{class_name}/{file}".removesuffix("/") for file in files + unlisted)
