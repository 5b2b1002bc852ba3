"""Reads every photograph of a dataset or of a distractor set and lists what is wrong with them.

One line a problem. Missing and unreadable images and wrong boxes would stop or change an
evaluation: the exit code is 2. The rest is suspicious only: images and query crops with a side
under 32 pixels, boxes that reach over their image, and images of the same pixels as another.
"""

import collections
import dataclasses
import hashlib
import os
import sys
from collections.abc import Iterator, Sequence

from senet_jax.data.revisitop import (
    Photograph,
    UnreadableImage,
    ground_truth_files,
    load_dataset,
    load_distractors,
    read_image,
)
from senet_jax.data.transforms import box_slices
from senet_jax.errors import CommandParser, UserError, run_command
from senet_jax.progress import Progress, clear
from senet_jax.threads import in_order

GRAVE = ("missing", "unreadable", "box")
SUSPICIOUS = ("small", "clamped", "duplicate")
SMALLEST_SIDE = 32


@dataclasses.dataclass(frozen=True)
class Problem:
    """What is wrong with a photograph.

    Attributes:
        kind: one of `GRAVE` or `SUSPICIOUS`.
        message: one line that names the file and says what was seen.
    """

    kind: str
    message: str


def find_problems(photographs: Sequence[Photograph]) -> Iterator[Problem]:
    """Reads every image file once, on all cores, and yields its problems in the order given.

    Args:
        photographs: all of one folder; several may be boxes of the same image.
    """
    same_file: dict[str, list[Photograph]] = collections.defaultdict(list)
    for photograph in photographs:
        same_file[photograph.file_name].append(photograph)
    first_name: dict[bytes, str] = {}
    progress = Progress("reading", len(same_file), "images")
    inspected = in_order(_inspect, same_file.values(), os.cpu_count() or 1)
    for name, (problems, fingerprint) in zip(same_file, inspected, strict=True):
        yield from problems
        if fingerprint is not None:
            first = first_name.setdefault(fingerprint, name)
            if first != name:
                path = same_file[name][0].path
                yield Problem("duplicate", f"{path}: the same pixels as {first}")
        progress.advance()


def _inspect(same_file: Sequence[Photograph]) -> tuple[list[Problem], bytes | None]:
    """The problems of one image file and of its boxes, and a fingerprint of its pixels."""
    path = same_file[0].path
    try:
        image = read_image(path)
    except UnreadableImage as error:
        is_missing = isinstance(error.__cause__, FileNotFoundError)
        return [Problem("missing" if is_missing else "unreadable", str(error))], None
    height, width, _ = image.shape
    problems = []
    if min(height, width) < SMALLEST_SIDE:
        problems.append(Problem("small", f"{path}: {width}x{height} pixels"))
    for photograph in same_file:
        if photograph.box is not None:
            problems += _box_problems(photograph, height, width)
    fingerprint = hashlib.sha256(image)
    fingerprint.update(f"{width}x{height}".encode())
    return problems, fingerprint.digest()


def _box_problems(photograph: Photograph, height: int, width: int) -> Iterator[Problem]:
    path, box = photograph.path, photograph.box
    try:
        rows, columns = box_slices(box, height, width)
    except UserError as error:
        yield Problem("box", f"{path}: {error}")
        return
    if (columns.stop, rows.stop) != (int(box[2]), int(box[3])):
        yield Problem(
            "clamped", f"{path}: the box {list(box)} reaches over the image, {width}x{height}"
        )
    crop_height, crop_width = rows.stop - rows.start, columns.stop - columns.start
    if min(crop_height, crop_width) < SMALLEST_SIDE:
        yield Problem(
            "small", f"{path}: the box {list(box)} cuts out {crop_width}x{crop_height} pixels"
        )


def main() -> None:
    """Checks what the command line names."""
    parser = CommandParser(prog="python -m senet_jax.data.check", description=__doc__)
    parser.add_argument("root", metavar="ROOT", help="the folder of all datasets")
    parser.add_argument("name", metavar="NAME", help="of the dataset or distractor set")
    arguments = parser.parse_args()

    if ground_truth_files(arguments.root, arguments.name):
        dataset = load_dataset(arguments.root, arguments.name)
        photographs = dataset.images + dataset.queries
        what = f"{len(dataset.images)} images, {len(dataset.queries)} queries"
    else:
        photographs = load_distractors(arguments.root, arguments.name).images
        what = f"{len(photographs)} distractors"

    sys.stdout.reconfigure(errors="backslashreplace")  # A file's name need not be text.
    counts = dict.fromkeys(GRAVE + SUSPICIOUS, 0)
    for problem in find_problems(photographs):
        counts[problem.kind] += 1
        clear()
        print(f"{problem.kind}: {problem.message}", flush=True)
    found = ", ".join(f"{count} {kind}" for kind, count in counts.items() if count)
    print(f"{arguments.name}: {what}; {found or 'nothing wrong'}", flush=True)
    grave = sum(counts[kind] for kind in GRAVE)
    if grave:
        raise UserError(
            f"{arguments.name} has {grave} problems that stop or change an evaluation; "
            f"mend what is listed as {', '.join(GRAVE)}"
        )


if __name__ == "__main__":
    run_command(main)
