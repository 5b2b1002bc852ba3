"""Writes an evaluated split to disk in the layout of the benchmark.

The pictures are written once; three ground truths say what of them counts. The folders of the
second and third hold a link to the pictures of the first.
"""

import os
import pathlib
import pickle
import shutil
from collections.abc import Sequence
from typing import Any

import numpy as np

from senet_jax.data.ground_truth import LOOKALIKES
from senet_jax.data.synthetic_landmarks.drawing import Draw, draw_here
from senet_jax.data.synthetic_landmarks.record import claim, picture
from senet_jax.data.synthetic_landmarks.world import Shot, World
from senet_jax.system.errors import UserError
from senet_jax.system.files import atomic_write
from senet_jax.system.progress import Progress
from senet_jax.system.threads import in_order, usable_cores

DATASETS = {
    "evaluation": ("landmarks", "landmarks_no_lookalikes", "landmarks_family_only"),
    "validation": (
        "landmarks_validation",
        "landmarks_validation_no_lookalikes",
        "landmarks_validation_family_only",
    ),
}
"""The names of the three datasets of each evaluated split."""


def write_evaluation(
    world: World, split: str, root: str | os.PathLike, draw: Draw = draw_here
) -> None:
    """Writes the pictures of a split and its three ground truths below `root`.

    Pictures that are there already are kept, so a run that was stopped resumes. The ground truths
    come last: a folder that has one is complete.

    Args:
        world: whose pictures.
        split: which one.
        root: the folder of all datasets.
        draw: see `drawing`.

    Raises:
        UserError: the split is not an evaluated one, a folder holds anything else, or a place
            cannot be written.
    """
    truths = ground_truths(world, split)
    root = pathlib.Path(root)
    first = root / DATASETS[split][0]
    claim((root / name for name in truths), world, split)
    write_pictures(world, split, world.queries_of(split) + world.database_of(split), first, draw)
    for name, truth in truths.items():
        if root / name != first:
            _show_pictures(first / "jpg", root / name / "jpg")
        with atomic_write(root / name / f"gnd_{name}.pkl") as temporary:
            temporary.write_bytes(pickle.dumps(truth, protocol=4))


def write_pictures(
    world: World, split: str, shots: Sequence[Shot], folder: pathlib.Path, draw: Draw
) -> None:
    """Writes the pictures of shots that are not there yet.

    Args:
        world: whose pictures.
        split: which one.
        shots: of that split.
        folder: of the dataset.
        draw: see `drawing`.
    """
    progress = Progress(f"writing {folder}", len(shots), "pictures")

    def write(shot: Shot) -> None:
        path = folder / "jpg" / f"{shot.name}.jpg"
        if not path.exists():
            with atomic_write(path) as temporary:
                temporary.write_bytes(draw(picture, world, split, shot))

    for _ in in_order(write, shots, usable_cores()):
        progress.advance()


def ground_truths(world: World, split: str) -> dict[str, dict[str, Any]]:
    """The ground truths of a split by dataset, each as the benchmark's pickles hold it.

    They agree in pictures, queries, boxes, positives and look-alikes, and differ in what is junk
    besides the query's own junk: nothing; the look-alikes; all that is not of the query's family.
    """
    queries, database = world.queries_of(split), world.database_of(split)
    families = np.array([-1 if shot.family is None else shot.family for shot in database])
    siblings = np.array([shot.sibling for shot in database])
    severities = np.array([shot.severity for shot in database])
    entries = {name: [] for name in DATASETS[split]}
    for query in queries:
        relatives = families == query.family
        own = relatives & (siblings == query.sibling)
        own_junk = own & (severities == "junk")
        lookalikes = relatives & ~own
        junks = (own_junk, own_junk | lookalikes, own_junk | ~relatives)
        for name, junk in zip(entries, junks, strict=True):
            entries[name].append(
                {
                    "bbx": world.box(split, query).tolist(),
                    "easy": _items(own & (severities == "easy")),
                    "hard": _items(own & (severities == "hard")),
                    "junk": _items(junk),
                    LOOKALIKES: _items(lookalikes),
                }
            )
    return {
        name: {
            "imlist": [shot.name for shot in database],
            "qimlist": [shot.name for shot in queries],
            "gnd": gnd,
        }
        for name, gnd in entries.items()
    }


def _items(chosen: np.ndarray) -> np.ndarray:
    return np.flatnonzero(chosen).astype(np.int32)


def _show_pictures(pictures: pathlib.Path, place: pathlib.Path) -> None:
    """Makes `place` show the pictures: by a relative link, else by a link or copy of each file."""
    try:
        if place.is_symlink():
            return
        try:
            place.symlink_to(os.path.relpath(pictures, place.parent), target_is_directory=True)
        except OSError:  # No symbolic links here, or a folder of an earlier run stands there.
            place.mkdir(exist_ok=True)
            for picture in pictures.glob("*.jpg"):
                _link_or_copy(picture, place / picture.name)
    except OSError as error:
        raise UserError(
            f"cannot write {place}: {error.strerror or error}; choose a place that can be written"
        ) from error


def _link_or_copy(source: pathlib.Path, target: pathlib.Path) -> None:
    if target.exists():
        return
    try:
        target.hardlink_to(source)
    except OSError:
        with atomic_write(target) as temporary:
            shutil.copyfile(source, temporary)
