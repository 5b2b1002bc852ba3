"""What is in folders of photographs, and where in them a photograph is that a list names."""

import collections
import contextlib
import os
import pathlib
import unicodedata
from collections.abc import Iterable, Sequence

from senet_jax.system.errors import shown

IMAGE_SUFFIXES = (".avif", ".bmp", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
_NAMED = 3


def files_below(folder: str | os.PathLike) -> tuple[list[str], list[str]]:
    """Everything in a folder and in its folders that is no folder itself.

    Links to folders are followed, but each folder is listed once, and none that this one is in, so
    links in a circle end. Names that begin with a dot are left out. A link to nothing is listed:
    whoever reads it says so.

    Returns:
        The files and the folders that cannot be listed, sorted, relative to the folder, parted by
        slashes.
    """
    files, unlisted = [], []
    listed = _folders_above(pathlib.Path(folder))
    # A folder is listed under its own name rather than under that of a link.
    waiting, linked = [""], []
    while waiting or linked:
        prefix = (waiting or linked).pop()
        path = os.path.join(folder, prefix)
        try:
            identity = _identity(path)
            if identity in listed:
                continue
            with os.scandir(path) as entries:
                for entry in entries:
                    if entry.name[0] == ".":
                        continue
                    if not _is_folder(entry):
                        files.append(prefix + entry.name)
                    elif entry.is_symlink():
                        linked.append(f"{prefix}{entry.name}/")
                    else:
                        waiting.append(f"{prefix}{entry.name}/")
            listed.add(identity)
        except OSError:
            unlisted.append(prefix.removesuffix("/"))
        linked.sort(reverse=True)
    return sorted(files), sorted(unlisted)


def _identity(path: str | os.PathLike) -> tuple[int, int]:
    status = os.stat(path)
    return status.st_dev, status.st_ino


def _folders_above(folder: pathlib.Path) -> set[tuple[int, int]]:
    """What a folder is in, by the name that it is given and in truth."""
    above = set()
    in_truth = pathlib.Path(os.path.realpath(folder))
    for parent in {*folder.absolute().parents, *in_truth.parents}:
        with contextlib.suppress(OSError):
            above.add(_identity(parent))
    return above


def _is_folder(entry: os.DirEntry) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # A link to itself, for one.
        return False


def is_image_name(name: str) -> bool:
    """Whether a file's name ends as an image's does."""
    return os.path.splitext(name)[1].lower() in IMAGE_SUFFIXES


def find_photographs(folder: pathlib.Path, listed: Sequence[str]) -> tuple[list[str], str | None]:
    """The files of the photographs that a list names, with one look at the folder.

    A name stands for `NAME.jpg`; where that is not there, for the file `NAME`, if it ends as an
    image does, or for the only image there of another ending, of the same letters in another
    Unicode form, or in a folder below.

    Args:
        folder: of the photographs.
        listed: their names, with or without an ending.

    Returns:
        For each name the file, relative to the folder: where there is none, or more than one that
        it may be, the one that is missing. And a line that says how many are, None if none is.
    """
    there = set(files_below(folder)[0])
    alike: dict[str, list[str]] | None = None
    found, missing = [], []
    for name in listed:
        named = _as_listed(name)
        file = next((file for file in named if file in there), None)
        if file is None:  # Hidden, or behind a link to a folder that is listed already.
            file = next((file for file in named if os.path.lexists(folder / file)), None)
        if file is None:
            alike = _by_stem(there) if alike is None else alike
            file, others = _find_alike(name, alike)
            if file is None:
                file = named[-1]
                missing.append((file, others))
        found.append(file)
    return found, _missing_line(folder, len(listed), missing, there) if missing else None


def _as_listed(name: str) -> tuple[str, ...]:
    """The files that a name stands for, the one to be missed last."""
    return (f"{name}.jpg", name) if is_image_name(name) else (f"{name}.jpg",)


def _stem(name: str) -> str:
    """A file's name without the ending of an image, in one Unicode form."""
    return unicodedata.normalize("NFC", os.path.splitext(name)[0] if is_image_name(name) else name)


def _by_stem(files: Iterable[str]) -> dict[str, list[str]]:
    """The images by their stems, without folders."""
    alike = collections.defaultdict(list)
    for file in sorted(files):
        if is_image_name(file):
            alike[os.path.basename(_stem(file))].append(file)
    return alike


def _find_alike(name: str, alike: dict[str, list[str]]) -> tuple[str | None, list[str]]:
    """The file that a name may stand for, if it is one; and all of them."""
    stem = _stem(name)
    files = [
        file
        for file in alike.get(os.path.basename(stem), ())
        if f"/{_stem(file)}".endswith(f"/{stem}")
    ]
    exact = [file for file in files if _stem(file) == stem] or files
    return (exact[0] if len(exact) == 1 else None), files


def _missing_line(
    folder: pathlib.Path, count: int, missing: list[tuple[str, list[str]]], there: set[str]
) -> str:
    # One that several files may be says more than one that is not there.
    name, others = max(missing, key=lambda each: bool(each[1]))
    if others:
        what = f"it may be {', '.join(map(shown, others[:_NAMED]))}"
    else:
        images = sorted(filter(is_image_name, there))
        example = f", {shown(images[0])} for one" if images else ""
        what = f"there are {len(images):,} images{example}"
    return (
        f"{len(missing):,} of {count:,} listed images are not in {folder}, {shown(name)} for one; "
        f"{what}"
    )
