"""Whitening as a part of the job `evaluate`: learned on what is searched, and kept."""

import dataclasses
import pathlib
from collections.abc import Iterator

import jax
import numpy as np
from jax.experimental import multihost_utils

from senet_jax.jobs.descriptions import Searchable
from senet_jax.jobs.kept_stages import StageFolder
from senet_jax.rerank.method import DatabaseStage
from senet_jax.search.database import BlockedDatabase
from senet_jax.search.storage import quantise
from senet_jax.search.whitening import SHRINKAGE, Whitening, fit_shrunk_whitening
from senet_jax.system.progress import Progress

FOLDER = "whitened"


def whitened(searchable: Searchable, storage: str, workdir: pathlib.Path) -> Searchable:
    """A dataset with whitened descriptors; all processes call it together.

    The whitening is learned on all that is searched, the distractors among it, as that of an index
    of these photographs would be. No query and no label is looked at.

    Args:
        searchable: the descriptors as the network gives them.
        storage: of the database's, see `quantise`.
        workdir: of the evaluation.

    Raises:
        UserError: the descriptors cannot be whitened, or the workdir cannot be written.
    """
    database = BlockedDatabase(tuple(searchable.database_parts), searchable.skipped_rows)
    settings = {"storage": storage, "shrinkage": SHRINKAGE}
    stage = DatabaseStage("whitened", settings, database, lambda: _pieces(database, storage))
    keep, arrays = StageFolder(workdir / FOLDER), None
    if jax.process_index() == 0:
        arrays = keep(stage)
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices(f"whitened {stage.name}")
    arrays = keep(stage) if arrays is None else arrays
    whitening = Whitening(np.asarray(arrays["mean"]), np.asarray(arrays["projection"]))
    return dataclasses.replace(
        searchable,
        queries=whitening(np.asarray(searchable.queries)),
        database_parts=[arrays["descriptors"]],
    )


def _pieces(database: BlockedDatabase, storage: str) -> Iterator[dict[str, np.ndarray]]:
    progress = Progress("learning the whitening", database.size, "rows")
    whitening = fit_shrunk_whitening(database, progress.advance)
    yield {"mean": whitening.mean, "projection": whitening.projection}
    progress = Progress("whitening", database.size, "rows")
    for start in range(0, database.size, database.block_rows):
        rows = database.read(start)[: database.size - start]
        yield {"descriptors": quantise(whitening(rows), storage)}
        progress.advance(len(rows))
