"""The descriptors of a list of photographs: those on disk that are valid, the others computed.

A row is valid if it has the wanted origin and was made of the file as it is now. An image that
could not be read is tried again every time. Work that is ended at any moment resumes from its
shards.
"""

import concurrent.futures
import dataclasses
import os
import pathlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils

from senet_jax.data.file_state import FILE_STATE, are_same, file_states
from senet_jax.data.revisitop import Photograph
from senet_jax.data.transforms import UnreadableImage
from senet_jax.features.extract import (
    Job,
    extract_batches,
    most_photograph_pixels,
    plan_job,
)
from senet_jax.features.reader import why_unreadable
from senet_jax.features.runner import Describer
from senet_jax.features.shards import Shards
from senet_jax.features.store import (
    DescribedRows,
    DescriptorStore,
    load_store,
    save_description,
    save_store,
)
from senet_jax.system.errors import UserError
from senet_jax.system.progress import Progress


@dataclasses.dataclass(frozen=True)
class PhotographList:
    """A list of photographs to describe, and what is allowed of them.

    Attributes:
        label: of the lines that are printed.
        photographs: the list.
        scales: the sizes at which each is described, relative to its own.
        storage: of the descriptors, see `quantise`.
        skip_unreadable: give an unreadable image a row of zeros instead of stopping.
        allow_unreadable: what part of the list may be unreadable, in [0, 1].
    """

    label: str
    photographs: Sequence[Photograph]
    scales: Sequence[float]
    storage: str = "float32"
    skip_unreadable: bool = False
    allow_unreadable: float = 0.5

    def check_unreadable(self, unreadable: Mapping[int, str]) -> None:
        """Checks how many images cannot be read.

        Raises:
            UnreadableImage: one, and such images are not to be skipped.
            UserError: all of them, or more than are allowed.
        """
        if not unreadable:
            return
        first = unreadable[min(unreadable)]
        if not self.skip_unreadable:
            raise UnreadableImage(first)
        count, total = len(unreadable), len(self.photographs)
        if count == total or count > self.allow_unreadable * total:
            raise UserError(
                f"{self.label}: {count:,} of {total:,} images cannot be read; mend them"
                + ("" if count == total else " or raise --config.allow_unreadable")
                + f". The first: {first}"
            )


def describe_list(
    describer: Describer,
    wanted: PhotographList,
    folder: str | os.PathLike,
    part: str,
    origin: Mapping[str, Any],
) -> DescriptorStore:
    """Makes `PART.npy` and `PART.json` of a folder hold a list's descriptors.

    All processes call it together.

    Args:
        describer: the network.
        wanted: the list.
        folder: for the descriptors, and for the shards until they are whole.
        part: their name.
        origin: how they are made, as JSON has it.

    Raises:
        UnreadableImage: an image cannot be read, and such images are not to be skipped.
        UserError: what stands there was made in another way, too many images cannot be read, a
            descriptor is not finite, or the folder cannot be written.
    """
    found = load_store(folder, part, origin)
    shards = Shards(pathlib.Path(folder) / f"{part}.shards", wanted.photographs, origin)
    store, rows = None, list(range(len(wanted.photographs)))
    if found is not None:
        most_pixels = most_photograph_pixels(describer.devices, wanted.scales)
        store, rows = _checked_against_files(found, wanted, most_pixels)
        wanted.check_unreadable(store.skipped)

    def save(pieces: Iterable[DescribedRows]) -> None:
        if jax.process_index() == 0:
            shape = len(wanted.photographs), describer.width
            options = {"origin": origin, "storage": wanted.storage, "base": store}
            save_store(folder, part, shape=shape, pieces=pieces, **options)
            shards.remove()

    if found is not None and store is not None and not rows:
        if jax.process_index() == 0:
            if (store.skipped, store.files.tobytes()) != (found.skipped, found.files.tobytes()):
                save_description(folder, part, store)
            shards.remove()
        return store
    job = plan_job(
        describer,
        [wanted.photographs[row] for row in rows],
        wanted.scales,
        label=wanted.label,
        skip_unreadable=wanted.skip_unreadable,
    )
    unreadable = {rows[row]: why for row, why in job.unreadable.items()}
    wanted.check_unreadable({**unreadable, **({} if store is None else store.skipped)})
    if _of_first_process(np.asarray(shards.are_of_another_plan(rows, job.plan))):
        print(f"{wanted.label}: photographs have changed since a run was ended; the others stay")
        save(shards.rescued())
        _meet(f"{folder} {part} is rescued")
        return describe_list(describer, wanted, folder, part, origin)
    print(job.summary(), flush=True)
    shards.begin(rows, job.plan)
    _make_shards(describer, job, shards)
    if jax.process_count() > 1:
        shards.wait_for_others()
    _meet(f"{folder} {part}")
    save(_pieces(shards, wanted, unreadable, describer.width))
    _meet(f"{folder} {part} is saved")
    saved = load_store(folder, part, origin)
    assert saved is not None  # It was just written.
    wanted.check_unreadable(saved.skipped)
    return saved


def _checked_against_files(
    store: DescriptorStore, wanted: PhotographList, most_pixels: int
) -> tuple[DescriptorStore, list[int]]:
    """The store with its files and unreadable images as they are now, and the rows to describe."""
    total = len(wanted.photographs)
    progress = Progress(f"{wanted.label}, files", total, "images")
    files = file_states(wanted.photographs, store.files, progress.advance)
    is_stale = ~are_same(files, store.files)
    skipped = {}
    with concurrent.futures.ThreadPoolExecutor() as pool:
        again = pool.map(
            lambda row: why_unreadable(wanted.photographs[row], most_pixels), store.skipped
        )
        for row, why in zip(store.skipped, again, strict=True):
            is_stale[row] = why is None
            if why is not None:
                skipped[row] = why
    is_stale = _of_first_process(is_stale)
    files[is_stale] = np.zeros((), FILE_STATE)
    rows = np.flatnonzero(is_stale).tolist()
    if rows:
        print(
            f"{wanted.label}: {len(rows):,} of {total:,} images have changed, can be read now, or "
            "have no whole descriptor; the others stay"
        )
    return dataclasses.replace(store, files=files, skipped=skipped), rows


def _make_shards(describer: Describer, job: Job, shards: Shards) -> None:
    """Makes this process's shards, those that are not there or no longer right."""
    mine = shards.indices[jax.process_index() :: jax.process_count()]
    missing = [index for index in mine if not shards.is_there(index)]
    if len(missing) < len(mine):
        print(f"{job.label}: {len(mine) - len(missing)} of {len(mine)} shards are there already")
    total = sum(len(batch.rows) for index in missing for batch in shards.batches(index))
    progress = Progress(job.label, total, "images")
    for index in missing:
        # From before the photographs are read: what is changed meanwhile shows the next time.
        files = file_states(shards.photographs(index))
        descriptors, skipped = [], {}
        for extracted in extract_batches(describer, job, shards.batches(index)):
            descriptors.append(extracted.descriptors(describer.width))
            skipped |= extracted.skipped
            progress.advance(len(extracted.rows))
        shards.write(index, np.concatenate(descriptors), skipped, files)


def _pieces(
    shards: Shards, wanted: PhotographList, unreadable: Mapping[int, str], width: int
) -> Iterator[DescribedRows]:
    """All that was planned: the rows that could not even be measured, then the shards."""
    files = file_states([wanted.photographs[row] for row in unreadable])
    nothing = np.zeros((len(unreadable), width), np.float32)
    yield DescribedRows(list(unreadable), nothing, unreadable, files)
    yield from map(shards.read, shards.indices)


def _of_first_process(value: np.ndarray) -> np.ndarray:
    """The first process's value: what all of them go by."""
    if jax.process_count() == 1:
        return value
    return np.asarray(multihost_utils.broadcast_one_to_all(value))


def _meet(name: str) -> None:
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(name)
