"""GLDv2-clean: the training images of the Google Landmarks Dataset v2 without the outliers.

Source: Weyand et al., "Google Landmarks Dataset v2" (CVPR 2020), and its list `train_clean.csv`:
1,580,470 images of 81,313 landmarks.
"""

import os
import pathlib
import re
from collections.abc import Iterator

import numpy as np

from senet_jax.data.image_source import IMAGE_BYTES, ImageSource
from senet_jax.system.errors import UserError, reason, shown
from senet_jax.system.files import read_regular

NAME = "gldv2_clean"
IMAGES = 1_580_470
CLASSES = 81_313

_HEADER = "landmark_id,images"
_LANDMARK = re.compile(r"[0-9]{1,18}")
_IMAGE_ID = re.compile(r"[0-9A-Za-z_-]{3,200}")
_MOST_BYTES = 2**30


def gldv2_clean(csv: str | os.PathLike, images: str | os.PathLike) -> ImageSource:
    """The images that `train_clean.csv` lists; none of them is opened yet.

    The classes are the landmarks in the order of their ids. All of the list's landmarks count, so
    a label means the same landmark however many images are there.

    Args:
        csv: the list: a line `landmark_id,images` for each landmark, the ids of its images parted
            by blanks.
        images: the folder that holds the image `abc...` at `a/b/c/abc....jpg`.

    Raises:
        UserError: the list or the folder is missing, or a line of the list is wrong.
    """
    folder = pathlib.Path(images)
    if not folder.is_dir():
        raise UserError(f"no folder {folder} with the images of {NAME}; check the path")
    images_of_landmark = dict(sorted(_landmarks(pathlib.Path(csv))))
    keys = [key for keys in images_of_landmark.values() for key in keys]
    counts = [len(keys) for keys in images_of_landmark.values()]
    return ImageSource(
        name=NAME,
        class_names=[str(landmark) for landmark in images_of_landmark],
        keys=keys,
        labels=np.repeat(np.arange(len(counts), dtype=np.int32), counts),
        read=lambda index: read_regular(image_path(folder, keys[index]), IMAGE_BYTES),
    )


def image_path(folder: pathlib.Path, key: str) -> pathlib.Path:
    """Where the image tree holds an image: the first three characters of its id are folders."""
    return folder / key[0] / key[1] / key[2] / f"{key}.jpg"


def _landmarks(csv: pathlib.Path) -> Iterator[tuple[int, list[str]]]:
    """Each landmark of the list with the ids of its images, in the list's order."""
    try:
        lines = read_regular(csv, _MOST_BYTES).decode("utf-8-sig").splitlines()
    except OSError as error:
        raise UserError(f"cannot read {csv}: {error.strerror}; check the path") from error
    except UnicodeDecodeError as error:
        raise UserError(
            f"{csv} is no list of images: {reason(error)}; get train_clean.csv"
        ) from error
    if not lines or lines[0] != _HEADER:
        seen = shown(lines[0]) if lines else "nothing"
        raise UserError(f"{csv} begins with {seen}; get train_clean.csv, it begins with {_HEADER}")
    line_of_landmark: dict[int, int] = {}
    for number, line in enumerate(lines[1:], start=2):
        landmark, _, listed = line.partition(",")
        keys = listed.split()
        if not (_LANDMARK.fullmatch(landmark) and keys):
            raise UserError(
                f"{csv}, line {number}, is {shown(line)}; give a landmark's number, a comma, and "
                "the ids of its images"
            )
        for key in keys:
            if not _IMAGE_ID.fullmatch(key):
                raise UserError(
                    f"{csv}, line {number}, lists the image {shown(key)}; an id has three or more "
                    "letters, digits, - and _"
                )
        first = line_of_landmark.setdefault(int(landmark), number)
        if first != number:
            raise UserError(
                f"{csv} lists the landmark {landmark} on the lines {first} and {number}; "
                "join them to one"
            )
        yield int(landmark), keys
