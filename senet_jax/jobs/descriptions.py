"""The descriptors of an evaluation's lists: made, or found in the workdir."""

import dataclasses
import hashlib
import json
import pathlib
import time
from collections.abc import Mapping
from typing import Any

import numpy as np

from senet_jax.data.ground_truth import KINDS
from senet_jax.data.revisitop import Dataset
from senet_jax.features.described_list import PhotographList, describe_list
from senet_jax.features.origin import origin_of_network, sha256_of_list
from senet_jax.features.runner import Describer
from senet_jax.features.store import DescriptorStore
from senet_jax.jobs.evaluation_plan import EvaluationPlan, PlannedList
from senet_jax.search.whitening import SHRINKAGE
from senet_jax.weights import Weights

FOLDER = "descriptors"


@dataclasses.dataclass(frozen=True, eq=False)
class Searchable:
    """A dataset as it is searched.

    Attributes:
        queries: float32[q d].
        database_parts: number[n_i d] each, or quantised: the database, then the distractors.
        skipped_rows: the items whose photographs could not be read.
    """

    queries: np.ndarray
    database_parts: list[np.ndarray]
    skipped_rows: list[int]

    @property
    def size(self) -> int:
        """How many items are searched."""
        return sum(map(len, self.database_parts))


@dataclasses.dataclass(frozen=True, eq=False)
class Descriptions:
    """The descriptors of every list of a plan.

    Attributes:
        plan: whose lists they are.
        stores: by the lists' labels.
        lists_sha256: for each label what tells the list from others.
        seconds: for each label what it took.
    """

    plan: EvaluationPlan
    stores: Mapping[str, DescriptorStore]
    lists_sha256: Mapping[str, str]
    seconds: Mapping[str, float]

    def searchable(self, dataset: Dataset) -> Searchable:
        """A dataset's queries and what they are looked for in."""
        databases = self._databases(dataset)
        skipped_rows, first = [], 0
        for database in databases:
            skipped_rows += (first + database.skipped_rows).tolist()
            first += len(database.descriptors)
        return Searchable(
            self._queries(dataset).descriptors,
            [database.descriptors for database in databases],
            skipped_rows,
        )

    def inputs_sha256(self, dataset: Dataset) -> str:
        """What tells the descriptors and the ground truth that are scored from any others."""
        stores = [self._queries(dataset), *self._databases(dataset)]
        truth = dataset.ground_truth
        labels = [[items.tolist() for items in getattr(truth, kind)] for kind in KINDS]
        described = [[dict(s.origin), list(s.checksums), sorted(s.skipped)] for s in stores]
        whitened = [f"whitened, {SHRINKAGE}"] * self.plan.whiten
        return hashlib.sha256(json.dumps([described, labels, *whitened]).encode()).hexdigest()

    @property
    def unreadable(self) -> list[str]:
        """For each photograph that could not be read a line that says why."""
        return [why for store in self.stores.values() for why in store.skipped.values()]

    def _queries(self, dataset: Dataset) -> DescriptorStore:
        return self.stores[self.plan.query_list(dataset).label]

    def _databases(self, dataset: Dataset) -> list[DescriptorStore]:
        return [self.stores[planned.label] for planned in self.plan.database_lists(dataset)]


def describe(plan: EvaluationPlan, weights: Weights, workdir: pathlib.Path) -> Descriptions:
    """Describes every list of a plan, or finds it described; all processes call it together.

    Raises:
        UserError: see `describe_list`.
    """
    describer = Describer.of(weights, plan.mode)
    network = origin_of_network(weights)
    stores, lists_sha256, seconds = {}, {}, {}
    for planned in plan.lists:
        start = time.monotonic()
        list_sha256 = sha256_of_list(planned.image_names, planned.photographs)
        wanted, origin = _wanted(plan, planned), network | _origin(plan, planned, list_sha256)
        folder = workdir / FOLDER / planned.name
        stores[planned.label] = describe_list(describer, wanted, folder, planned.part, origin)
        lists_sha256[planned.label] = list_sha256
        seconds[planned.label] = time.monotonic() - start
    return Descriptions(plan, stores, lists_sha256, seconds)


def _wanted(plan: EvaluationPlan, planned: PlannedList) -> PhotographList:
    return PhotographList(
        planned.label,
        planned.photographs,
        plan.scales,
        storage=planned.storage,
        skip_unreadable=planned.skip_unreadable,
        allow_unreadable=plan.allow_unreadable,
    )


def _origin(plan: EvaluationPlan, planned: PlannedList, list_sha256: str) -> dict[str, Any]:
    return {
        "scales": list(plan.scales),
        "mode": plan.mode,
        "images": list_sha256,
        "storage": planned.storage,
    }
