"""The maps of the training images by a frozen network, computed once and kept on disk.

A folder `maps/` holds them: `maps.npy`, `descriptors.npy` and `labels.npy`, and `kept.json`, which
says of what they are and how the files have to read.
"""

import contextlib
import dataclasses
import pathlib
from collections.abc import Callable, Mapping
from typing import Any

import jax
import numpy as np

from senet_jax.data.loader import TrainingData
from senet_jax.models.cvnet import stage3_before_relu
from senet_jax.models.layers import l2_normalise
from senet_jax.models.registry import build_model
from senet_jax.models.valid_region import WHOLE
from senet_jax.system.checksummed import read_sealed_json, write_sealed_json
from senet_jax.system.errors import UserError
from senet_jax.system.files import atomic_folder, open_array, sha256_of_file
from senet_jax.system.progress import Progress
from senet_jax.training.feed import normalised
from senet_jax.weights import Weights

FOLDER = "maps"
_ARRAYS = ("maps", "descriptors", "labels")
_FILES, _SAID = tuple(f"{name}.npy" for name in _ARRAYS), "kept.json"


@dataclasses.dataclass(frozen=True, eq=False)
class KeptMaps:
    """What a training on pairs knows of its images.

    Attributes:
        maps: float32[n h w c], after stage 3 and before its last ReLU.
        descriptors: float32[n d], of unit length.
        labels: int32[n], the class of each.
    """

    maps: np.ndarray
    descriptors: np.ndarray
    labels: np.ndarray


def keep_maps(
    workdir: pathlib.Path,
    weights: Weights,
    images: TrainingData,
    count: int,
    workers: int,
    origin: Mapping[str, Any],
    after_batch: Callable[[], None],
) -> KeptMaps:
    """The maps of images: those that the workdir holds, or else made and kept there.

    Args:
        workdir: of the training.
        weights: of the network.
        images: in order, each changed at random once.
        count: how many there are.
        workers: how many processes read them; 0: threads of this one.
        origin: JSON that says of which images, which changes and which weights they are.
        after_batch: is called on the way; what it raises ends it, and nothing is kept.

    Raises:
        UserError: the folder cannot be written, or holds something else.
    """
    folder = workdir / FOLDER
    if not _are_kept(folder, origin):
        with atomic_folder(folder, (*_FILES, _SAID), "kept maps") as temporary:
            _make(temporary, weights, images, count, workers, after_batch)
            sums = {file: sha256_of_file(temporary / file) for file in _FILES}
            write_sealed_json(temporary / _SAID, {"origin": dict(origin), "sha256": sums})
    return KeptMaps(*(open_array(folder / file) for file in _FILES))


def _are_kept(folder: pathlib.Path, origin: Mapping[str, Any]) -> bool:
    """Whether a folder holds maps of the origin, whole."""
    if not (folder / _SAID).is_file():
        return False
    try:
        said = read_sealed_json(folder / _SAID, "remove it")
        sums = {file: sha256_of_file(folder / file) for file in _FILES}
    except (UserError, OSError):
        return False
    return said == {"origin": dict(origin), "sha256": sums}


def _make(
    folder: pathlib.Path,
    weights: Weights,
    images: TrainingData,
    count: int,
    workers: int,
    after_batch: Callable[[], None],
) -> None:
    """Writes the arrays into a folder."""
    model, variables = build_model(weights.architecture), weights.variables()

    @jax.jit
    def look(batch: dict[str, jax.Array]) -> tuple[jax.Array, jax.Array]:
        pixels = normalised(batch, weights.preprocessing)["images"]
        maps = stage3_before_relu(model, variables, pixels, WHOLE)
        return maps, l2_normalise(model.apply(variables, pixels)[0])

    progress = Progress("maps of the training images", count, "images")
    arrays: dict[str, np.memmap] = {}
    start = 0
    with contextlib.closing(images.batches(workers=workers)) as batches:
        while start < count:
            batch = next(batches)
            found = dict(zip(_ARRAYS, (*look(batch), batch["labels"]), strict=True))
            end = min(start + len(batch["labels"]), count)
            for name, part in found.items():
                if name not in arrays:
                    arrays[name] = np.lib.format.open_memmap(
                        folder / f"{name}.npy", "w+", part.dtype, (count, *part.shape[1:])
                    )
                arrays[name][start:end] = part[: end - start]
            progress.advance(end - start)
            start = end
            after_batch()
    for array in arrays.values():
        array.flush()
