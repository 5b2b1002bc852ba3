"""Extraction that can be ended at any moment and goes on where it was.

Beside the descriptors to be, in `PART.shards/`, stands one file for every 16 batches of the plan,
written whole, and `manifest.json`, which says how they are made. Several processes share the folder
and the work: each makes every n-th shard, and the first puts them together.
"""

import hashlib
import importlib.metadata
import json
import os
import pathlib
import shutil
import time
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from senet_jax.errors import UserError
from senet_jax.files import read_json, write_json, written_whole
from senet_jax.progress import Progress
from senet_jax.retrieval.buckets import Batch, Plan
from senet_jax.retrieval.describer import Describer
from senet_jax.retrieval.extract import Described, Job, describe_batches
from senet_jax.retrieval.store import check_finite, check_origin, save_store

SHARD_BATCHES = 16
POLL_SECONDS = 1.0
MANIFEST = "manifest.json"
LIBRARIES = ("jax", "jaxlib", "flax", "numpy", "opencv-python-headless")


def versions() -> dict[str, str]:
    """The libraries whose versions decide over the last bits of a descriptor."""
    return {library: importlib.metadata.version(library) for library in LIBRARIES}


def extract_to_store(
    describer: Describer,
    job: Job,
    folder: str | os.PathLike,
    part: str,
    origin: Mapping[str, Any],
    storage: str = "float32",
) -> None:
    """Describes a list of photographs into `PART.npy` and `PART.json` of a folder.

    All processes call it together.

    Args:
        describer: the network.
        job: the list, and how to describe it.
        folder: for the descriptors, and for the shards until they are whole.
        part: their name.
        origin: how they are made, as JSON has it.
        storage: of `PART.npy`, see `quantise`; shards are float32.

    Raises:
        UnreadableImage: an image cannot be read, and such images are not to be skipped.
        UserError: shards stand there that were made in another way, a descriptor is not finite, or
            the folder cannot be written.
    """
    shards = _Shards(pathlib.Path(folder) / f"{part}.shards", job.plan, origin)
    mine = shards.indices[jax.process_index() :: jax.process_count()]
    missing = [index for index in mine if shards.read(index) is None]
    if len(missing) < len(mine):
        print(f"{job.label}: {len(mine) - len(missing)} of {len(mine)} shards are there already")
    total = sum(len(batch.rows) for index in missing for batch in shards.batches(index))
    progress = Progress(job.label, total, "images")
    for index in missing:
        pieces = []
        for described in describe_batches(describer, job, shards.batches(index)):
            pieces.append(described)
            progress.advance(len(described.rows))
        shards.write(index, pieces)
    if jax.process_count() > 1:
        shards.wait_for_others()
        multihost_utils.sync_global_devices(f"{folder} {part}")
    if jax.process_index() == 0:
        skipped = dict(job.unreadable)
        for index in shards.indices:
            skipped |= shards.read_whole(index).skipped
        save_store(
            folder,
            part,
            shape=(len(job.photographs), describer.width),
            pieces=(shards.read_whole(index) for index in shards.indices),
            skipped=skipped,
            origin=origin,
            storage=storage,
        )
        shards.remove()
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(f"{folder} {part} is saved")


class _Shards:
    """The folder of shards of one list.

    Raises:
        UserError: it is of another origin.
    """

    def __init__(self, folder: pathlib.Path, plan: Plan, origin: Mapping[str, Any]):
        self._folder = folder
        self._batches = plan.batches
        manifest = {**origin, "plan": _sha256(plan), "versions": versions()}
        path = folder / MANIFEST
        if path.exists():
            check_origin(read_json(path), manifest, folder)
        elif jax.process_index() == 0:
            write_json(path, manifest)

    @property
    def indices(self) -> range:
        """Of all shards."""
        return range(-(-len(self._batches) // SHARD_BATCHES))

    def batches(self, index: int) -> Sequence[Batch]:
        """The batches of a shard."""
        return self._batches[index * SHARD_BATCHES : (index + 1) * SHARD_BATCHES]

    def write(self, index: int, pieces: Sequence[Described]) -> None:
        """Writes what came of a shard's batches."""
        descriptors = np.concatenate([piece.descriptors for piece in pieces])
        rows = np.array([row for piece in pieces for row in piece.rows])
        check_finite(descriptors, rows)
        skipped = {str(row): why for piece in pieces for row, why in piece.skipped.items()}
        with written_whole(self._path(index)) as temporary, temporary.open("wb") as file:
            np.savez(file, rows=rows, descriptors=descriptors, skipped=json.dumps(skipped))

    def read(self, index: int) -> Described | None:
        """A shard; None if it is not there, or broken."""
        try:
            with self._path(index).open("rb") as opened, np.load(opened) as file:
                rows, descriptors = tuple(file["rows"].tolist()), file["descriptors"]
                skipped = {int(row): why for row, why in json.loads(str(file["skipped"])).items()}
        except Exception:  # NumPy raises anything at broken files.
            return None
        planned = tuple(row for batch in self.batches(index) for row in batch.rows)
        is_whole = rows == planned and len(descriptors) == len(rows)
        return Described(rows, descriptors, skipped) if is_whole else None

    def read_whole(self, index: int) -> Described:
        """A shard that has to be there."""
        shard = self.read(index)
        if shard is None:
            raise UserError(
                f"{self._path(index)} is missing or broken; run this again, which makes it anew"
            )
        return shard

    def wait_for_others(self) -> None:
        """Waits until all shards are there: for days, where a collective may wait for half an hour.

        Where another process ends without its shards, JAX ends this one.
        """
        for index in self.indices:
            while not self._path(index).exists():
                time.sleep(POLL_SECONDS)

    def remove(self) -> None:
        """Removes the folder."""
        shutil.rmtree(self._folder)

    def _path(self, index: int) -> pathlib.Path:
        return self._folder / f"{index:06}.npz"


def _sha256(plan: Plan) -> str:
    return hashlib.sha256(repr(plan.batches).encode()).hexdigest()
