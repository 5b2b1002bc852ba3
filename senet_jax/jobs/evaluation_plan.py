"""What an evaluation is about: datasets, their lists of photographs, and how these are described.

It is made from the config once; the evaluation, its forecast, its re-rankings and its pictures all
take it from here.
"""

import dataclasses
import functools
from typing import Any

from senet_jax.config import names
from senet_jax.data.revisitop import (
    Dataset,
    Distractors,
    Photograph,
    load_dataset,
    load_distractors,
)
from senet_jax.features.plan import Mode
from senet_jax.features.precision import Precision
from senet_jax.metrics.run_report import RUN
from senet_jax.system.errors import UserError


@dataclasses.dataclass(frozen=True, eq=False)
class PlannedList:
    """A list of photographs that is described.

    Attributes:
        name: of the dataset, or of the set of distractors.
        part: `query` or `database`.
        image_names: what the list calls the photographs.
        photographs: one for each name.
        storage: how the descriptors are kept; see `quantise`.
        skip_unreadable: whether a photograph that cannot be read is ranked last, instead of ending
            the job.
    """

    name: str
    part: str
    image_names: tuple[str, ...]
    photographs: tuple[Photograph, ...]
    storage: str
    skip_unreadable: bool

    @property
    def label(self) -> str:
        """What the list is called in reports."""
        return f"{self.name} {self.part}"


@dataclasses.dataclass(frozen=True, eq=False)
class EvaluationPlan:
    """What is described and searched, and how.

    Attributes:
        datasets: what is evaluated.
        distractors: what is appended to every database, if anything.
        crop_queries: whether queries are cut to their boxes.
        scales: at which each photograph is described.
        long_side: to which photographs are shrunk before, in pixels; 0 where they are not.
        mode: `auto` or `exact`.
        precision: of the network's arithmetic.
        storage: how the databases' descriptors are kept.
        strict: whether an unreadable photograph of a database ends the job.
        allow_unreadable: the share of a list that may be unreadable.
        whiten: whether descriptors are whitened before they are searched.

    Raises:
        UserError: a dataset cannot have its name, has no boxes to crop to, or is its own
            distractors.
    """

    datasets: tuple[Dataset, ...]
    distractors: Distractors | None
    crop_queries: bool
    scales: tuple[float, ...]
    long_side: int
    mode: Mode
    precision: Precision
    storage: str
    strict: bool
    allow_unreadable: float
    whiten: bool

    def __post_init__(self):
        for dataset in self.datasets:
            if dataset.name == RUN:
                raise UserError(f"a dataset cannot be called {RUN!r}, which is a key of the report")
            if self.distractors is not None and dataset.name == self.distractors.name:
                raise UserError(
                    f"{dataset.name} is searched and named as its own distractors; choose another "
                    "set"
                )
            if self.crop_queries and dataset.ground_truth.boxes is None:
                raise UserError(
                    f"{dataset.name} has no boxes to crop its queries to; "
                    "describe the whole images with --config.crop_queries=False"
                )

    @classmethod
    def from_config(cls, config: Any) -> "EvaluationPlan":
        """Reads the lists that a valid config of an evaluation names.

        Args:
            config: a mapping or a `ConfigDict`.

        Raises:
            UserError: also where a dataset or the distractors are not there.
        """
        root, distractors = config["data_root"], config["distractors"]
        return cls(
            datasets=tuple(load_dataset(root, name) for name in names(config["datasets"])),
            distractors=load_distractors(root, distractors) if distractors else None,
            crop_queries=config["crop_queries"],
            scales=tuple(config["scales"]),
            long_side=config.get("long_side", 0),  # Reports of before do not tell of it.
            mode=config["mode"],
            # Reports from before there was another do not tell it.
            precision=config.get("precision", "float32"),
            storage=config["storage"],
            strict=config["strict"],
            allow_unreadable=config["allow_unreadable"],
            whiten=config.get("whiten", False),  # Reports of before do not tell of it.
        )

    def queries(self, dataset: Dataset) -> tuple[Photograph, ...]:
        """A dataset's queries, as they are described."""
        return dataset.queries if self.crop_queries else dataset.whole_queries

    def searched(self, dataset: Dataset) -> tuple[Photograph, ...]:
        """What a dataset's queries are looked for in: its photographs, then the distractors."""
        return (
            dataset.images
            if self.distractors is None
            else (dataset.images + self.distractors.images)
        )

    def query_list(self, dataset: Dataset) -> PlannedList:
        """A dataset's queries. They are few, so they are kept as they are, and none is left out."""
        photographs = self._shrunk(self.queries(dataset))
        return PlannedList(
            *(dataset.name, "query", dataset.ground_truth.query_names, photographs),
            storage="float32",
            skip_unreadable=False,
        )

    def database_lists(self, dataset: Dataset) -> list[PlannedList]:
        """What a dataset's queries are looked for in, as it is described."""
        images = dataset.ground_truth.image_names
        database = self._database(dataset.name, images, dataset.images)
        return [database, *self._distractor_lists]

    @property
    def lists(self) -> list[PlannedList]:
        """Every list once, in the order in which they are described."""
        lists = []
        for dataset in self.datasets:
            lists += [self.query_list(dataset), self.database_lists(dataset)[0]]
        return lists + self._distractor_lists

    @property
    def missing(self) -> list[str]:
        """A line for each dataset, and for the distractors, of which files are not there."""
        sets = [*self.datasets, *([] if self.distractors is None else [self.distractors])]
        return [f"{each.name}: {each.missing}" for each in sets if each.missing]

    @property
    def notes(self) -> list[str]:
        """What has to be said beside every result, for it is another without."""
        notes = [] if self.distractors is None else [f"with {self.distractors.name}"]
        notes += ["descriptors whitened"] * self.whiten
        notes += [] if self.precision == "float32" else [f"described in {self.precision}"]
        return notes if self.crop_queries else [*notes, "queries NOT cropped"]

    @functools.cached_property
    def _distractor_lists(self) -> list[PlannedList]:
        if self.distractors is None:
            return []
        images = self.distractors.images
        files = tuple(photograph.file_name for photograph in images)
        return [self._database(self.distractors.name, files, images)]

    def _shrunk(self, photographs: tuple[Photograph, ...]) -> tuple[Photograph, ...]:
        if not self.long_side:
            return photographs
        return tuple(dataclasses.replace(p, long_side=self.long_side) for p in photographs)

    def _database(
        self, name: str, image_names: tuple[str, ...], photographs: tuple[Photograph, ...]
    ) -> PlannedList:
        return PlannedList(
            *(name, "database", image_names, self._shrunk(photographs)),
            storage=self.storage,
            skip_unreadable=not self.strict,
        )
