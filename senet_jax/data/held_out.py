"""Some images of each class, kept from the training: a dataset in the benchmark's layout.

Half of those of a class are queries, without a box; what they have to find is the other half,
which is `easy`, among those of all classes.
"""

import dataclasses
import itertools
import os
import pathlib
import shutil
from collections.abc import Sequence

import numpy as np

from senet_jax.data import transforms
from senet_jax.data.image_source import ImageSource
from senet_jax.system.errors import UserError
from senet_jax.system.files import atomic_write, read_json, write_json

FEWEST_IMAGES = 4
"""Of a smaller class all images are trained on."""

_FEWEST_HELD_OUT = 2  # A query and what it has to find.
_SEED = 0
_NAME_LENGTH = 60  # In characters; a file name has at most 255 bytes.


@dataclasses.dataclass(frozen=True, eq=False)
class HeldOut:
    """What is kept from the training.

    Attributes:
        queries: indices of a source's images, class by class.
        database: indices of others of its images, class by class.
    """

    queries: Sequence[int] = ()
    database: Sequence[int] = ()


def choose(source: ImageSource, share: float) -> HeldOut:
    """Chooses the images of a source to hold out, the same ones whenever it is asked.

    Args:
        source: the images; those that are looked at are decoded, and an unreadable one stays where
            it is.
        share: of each class of at least `FEWEST_IMAGES`; two of its images at least.

    Returns:
        Images of two classes or more, for a single one is always found; else none.
    """
    queries, database, classes = [], [], 0
    for label, count in enumerate(np.bincount(source.labels, minlength=len(source.class_names))):
        if not share or count < FEWEST_IMAGES:
            continue
        order = np.random.default_rng((_SEED, label)).permutation(count)
        shuffled = np.flatnonzero(source.labels == label)[order]
        wanted = max(_FEWEST_HELD_OUT, round(share * count))
        readable = (index for index in shuffled.tolist() if _is_readable(source, index))
        chosen = list(itertools.islice(readable, wanted))
        if len(chosen) >= _FEWEST_HELD_OUT:
            queries += sorted(chosen[: len(chosen) // 2])
            database += sorted(chosen[len(chosen) // 2 :])
            classes += 1
    return HeldOut(queries, database) if classes > 1 else HeldOut()


def without(source: ImageSource, held_out: HeldOut) -> ImageSource:
    """The images of a source that are left to train on; the classes stay."""
    indices = np.setdiff1d(np.arange(len(source.keys)), [*held_out.queries, *held_out.database])
    return dataclasses.replace(
        source,
        keys=[source.keys[index] for index in indices],
        labels=source.labels[indices],
        read=lambda index: source.read(int(indices[index])),
    )


def ground_truth(source: ImageSource, held_out: HeldOut) -> dict[str, list]:
    """The ground truth of what is held out, as `gnd_NAME.json` has it."""
    names = _names([source.keys[index] for index in (*held_out.queries, *held_out.database)])
    labels = source.labels[list(held_out.database)]
    return {
        "imlist": names[len(held_out.queries) :],
        "qimlist": names[: len(held_out.queries)],
        "gnd": [
            {
                "easy": np.flatnonzero(labels == source.labels[query]).tolist(),
                "hard": [],
                "junk": [],
            }
            for query in held_out.queries
        ],
    }


def check_place(dataset: str | os.PathLike, truth: dict[str, list]) -> bool:
    """Whether what is held out stands there already.

    Raises:
        UserError: something else stands there.
    """
    dataset = pathlib.Path(dataset)
    if not dataset.exists():
        return False
    file = _truth_file(dataset)
    if not truth["qimlist"] or not file.is_file() or read_json(file) != truth:
        raise UserError(
            f"{dataset} exists and holds something else than the images that are held out now; "
            "choose another place or remove it"
        )
    return True


def write(source: ImageSource, held_out: HeldOut, dataset: str | os.PathLike) -> None:
    """Writes what is held out as the dataset of that folder, atomically.

    Raises:
        UserError: a place cannot be written, or an image cannot be read any more.
    """
    dataset = pathlib.Path(dataset)
    truth = ground_truth(source, held_out)
    unfinished = dataset.with_name(f"{dataset.name}.unfinished")
    shutil.rmtree(unfinished, ignore_errors=True)
    names = (*truth["qimlist"], *truth["imlist"])
    for index, name in zip((*held_out.queries, *held_out.database), names, strict=True):
        try:
            content = source.read(index)
        except OSError as error:
            raise UserError(
                f"cannot read {source.keys[index]} any more: {error.strerror}; start again"
            ) from error
        with atomic_write(unfinished / "jpg" / f"{name}.jpg") as temporary:
            temporary.write_bytes(content)
    write_json(unfinished / _truth_file(dataset).name, truth)
    unfinished.rename(dataset)


def _truth_file(dataset: pathlib.Path) -> pathlib.Path:
    return dataset / f"gnd_{dataset.name}.json"


def _is_readable(source: ImageSource, index: int) -> bool:
    if not source.keys[index].isprintable():  # It becomes a name in JSON and in messages.
        return False
    try:
        transforms.decode(source.read(index))
    except (OSError, transforms.UnreadableImage):
        return False
    return True


def _names(keys: Sequence[str]) -> list[str]:
    """`church/1/a.png` -> `church_1_a`; different for every key."""
    names: dict[str, None] = {}
    for key in keys:
        stem = os.path.splitext(key)[0].replace("/", "_")[:_NAME_LENGTH]
        candidates = itertools.chain([stem], (f"{stem}_{n}" for n in itertools.count(2)))
        names[next(name for name in candidates if name not in names)] = None
    return list(names)
