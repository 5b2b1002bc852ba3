"""Shards: the finished parts of a list's descriptors, from which a run that was ended resumes.

`PART.shards/` holds one file for every 16 batches of the plan, written atomically, and
`manifest.json`, which says how they are made. Several processes share the folder and the work: each
makes every n-th shard, and the first puts them together.
"""

import hashlib
import json
import pathlib
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np

from senet_jax.data.file_state import are_same, file_states
from senet_jax.data.revisitop import Photograph
from senet_jax.features.origin import check_origin
from senet_jax.features.plan import Batch, Plan
from senet_jax.features.store import DescribedRows, check_finite
from senet_jax.system.checksummed import (
    load_arrays,
    read_sealed_json,
    save_arrays,
    write_sealed_json,
)
from senet_jax.system.errors import UserError

SHARD_BATCHES = 16
POLL_SECONDS = 1.0
MANIFEST = "manifest.json"


class Shards:
    """The folder of shards of one list.

    Args:
        folder: where they are.
        photographs: the list.
        origin: how its descriptors are made, as JSON has it.

    Raises:
        UserError: there are shards of another origin, or the manifest is broken.
    """

    def __init__(
        self, folder: pathlib.Path, photographs: Sequence[Photograph], origin: Mapping[str, Any]
    ):
        self._folder, self._photographs, self._origin = folder, photographs, origin
        self._rows: Sequence[int] = ()
        self._batches: Sequence[Batch] = ()
        self._plan_there = None
        if (folder / MANIFEST).exists():
            manifest = read_sealed_json(folder / MANIFEST, f"remove {folder}")
            check_origin(manifest.get("origin", {}), origin, folder)
            self._plan_there = manifest.get("plan")

    def are_of_another_plan(self, rows: Sequence[int], plan: Plan) -> bool:
        """Whether there are shards, and not of these rows in these batches."""
        return self._plan_there not in (None, _sha256(rows, plan))

    def begin(self, rows: Sequence[int], plan: Plan) -> None:
        """Takes a plan, and writes it down if there is none.

        Args:
            rows: of the list: which ones are planned.
            plan: of these rows.
        """
        self._rows, self._batches = rows, plan.batches
        if self._plan_there is None and jax.process_index() == 0:
            manifest = {"origin": dict(self._origin), "plan": _sha256(rows, plan)}
            write_sealed_json(self._folder / MANIFEST, manifest)

    @property
    def indices(self) -> range:
        """Of all shards of the plan."""
        return range(-(-len(self._batches) // SHARD_BATCHES))

    def batches(self, index: int) -> Sequence[Batch]:
        """The batches of a shard, whose rows count among those that are planned."""
        return self._batches[index * SHARD_BATCHES : (index + 1) * SHARD_BATCHES]

    def photographs(self, index: int) -> list[Photograph]:
        """The photographs of a shard, in the order of its rows."""
        return [self._photographs[row] for row in self._rows_of(index)]

    def write(
        self, index: int, descriptors: np.ndarray, skipped: Mapping[int, str], files: np.ndarray
    ) -> None:
        """Writes what came of a shard's batches.

        Args:
            index: of the shard.
            descriptors: float32[k d], in the order of the batches.
            skipped: row among those that are planned -> why its image could not be read.
            files: `FILE_STATE`[k], of the photographs from before they were described.
        """
        rows = self._rows_of(index)
        check_finite(descriptors, rows)
        of_list = {str(self._rows[row]): why for row, why in skipped.items()}
        save_arrays(
            self._path(index),
            rows=np.array(rows),
            descriptors=descriptors,
            skipped=json.dumps(of_list),
            files=files,
        )

    def is_there(self, index: int) -> bool:
        """Whether a shard is whole, and all of its photographs are what they were."""
        shard = self._read(index)
        return shard is not None and bool(self._are_current(shard).all())

    def read(self, index: int) -> DescribedRows:
        """A shard that has to be there."""
        shard = self._read(index)
        if shard is None:
            raise UserError(
                f"{self._path(index)} is missing or broken; run this again, which makes it anew"
            )
        return shard

    def _read(self, index: int) -> DescribedRows | None:
        shard = _load(self._path(index))
        return shard if shard is not None and shard.rows == self._rows_of(index) else None

    def rescued(self) -> Iterator[DescribedRows]:
        """What is still right in the shards of any plan."""
        for path in sorted(self._folder.glob("*.npz")):
            shard = _load(path)
            if shard is None or not set(shard.rows) <= set(range(len(self._photographs))):
                continue
            is_right = self._are_current(shard) & ~np.isin(shard.rows, list(shard.skipped))
            rows = np.array(shard.rows)[is_right].tolist()
            yield DescribedRows(rows, shard.descriptors[is_right], {}, shard.files[is_right])

    def wait_for_others(self) -> None:
        """Waits until all shards are there: for days, where a collective may wait for half an hour.

        Where another process ends without its shards, JAX ends this one.
        """
        for index in self.indices:
            while not self._path(index).exists():
                time.sleep(POLL_SECONDS)

    def remove(self) -> None:
        """Removes the folder, if it is there."""
        if self._folder.exists():
            shutil.rmtree(self._folder)

    def _are_current(self, shard: DescribedRows) -> np.ndarray:
        """Which rows are of files that are what they were: bool[k]; none was, and none is, too."""
        now = file_states([self._photographs[row] for row in shard.rows], shard.files)
        is_nothing = ~(now["digest"] | shard.files["digest"]).any(axis=1)
        return are_same(now, shard.files) | (is_nothing & np.isin(shard.rows, list(shard.skipped)))

    def _rows_of(self, index: int) -> list[int]:
        return [self._rows[row] for batch in self.batches(index) for row in batch.rows]

    def _path(self, index: int) -> pathlib.Path:
        return self._folder / f"{index:06}.npz"


def _load(path: pathlib.Path) -> DescribedRows | None:
    """A shard; None if it is not there, or broken."""
    try:
        arrays = load_arrays(path)
        skipped = json.loads(str(arrays["skipped"]))
        return DescribedRows(
            arrays["rows"].tolist(),
            arrays["descriptors"],
            {int(row): why for row, why in skipped.items()},
            arrays["files"],
        )
    except (ValueError, KeyError, AttributeError):
        return None


def _sha256(rows: Sequence[int], plan: Plan) -> str:
    """Tells a plan from any other. The words are those of the file format."""
    batches = "".join(
        f"Batch(rows={batch.rows}, shapes={batch.shapes}, capacity={batch.capacity}, "
        f"turned={batch.transposed}), "
        for batch in plan.batches
    )
    # As Python writes a tuple.
    batches = batches.removesuffix(" ") if len(plan.batches) == 1 else batches.removesuffix(", ")
    return hashlib.sha256(f"({list(rows)}, ({batches}))".encode()).hexdigest()
