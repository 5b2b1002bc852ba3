"""Datasets and distractors on disk, in the layout of the revisited Oxford and Paris benchmark.

A dataset is `ROOT/NAME/gnd_NAME.pkl` (or `.json`) with its photographs `ROOT/NAME/jpg/*.jpg`; a set
of distractors is `ROOT/NAME/jpg/` with, if wanted, a list of its file names `ROOT/NAME/NAME.txt`.
Photographs with other endings, or in folders below, are found as well: see `find_photographs`.
"""

import collections
import dataclasses
import hashlib
import os
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from senet_jax.data import transforms
from senet_jax.data.folders import files_below, find_photographs, is_image_name
from senet_jax.data.ground_truth import GroundTruth, load_ground_truth
from senet_jax.data.image_header import Header, read_header
from senet_jax.data.image_source import IMAGE_BYTES
from senet_jax.data.thumbnail import thumbnail
from senet_jax.data.transforms import UnreadableImage
from senet_jax.system.errors import UserError, printable, reason, shown
from senet_jax.system.files import read_regular

_LIST_BYTES = 2**30


@dataclasses.dataclass(frozen=True, eq=False)
class PlacedPixels:
    """Pixels of a photograph, and where they lie in it, upright and at its own size.

    Attributes:
        pixels: uint8[h w 3] BGR.
        corner: x and y of their upper left corner, in pixels of the photograph.
        step: how many pixels of the photograph, along a side, are one of these.
    """

    pixels: np.ndarray
    corner: tuple[float, float] = (0, 0)
    step: float = 1.0

    def cut(self, box: Sequence[float]) -> "PlacedPixels":
        """What is in a box, (x1, y1, x2, y2) in these pixels; see `transforms.crop`."""
        (x, y), (left, top) = self.corner, map(int, box[:2])
        corner = x + self.step * left, y + self.step * top
        return PlacedPixels(transforms.crop(self.pixels, box), corner, self.step)

    def resized(self, scale: float) -> "PlacedPixels":
        """The same in other pixels; see `transforms.resize`."""
        return PlacedPixels(transforms.resize(self.pixels, scale), self.corner, self.step / scale)

    def within(self, side: float) -> "PlacedPixels":
        """The same in no more pixels along a side; see `thumbnail.thumbnail`."""
        pixels = thumbnail(self.pixels, side)
        smaller = max(self.pixels.shape[:2]) / max(pixels.shape[:2])
        return PlacedPixels(pixels, self.corner, self.step * smaller)


@dataclasses.dataclass(frozen=True, slots=True)
class Photograph:
    """Where a photograph is, and which part of it counts.

    A million of them are held at a time, hence no path of its own for each.

    Attributes:
        folder: the folder that its name is relative to.
        file_name: with extension.
        box: a query's (x1, y1, x2, y2) in pixels, or None for the whole image.
        long_side: what is described is shrunk by as much as the whole image to this long side, in
            pixels, after the box is cut out; None where it stays as it is.

    Raises:
        UserError: the name leaves the folder.
    """

    folder: pathlib.Path
    file_name: str
    box: tuple[float, float, float, float] | None = None
    long_side: int | None = None

    def __post_init__(self):
        name = pathlib.PurePath(self.file_name)
        if name.is_absolute() or ".." in name.parts or "\0" in self.file_name:
            raise UserError(
                f"the image name {shown(self.file_name)} leaves the folder {self.folder}; "
                "give names relative to it, without '..'"
            )

    @property
    def path(self) -> pathlib.Path:
        """The image file."""
        return self.folder / self.file_name

    def header(self) -> Header | None:
        """What the file's header says of its size, see `read_header`; nothing is decoded."""
        return read_header(self.path)

    def read(self) -> np.ndarray:
        """All pixels, whatever the box: uint8[h w 3] BGR, see `read_image`."""
        return read_image(self.path)

    def read_placed(self) -> PlacedPixels:
        """The same, and where they lie in the photograph."""
        return PlacedPixels(self.read())

    @property
    def view(self) -> Any:
        """What is described of the file, as JSON has it: two that are equal are described alike."""
        return self.box if self.long_side is None else [self.box, self.long_side]


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
    """A benchmark: what is searched, what is searched for, and what should be found.

    Attributes:
        name: of its folder.
        ground_truth: which image shows what.
        images: the database, in the order of `imlist`.
        queries: in the order of `qimlist`, with their boxes if the ground truth has any.
        missing: a line that says how many of their files are not there, None if all are.
    """

    name: str
    ground_truth: GroundTruth
    images: tuple[Photograph, ...]
    queries: tuple[Photograph, ...]
    missing: str | None = None

    @property
    def whole_queries(self) -> tuple[Photograph, ...]:
        """The photographs of the queries, without their boxes."""
        return tuple(dataclasses.replace(query, box=None) for query in self.queries)


@dataclasses.dataclass(frozen=True, eq=False)
class Distractors:
    """Images that show none of the landmarks; their items follow those of the database.

    Attributes:
        name: of their folder.
        images: in the order of the list.
        missing: a line that says how many of their files are not there, None if all are.

    Raises:
        UserError: no image, or one listed twice.
    """

    name: str
    images: tuple[Photograph, ...]
    missing: str | None = None

    def __post_init__(self):
        if not self.images:
            raise UserError(
                f"the distractors {self.name} hold no image; put some or leave them out"
            )
        names = collections.Counter(image.file_name for image in self.images)
        name, count = names.most_common(1)[0]
        if count > 1:
            raise UserError(
                f"the distractors {self.name} list {shown(name)} {count} times; list it once"
            )

    @property
    def sha256(self) -> str:
        """The SHA-256 of the names, joined by newlines, in hexadecimal."""
        names = "\n".join(image.file_name for image in self.images)
        return hashlib.sha256(os.fsencode(names)).hexdigest()


def load_dataset(root: str | os.PathLike, name: str) -> Dataset:
    """Reads a dataset's ground truth; the photographs themselves are not opened.

    Args:
        root: the folder of all datasets.
        name: of the dataset, `roxford5k` for instance.

    Raises:
        UserError: something of the dataset is missing, its ground truth is there twice or wrong,
            or a name in it leaves the folder.
    """
    files = ground_truth_files(root, name)
    if len(files) > 1:
        raise UserError(f"both {files[0]} and {files[1].name} are there; remove one")
    if not files:
        raise UserError(
            f"no gnd_{name}.pkl or gnd_{name}.json in {pathlib.Path(root, name)}; "
            f"put the ground truth there or choose another dataset: {_datasets(root)}"
        )
    truth = load_ground_truth(files[0])
    folder = _photograph_folder(root, name)
    boxes = [None] * len(truth.query_names) if truth.boxes is None else truth.boxes.tolist()
    listed = dict.fromkeys((*truth.image_names, *truth.query_names))
    found, missing = find_photographs(folder, list(listed))
    file_of = dict(zip(listed, found, strict=True))
    return Dataset(
        name=name,
        ground_truth=truth,
        images=tuple(Photograph(folder, file_of[image]) for image in truth.image_names),
        queries=tuple(
            Photograph(folder, file_of[query], None if box is None else tuple(box))
            for query, box in zip(truth.query_names, boxes, strict=True)
        ),
        missing=missing,
    )


def load_distractors(root: str | os.PathLike, name: str) -> Distractors:
    """Reads a distractor set's list; the photographs themselves are not opened.

    Without a list the set is all image files in its folder and below, sorted by name.

    Args:
        root: the folder of all datasets.
        name: of the distractor set, `revisitop1m` for instance.

    Raises:
        UserError: the set is missing or empty, its list names an image twice, a name leaves the
            folder, or a folder cannot be listed.
    """
    folder = _photograph_folder(root, name)
    file = folder.with_name(f"{name}.txt")
    missing = None
    if file.exists():
        names, missing = find_photographs(folder, _listed_names(file))
    else:
        files, unlisted = files_below(folder)
        if unlisted:
            raise UserError(f"cannot list the folder {folder / unlisted[0]}; check who may read it")
        names = list(filter(is_image_name, files))
    photographs = tuple(Photograph(folder, file_name) for file_name in names)
    return Distractors(name, photographs, missing)


def ground_truth_files(root: str | os.PathLike, name: str) -> list[pathlib.Path]:
    """The files that hold a dataset's ground truth; a distractor set has none.

    Raises:
        UserError: there is no such dataset, or its ground truth has another name.
    """
    folder = _dataset_folder(root, name)
    files = [folder / f"gnd_{name}{suffix}" for suffix in (".pkl", ".json")]
    there = [file for file in files if file.exists()]
    others = sorted(file.name for file in folder.glob("gnd_*"))
    if others and not there:
        raise UserError(
            f"no {files[0].name} or {files[1].name} in {folder}, but {shown(others[0])}; give that "
            "the dataset's name, or the folder"
        )
    return there


def read_image(path: str | os.PathLike) -> np.ndarray:
    """Reads a photograph, whole and at its own size.

    Returns:
        uint8[h w 3], upright, in the order BGR; see `transforms.decode`.

    Raises:
        UnreadableImage: the file is missing, or cannot be read or decoded; its cause says which.
    """
    content = read_image_file(path)
    try:
        return transforms.decode(content)
    except UnreadableImage as error:
        raise unreadable(path, error) from error


def read_image_file(path: str | os.PathLike) -> bytes:
    """The bytes of a photograph, undecoded.

    Raises:
        UnreadableImage: the file is missing, no regular file, or cannot be read; see its cause.
    """
    try:
        return read_regular(path, IMAGE_BYTES)
    except OSError as error:
        raise unreadable(path, f"{error.strerror}; check the file") from error


def unreadable(path: str | os.PathLike, why: object) -> UnreadableImage:
    """The error of a photograph that cannot be read, on one line, whatever its name."""
    return UnreadableImage(f"cannot read the image {printable(os.fspath(path))}: {why}")


def _listed_names(file: pathlib.Path) -> list[str]:
    try:
        text = read_regular(file, _LIST_BYTES).decode("utf-8-sig")
    except OSError as error:
        raise UserError(f"cannot read {file}: {error.strerror}; check the file") from error
    except UnicodeDecodeError as error:
        raise UserError(
            f"{file} is no list of names: {reason(error)}; write it in UTF-8"
        ) from error
    return [line.removesuffix("\r") for line in text.split("\n") if line.strip()]


def _dataset_folder(root: str | os.PathLike, name: str) -> pathlib.Path:
    root = pathlib.Path(root)
    if not root.is_dir():
        raise UserError(f"no folder {root}, in which {name} was looked for; check the path")
    if name in ("", "..") or pathlib.PurePath(name).name != name:
        raise UserError(f"{shown(name)} is no name of a dataset; choose one: {_datasets(root)}")
    if not (root / name).is_dir():
        raise UserError(
            f"no folder {root / name}; put the dataset there or choose another: {_datasets(root)}"
        )
    return root / name


def _photograph_folder(root: str | os.PathLike, name: str) -> pathlib.Path:
    folder = _dataset_folder(root, name) / "jpg"
    if not folder.is_dir():
        raise UserError(
            f"no folder {folder}; put the photographs of {name} there or choose another dataset: "
            f"{_datasets(root)}"
        )
    return folder


def _datasets(root: str | os.PathLike) -> str:
    names = sorted(folder.parent.name for folder in pathlib.Path(root).glob("*/jpg"))
    return f"{root} has {', '.join(names) or 'none'} with photographs"
