"""The report of a whole workdir: scores by name, and how the run that made them was set.

As JSON it is `report.json`: each entry's scores under its name, the run under `run`. What
`score --json` writes is the same without a run, of one entry that has no name.
"""

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

from senet_jax.metrics.evaluation_report import EvaluationReport
from senet_jax.metrics.protocols import PROTOCOLS
from senet_jax.system.checksummed import crc32_of_json
from senet_jax.system.errors import shown

RUN = "run"
"""The key of the run, which no entry can have."""
UNNAMED = ""
"""The entry of a report that has one only, and does not name it."""

_RESULTS = "results_crc32"
_NUMBER = int | float


@dataclasses.dataclass(frozen=True, eq=False)
class Run:
    """How the scores of a report came about.

    Reports of others, and older ones, lack some of it: what is not told is empty, or None.

    Attributes:
        config: the settings.
        weights_sha256: of the network's tensors.
        weights: what else is known of the weights: the network's name, where they are from.
        random_weights: whether nothing was learned in them.
        lists_sha256: for each list of photographs, `NAME query` or `NAME database`, what tells it
            from others.
        inputs_sha256: for each dataset what tells its descriptors and ground truth from others.
        overlaps: for each dataset that has such, how many of its queries show a landmark on which
            the network was trained.
        counts: of images, queries, steps and the like.
        skipped: how many images could not be read.
        seconds: what each part took.
        versions: of the libraries.
        files_crc32: for each file with ranked lists, relative to the workdir, its CRC-32.

    Raises:
        ValueError: a value is of another kind.
    """

    config: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    weights_sha256: str | None = None
    weights: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    random_weights: bool = False
    lists_sha256: Mapping[str, str] = dataclasses.field(default_factory=dict)
    inputs_sha256: Mapping[str, str] = dataclasses.field(default_factory=dict)
    overlaps: Mapping[str, int] = dataclasses.field(default_factory=dict)
    counts: Mapping[str, Any] = dataclasses.field(default_factory=dict)
    skipped: int = 0
    seconds: Mapping[str, float] = dataclasses.field(default_factory=dict)
    versions: Mapping[str, str] = dataclasses.field(default_factory=dict)
    files_crc32: Mapping[str, int] = dataclasses.field(default_factory=dict)

    def __post_init__(self):
        for name in ("config", "weights", "counts"):
            _check_mapping(self, name, object)
        for name in ("lists_sha256", "inputs_sha256", "versions"):
            _check_mapping(self, name, str)
        _check_mapping(self, "seconds", _NUMBER)
        for name in ("files_crc32", "overlaps"):
            _check_mapping(self, name, int)
        for file in self.files_crc32:
            # Files of an earlier report are removed.
            if not re.fullmatch(r"(ranks|scores)/[^/\0]+\.npy", file):
                raise ValueError(f"the run's lists are in a file {shown(file)}")
        for name, kind in (
            ("weights_sha256", str | None),
            ("random_weights", bool),
            ("skipped", int),
        ):
            if not isinstance(getattr(self, name), kind):
                raise ValueError(f"the run's {name} is {shown(getattr(self, name))}")

    def to_json(self) -> dict[str, Any]:
        """The value that stands under `run`, without the checksum of the scores."""
        return {f.name: _plain(getattr(self, f.name)) for f in dataclasses.fields(self)}

    @classmethod
    def from_json(cls, value: Any) -> "Run":
        """Reads what `to_json` made; keys that are not known are left out.

        Raises:
            ValueError: it is something else.
        """
        if not isinstance(value, dict):
            raise ValueError(f"the run is {shown(value)}")
        known = {field.name for field in dataclasses.fields(cls)}
        return cls(**{key: part for key, part in value.items() if key in known})


@dataclasses.dataclass(frozen=True, eq=False)
class Report:
    """All that a `report.json` holds.

    Attributes:
        entries: scores by name: a dataset's, or `NAME+METHOD:KIND` of a re-ranking.
        run: how they came about, None where the file does not tell it.

    Raises:
        ValueError: an entry has the name of the run.
    """

    entries: Mapping[str, EvaluationReport]
    run: Run | None = None

    def __post_init__(self):
        if RUN in self.entries:
            raise ValueError(f"an entry is called {RUN!r}")

    def to_json(self) -> dict[str, Any]:
        """The value of `report.json`, or of `score --json`."""
        if self.run is None and list(self.entries) == [UNNAMED]:
            return self.entries[UNNAMED].to_json()
        results = {name: entry.to_json() for name, entry in self.entries.items()}
        if self.run is None:
            return results
        return results | {RUN: self.run.to_json() | {_RESULTS: crc32_of_json(results)}}

    @classmethod
    def from_json(cls, value: Any) -> "Report":
        """Reads what `to_json` made.

        Raises:
            ValueError: it is something else, or does not match its checksum.
        """
        if not isinstance(value, dict):
            raise ValueError(f"it is {shown(value)}")
        if value.keys() == {protocol.name for protocol in PROTOCOLS}:
            return cls({UNNAMED: EvaluationReport.from_json(value)})
        results = {name: entry for name, entry in value.items() if name != RUN}
        run = Run.from_json(value[RUN]) if RUN in value else None
        expected = value[RUN].get(_RESULTS) if RUN in value else None
        if expected is not None and expected != crc32_of_json(results):
            raise ValueError("its scores do not match their checksum")
        return cls({name: EvaluationReport.from_json(r) for name, r in results.items()}, run)


def _check_mapping(run: Run, name: str, kind: Any) -> None:
    value = getattr(run, name)
    is_right = isinstance(value, Mapping) and all(
        isinstance(key, str) and isinstance(part, kind) for key, part in value.items()
    )
    if not is_right:
        raise ValueError(f"the run's {name} are {shown(value)}")


def _plain(value: Any) -> Any:
    return dict(value) if isinstance(value, Mapping) else value
