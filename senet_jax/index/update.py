"""Makes an index hold what a folder of photographs holds: what is new in it is described.

A file that has kept its size and times is not read. What a file holds is known by a digest, so that
one that was moved or copied is not described again. A photograph that cannot be read is named, and
tried again the next time. Work that is ended at any moment loses at most the last group of batches.
"""

import dataclasses
import itertools
import os
import pathlib
import time
from collections.abc import Collection, Mapping, Sequence

import numpy as np

from senet_jax.convert.sources import is_spelled, weights_folder
from senet_jax.data.file_state import FILE_STATE, are_same, file_states
from senet_jax.features.extract import extract_batches, plan_job
from senet_jax.features.origin import check_origin
from senet_jax.features.runner import Describer
from senet_jax.features.scales import scales_of
from senet_jax.features.shards import SHARD_BATCHES
from senet_jax.features.store import check_finite
from senet_jax.index.contents import (
    DEFAULT_WEIGHTS,
    UNREAD,
    Appender,
    Contents,
    contents_paths,
    read_contents,
)
from senet_jax.index.listing import Listing, load_listing, save_listing
from senet_jax.index.photographs import ShrunkPhotograph, find_photographs
from senet_jax.index.store import MANIFEST, Index, Manifest, origin_of, read_manifest
from senet_jax.index.whitened import bring_up_to_date, read_whitened, whitened_paths
from senet_jax.models.registry import output_of
from senet_jax.search.storage import quantise
from senet_jax.system.errors import UserError, printable
from senet_jax.system.files import atomic_write
from senet_jax.system.progress import Progress
from senet_jax.weights import Weights, load_weights

SKIPPED = "skipped.txt"
FILES_PER_LOOK = 4096
SAVE_SECONDS = 30.0
"""How often what was found out about files is saved while they are looked at."""
COPIED_ROWS = 8192


@dataclasses.dataclass(frozen=True)
class Updated:
    """What an update has done.

    Attributes:
        index: as it is now.
        described: how many contents were described.
        moved: how many files with a new name have a content that was described already.
        removed: how many files are no longer there.
        skipped: for each photograph that could not be described a line that says why.
        network: what describes, on what it was trained, and the licence of its weights.
        weights_remarks: what has to be said of the weights.
        remarks: a line for each folder that cannot be listed.
    """

    index: Index
    described: int
    moved: int
    removed: int
    skipped: Sequence[str]
    network: str
    weights_remarks: Sequence[str]
    remarks: Sequence[str]

    def summary(self) -> str:
        """The same in one line."""
        done = [f"{self.described:,} described"]
        done += [f"{self.moved:,} moved or copied"] * bool(self.moved)
        done += [f"{self.removed:,} removed"] * bool(self.removed)
        place = self.index.folder / SKIPPED
        done += [f"{len(self.skipped):,} CANNOT BE READ, see {place}"] * bool(self.skipped)
        return f"{len(self.index.listing.names):,} photographs: {', '.join(done)}"


def check_place(folder: pathlib.Path) -> None:
    """Checks that an index is in a folder, or can be made there.

    Raises:
        UserError: something else is there.
    """
    if (folder / MANIFEST).exists() or not folder.exists():
        return
    if not folder.is_dir() or any(entry.name[0] != "." for entry in folder.iterdir()):
        raise UserError(f"{folder} is there and is no index; name a new folder for the index")


def update(
    photos: pathlib.Path,
    folder: pathlib.Path,
    weights: str | pathlib.Path | None,
    storage: str | None,
    whiten: bool | None = None,
) -> Updated:
    """Makes an index, or brings it up to date.

    Args:
        photos: the folder of the photographs.
        folder: of the index.
        weights: the weights folder, or what tells them by a name, see `sources.weights_folder`;
            None for that of the index, or `DEFAULT_WEIGHTS`.
        storage: of the descriptors, see `quantise`; None for that of the index, or float32.
        whiten: whether descriptors are whitened before they are searched; None for that of the
            index, or not.

    Raises:
        UserError: there is no photograph, the index is of another folder that is still there, is
            made by other weights or has another storage, or a folder cannot be written.
    """
    photos = pathlib.Path(os.path.abspath(photos))
    found = find_photographs(photos)
    former = load_listing(folder) or Listing(photos, (), np.zeros(0, FILE_STATE))
    if former.folder.is_dir() and not former.folder.samefile(photos):
        raise UserError(
            f"{folder} is of {former.folder}, which is still there; name another index for {photos}"
        )
    manifest, network = _manifest(folder, weights, storage, whiten)
    _remove_other_generations(folder, manifest)
    before = read_contents(folder, manifest.generation, manifest.no_rows)
    listing = _look(photos, found.names, former, folder)
    new, contents, skipped = _New.of(listing, before), before, []
    if new.photographs:
        with Appender(folder, manifest.generation, before) as appender:
            skipped = _lines(_describe(new, network, manifest.storage, appender), new, listing)
        contents = read_contents(folder, manifest.generation, manifest.no_rows)
    index = _whitened(_without_most_that_is_gone(Index(folder, manifest, contents, listing)))
    _write_skipped(folder / SKIPPED, skipped)
    return Updated(
        index,
        described=len(contents.row_of) - len(before.row_of),
        moved=sum(
            digest in before.row_of
            for name, digest in zip(listing.names, listing.digests, strict=True)
            if name not in former.row_of
        ),
        removed=len(former.row_of.keys() - set(listing.names)),
        skipped=skipped,
        network=network.provenance,
        weights_remarks=network.remarks,
        remarks=found.remarks,
    )


def _manifest(
    folder: pathlib.Path,
    weights: str | pathlib.Path | None,
    storage: str | None,
    whiten: bool | None,
) -> tuple[Manifest, Weights]:
    """The manifest, written if it is new or the weights were moved, and the weights."""
    there = read_manifest(folder)
    if weights is None:
        weights = DEFAULT_WEIGHTS if there is None else there.weights
    place = str(weights) if is_spelled(str(weights)) else os.path.abspath(weights)
    network = load_weights(weights_folder(place))
    output_of(network.architecture, "global")  # Refuses a network that does not describe.
    origin = origin_of(network)
    if there is None:
        width = network.architecture.outputs
        manifest = Manifest(place, origin, width, storage or "float32", 0)
    else:
        check_origin(there.origin, origin, folder / MANIFEST)
        if storage not in (None, there.storage):
            raise UserError(
                f"{folder} is stored as {there.storage}, not {storage}; name another index"
            )
        manifest = dataclasses.replace(there, weights=place)
    if whiten is not None:
        whitening = (manifest.whitening or 0) if whiten else None
        manifest = dataclasses.replace(manifest, whitening=whitening)
    if manifest != there:
        manifest.write(folder)
    return manifest, network


def _look(
    photos: pathlib.Path, names: Sequence[str], former: Listing, folder: pathlib.Path
) -> Listing:
    """What the files hold now, saved in the folder of the index."""
    photographs = [ShrunkPhotograph(photos, name) for name in names]
    files = former.states_of(names)
    progress = Progress("looking at files", len(names), "files")
    saved = time.monotonic()
    for start in range(0, len(names), FILES_PER_LOOK):
        part = slice(start, start + FILES_PER_LOOK)
        files[part] = file_states(photographs[part], files[part], progress.advance)
        if time.monotonic() - saved > SAVE_SECONDS:
            save_listing(folder, Listing(photos, names, files))
            saved = time.monotonic()
    listing = Listing(photos, names, files)
    if not listing.is_equal(former):
        save_listing(folder, listing)
    return listing


@dataclasses.dataclass(frozen=True, eq=False)
class _New:
    """Photographs to describe: the first file of each new content, and all that are unreadable.

    Attributes:
        photographs: n of them.
        digests: of their contents.
        files: `FILE_STATE`[n], what was found when they were looked at.
    """

    photographs: Sequence[ShrunkPhotograph]
    digests: Sequence[bytes]
    files: np.ndarray

    @classmethod
    def of(cls, listing: Listing, there: Contents) -> "_New":
        first: dict[bytes, int] = {}
        unread = []
        for row, digest in enumerate(listing.digests):
            if digest == UNREAD:
                unread.append(row)
            elif digest not in there.row_of:
                first.setdefault(digest, row)
        rows = sorted([*first.values(), *unread])
        photographs = [ShrunkPhotograph(listing.folder, listing.names[row]) for row in rows]
        return cls(photographs, [listing.digests[row] for row in rows], listing.files[rows])

    def changed(self, rows: np.ndarray) -> dict[int, str]:
        """Which of some photographs no longer have the content that their digest tells."""
        now = file_states([self.photographs[row] for row in rows], self.files[rows])
        changed = rows[~are_same(now, self.files[rows])].tolist()
        return {
            row: f"{printable(str(self.photographs[row].path))} was changed while it was read"
            for row in changed
        }


def _describe(new: _New, weights: Weights, storage: str, appender: Appender) -> dict[int, str]:
    """Describes photographs; why each of those that were not could not be."""
    describer = Describer.of(weights)
    job = plan_job(
        describer,
        new.photographs,
        scales_of(weights.architecture),
        label="new photographs",
        skip_unreadable=True,
    )
    print(job.summary(), flush=True)
    skipped = dict(job.unreadable)
    progress = Progress("describing", len(new.photographs), "photographs")
    progress.advance(len(skipped))
    extracted = extract_batches(describer, job, job.plan.batches)
    while group := list(itertools.islice(extracted, SHARD_BATCHES)):
        rows = np.array([row for each in group for row in each.rows])
        descriptors = np.concatenate([each.descriptors(describer.width) for each in group])
        skipped |= new.changed(rows)
        for each in group:
            skipped |= each.skipped
        is_right = ~np.isin(rows, list(skipped))
        right, descriptors = rows[is_right].tolist(), descriptors[is_right]
        check_finite(descriptors, right)
        appender.append([new.digests[row] for row in right], quantise(descriptors, storage))
        progress.advance(len(rows))
    return skipped


def _lines(skipped: Mapping[int, str], new: _New, listing: Listing) -> list[str]:
    """A line for each file that was not described, those of the same content included."""
    lines = [skipped[row] for row in sorted(skipped)]
    first = {new.digests[row]: new.photographs[row].file_name for row in skipped}
    first.pop(UNREAD, None)
    for name, digest in zip(listing.names, listing.digests, strict=True):
        if first.get(digest, name) != name:
            same = printable(f"{listing.path(name)}: it is the same as {first[digest]}")
            lines.append(f"cannot read the image {same}")
    return lines


def _without_most_that_is_gone(index: Index) -> Index:
    """The index, with new files of descriptors where most of them are of no photograph."""
    live = sorted(index.paths_of_row)
    rows = index.contents.descriptors
    if 2 * len(live) >= len(rows):
        return index
    digest_of = {row: digest for digest, row in index.contents.row_of.items()}
    generation = index.manifest.generation + 1
    manifest = dataclasses.replace(index.manifest, generation=generation)
    nothing = Contents(manifest.no_rows, {}, 0)
    with Appender(index.folder, generation, nothing) as appender:
        for start in range(0, len(live), COPIED_ROWS):
            some = live[start : start + COPIED_ROWS]
            appender.append([digest_of[row] for row in some], rows[some])
    contents = read_contents(index.folder, generation, manifest.no_rows)
    renewed = _whitened(Index(index.folder, manifest, contents, index.listing))
    renewed.manifest.write(index.folder)
    _remove_other_generations(index.folder, renewed.manifest)
    return renewed


def _whitened(index: Index) -> Index:
    """The index with all that is described whitened, if it is to be; then its manifest says so."""
    manifest = index.manifest
    if manifest.whitening is None:
        return index
    plain = dataclasses.replace(index, whitened=None)
    number = bring_up_to_date(
        index.folder,
        manifest.whitening,
        index.contents,
        plain.paths_of_row.keys(),
        manifest.storage,
    )
    if number != manifest.whitening:
        manifest = dataclasses.replace(manifest, whitening=number)
        manifest.write(index.folder)
        _remove_other_generations(index.folder, manifest)
    whitened = read_whitened(index.folder, number, manifest.no_rows)
    return dataclasses.replace(plain, manifest=manifest, whitened=whitened)


def _remove_other_generations(folder: pathlib.Path, manifest: Manifest) -> None:
    """Removes the files of descriptors that nobody reads, and what killed processes have left."""
    paths = [*contents_paths(folder, manifest.generation)]
    if manifest.whitening is not None:
        paths += whitened_paths(folder, manifest.whitening)
    kept = {path.name for path in paths}
    for pattern in ("descriptors.*", "contents.*.jsonl", "whitening.*", ".*.*"):
        for path in folder.glob(pattern):
            if path.name not in kept and path.is_file():
                path.unlink(missing_ok=True)


def _write_skipped(path: pathlib.Path, skipped: Collection[str]) -> None:
    with atomic_write(path) as temporary:
        lines = "".join(f"{why}\n" for why in skipped)
        temporary.write_text(lines, encoding="utf-8", errors="backslashreplace")
