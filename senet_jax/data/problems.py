"""What is wrong with the photographs of a dataset: the work of `senet-jax data.check`."""

import collections
import dataclasses
import functools
import hashlib
import io
import pathlib
import sys
from collections.abc import Iterator, Sequence

import numpy as np

from senet_jax.data import transforms
from senet_jax.data.revisitop import (
    Photograph,
    UnreadableImage,
    ground_truth_files,
    load_dataset,
    load_distractors,
    read_image_file,
    unreadable,
)
from senet_jax.data.sizes import check_pixels, checked_header
from senet_jax.data.transforms import TooLargeImage, box_slices
from senet_jax.system.errors import UserError, printable
from senet_jax.system.host_memory import most_cpu_pixels
from senet_jax.system.progress import Progress, clear
from senet_jax.system.threads import in_order, usable_cores

GRAVE = ("missing", "unreadable", "large", "box")
SUSPICIOUS = ("small", "clamped", "cut short", "dark", "duplicate")
SMALLEST_SIDE = 32
LARGEST_SCALE = 1.4142
"""At which photographs are described unless a config says otherwise."""


@dataclasses.dataclass(frozen=True)
class Problem:
    """What is wrong with a photograph.

    Attributes:
        kind: one of `GRAVE` or `SUSPICIOUS`.
        message: one line that names the file and says what was seen.
    """

    kind: str
    message: str


def find_problems(
    photographs: Sequence[Photograph], most_pixels: int = transforms.MOST_PIXELS
) -> Iterator[Problem]:
    """Reads every image file once, on all cores, and yields its problems in the order given.

    Args:
        photographs: all of one folder; several may be boxes of the same image.
        most_pixels: how many of each may be described.
    """
    same_file: dict[str, list[Photograph]] = collections.defaultdict(list)
    for photograph in photographs:
        same_file[photograph.file_name].append(photograph)
    first_name: dict[bytes, str] = {}
    progress = Progress("reading", len(same_file), "images")
    inspect = functools.partial(_inspect, most_pixels=most_pixels)
    inspected = in_order(inspect, same_file.values(), usable_cores())
    for name, (problems, fingerprint) in zip(same_file, inspected, strict=True):
        yield from problems
        if fingerprint is not None:
            first = first_name.setdefault(fingerprint, name)
            if first != name:
                path = _path(same_file[name][0])
                yield Problem("duplicate", f"{path}: the same pixels as {printable(first)}")
        progress.advance()


def _path(photograph: Photograph) -> str:
    return printable(str(photograph.path))


def _inspect(
    same_file: Sequence[Photograph], most_pixels: int
) -> tuple[list[Problem], bytes | None]:
    """The problems of one image file and of its boxes, and a fingerprint of its pixels."""
    path = _path(same_file[0])
    try:
        for photograph in same_file:
            checked_header(photograph, most_pixels)
        content = read_image_file(same_file[0].path)
        try:
            image, is_whole = transforms.decode_in_full(content)
        except UnreadableImage as error:
            raise unreadable(same_file[0].path, error) from error
    except UnreadableImage as error:
        return [Problem(_kind(error), str(error))], None
    height, width, _ = image.shape
    problems = []
    if not is_whole:
        problems.append(
            Problem("cut short", f"{path}: its {len(content):,} bytes break off; get it again")
        )
    if not image.any() and (largest := transforms.stored_maximum(content)):
        problems.append(
            Problem(
                "dark",
                f"{path}: its numbers of more than 8 bits are {largest:g} at most, and come out "
                "black; save it with 8 bits",
            )
        )
    if min(height, width) < SMALLEST_SIDE:
        problems.append(Problem("small", f"{path}: {width}x{height} pixels"))
    for photograph in same_file:
        problems += _part_problems(photograph, height, width, most_pixels)
    return problems, _fingerprint(image)


def _kind(error: UnreadableImage) -> str:
    if isinstance(error, TooLargeImage):
        return "large"
    return "missing" if isinstance(error.__cause__, FileNotFoundError) else "unreadable"


def _fingerprint(image: np.ndarray) -> bytes:
    digest = hashlib.sha256(image.data)
    digest.update(f"{image.shape[1]}x{image.shape[0]}".encode())
    return digest.digest()


def _part_problems(
    photograph: Photograph, height: int, width: int, most_pixels: int
) -> Iterator[Problem]:
    """The problems of what is described of an image: all of it, or its box."""
    path, box = _path(photograph), photograph.box
    part_height, part_width = height, width
    if box is not None:
        try:
            rows, columns = box_slices(box, height, width)
        except UserError as error:
            yield Problem("box", f"{path}: {error}")
            return
        if (columns.stop, rows.stop) != (int(box[2]), int(box[3])):
            yield Problem(
                "clamped", f"{path}: the box {list(box)} reaches over the image, {width}x{height}"
            )
        part_height, part_width = rows.stop - rows.start, columns.stop - columns.start
        if min(part_height, part_width) < SMALLEST_SIDE:
            yield Problem(
                "small", f"{path}: the box {list(box)} cuts out {part_width}x{part_height} pixels"
            )
    try:
        check_pixels(photograph, part_height, part_width, most_pixels)
    except TooLargeImage as error:
        yield Problem("large", str(error))


def check(root: pathlib.Path, name: str) -> None:
    """Prints the problems of a dataset or of distractors.

    Raises:
        UserError: some of them are grave.
    """
    if ground_truth_files(root, name):
        dataset = load_dataset(root, name)
        photographs, missing = dataset.images + dataset.queries, dataset.missing
        what = f"{len(dataset.images)} images, {len(dataset.queries)} queries"
    else:
        distractors = load_distractors(root, name)
        photographs, missing = distractors.images, distractors.missing
        what = f"{len(photographs)} distractors"

    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # A file's name need not be text.
    if missing:
        print(f"{name}: {missing}", flush=True)
    counts: dict[str, int] = dict.fromkeys(GRAVE + SUSPICIOUS, 0)
    for problem in find_problems(photographs, int(most_cpu_pixels() / LARGEST_SCALE**2)):
        counts[problem.kind] += 1
        clear()
        print(f"{problem.kind}: {problem.message}", flush=True)
    found = ", ".join(f"{count} {kind}" for kind, count in counts.items() if count)
    print(f"{name}: {what}; {found or 'nothing wrong'}", flush=True)
    grave = sum(counts[kind] for kind in GRAVE)
    if grave:
        raise UserError(
            f"{name} has {grave} problems that stop or change an evaluation; "
            f"mend what is listed as {', '.join(GRAVE)}"
        )
