"""Datasets and distractors on disk, in the layout of the revisited Oxford and Paris benchmark.

A dataset is `ROOT/NAME/gnd_NAME.pkl` (or `.json`) with its photographs `ROOT/NAME/jpg/*.jpg`; a set
of distractors is `ROOT/NAME/jpg/` with, if wanted, a list of its file names `ROOT/NAME/NAME.txt`.
"""

import collections
import dataclasses
import hashlib
import os
import pathlib

import numpy as np

from senet_jax.data import transforms
from senet_jax.data.ground_truth import GroundTruth, load_ground_truth
from senet_jax.data.transforms import UnreadableImage
from senet_jax.errors import UserError, reason, shown

IMAGE_SUFFIXES = (".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")


@dataclasses.dataclass(frozen=True, slots=True)
class Photograph:
    """Where a photograph is, and which part of it counts.

    A million of them are held at a time, hence no path of its own for each.

    Attributes:
        folder: the folder that its name is relative to.
        file_name: with extension.
        box: a query's (x1, y1, x2, y2) in pixels, or None for the whole image.

    Raises:
        UserError: the name leaves the folder.
    """

    folder: pathlib.Path
    file_name: str
    box: tuple[float, float, float, float] | None = None

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


@dataclasses.dataclass(frozen=True, eq=False)
class Dataset:
    """A benchmark: what is searched, what is searched for, and what should be found.

    Attributes:
        name: of its folder.
        ground_truth: which image shows what.
        images: the database, in the order of `imlist`.
        queries: in the order of `qimlist`, with their boxes if the ground truth has any.
    """

    name: str
    ground_truth: GroundTruth
    images: tuple[Photograph, ...]
    queries: tuple[Photograph, ...]

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

    Raises:
        UserError: no image, or one listed twice.
    """

    name: str
    images: tuple[Photograph, ...]

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
    return Dataset(
        name=name,
        ground_truth=truth,
        images=tuple(Photograph(folder, f"{image}.jpg") for image in truth.image_names),
        queries=tuple(
            Photograph(folder, f"{query}.jpg", None if box is None else tuple(box))
            for query, box in zip(truth.query_names, boxes, strict=True)
        ),
    )


def load_distractors(root: str | os.PathLike, name: str) -> Distractors:
    """Reads a distractor set's list; the photographs themselves are not opened.

    Without a list the set is all image files of its folder, sorted by name.

    Args:
        root: the folder of all datasets.
        name: of the distractor set, `revisitop1m` for instance.

    Raises:
        UserError: the set is missing or empty, its list names an image twice, or a name leaves the
            folder.
    """
    folder = _photograph_folder(root, name)
    file = folder.with_name(f"{name}.txt")
    if file.exists():
        names = _listed_names(file)
    else:
        names = sorted(
            entry.name for entry in folder.iterdir() if entry.suffix.lower() in IMAGE_SUFFIXES
        )
    return Distractors(name, tuple(Photograph(folder, file_name) for file_name in names))


def ground_truth_files(root: str | os.PathLike, name: str) -> list[pathlib.Path]:
    """The files that hold a dataset's ground truth; a distractor set has none.

    Raises:
        UserError: there is no such dataset.
    """
    folder = _dataset_folder(root, name)
    files = (folder / f"gnd_{name}{suffix}" for suffix in (".pkl", ".json"))
    return [file for file in files if file.exists()]


def read_image(path: str | os.PathLike) -> np.ndarray:
    """Reads a photograph, whole and at its own size.

    Returns:
        uint8[h w 3], upright, in the order BGR; see `transforms.decode`.

    Raises:
        UnreadableImage: the file is missing, or cannot be read or decoded; its cause says which.
    """
    try:
        return transforms.decode(pathlib.Path(path).read_bytes())
    except OSError as error:
        raise UnreadableImage(
            f"cannot read the image {path}: {error.strerror}; check the file"
        ) from error
    except UnreadableImage as error:
        raise UnreadableImage(f"cannot read the image {path}: {error}") from error


def _listed_names(file: pathlib.Path) -> list[str]:
    try:
        lines = file.read_text(encoding="utf-8-sig").split("\n")
    except OSError as error:
        raise UserError(f"cannot read {file}: {error.strerror}; check the file") from error
    except UnicodeDecodeError as error:
        raise UserError(
            f"{file} is no list of names: {reason(error)}; write it in UTF-8"
        ) from error
    return [line for line in lines if line.strip()]


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
