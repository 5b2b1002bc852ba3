"""Compares two runs query by query: where the second is better, where worse, and by how much.

A.json and B.json are what `score --json` writes, or a report.json. For each entry that both have
and each protocol: mAP of both and their difference with its 95 % interval (bootstrap over pairs),
in per cent; how many queries are better, worse and equal in B; and the queries that changed most.

A name behind a colon picks an entry of a report, whatever it is called in the other one:

  report.json:roxford5k report.json:roxford5k+alpha_qe     before and after, blind and protocol
  report.json:roxford5k+cvnet:protocol other.json          with the other's entry of that name, or
                                                           its only one
"""

import dataclasses
import itertools
import os
import pathlib
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from senet_jax.metrics.bootstrap import mean_interval
from senet_jax.metrics.protocols import PROTOCOLS
from senet_jax.system.errors import (
    CommandParser,
    UserError,
    printable,
    reason,
    run_command,
    shortened,
    shown,
)
from senet_jax.system.files import local_path, read_json

SAME = 1e-9
"""APs that are nearer are equal: another scorer may add in another order."""
CHANGES = 5
"""How many of the queries that changed most are named."""


@dataclasses.dataclass(frozen=True, eq=False)
class QueryScores:
    """A protocol's AP of every query.

    Attributes:
        names: what the queries are called, None where the report does not tell it.
        average_precisions: float64[q], NaN where a query is not scored.
    """

    names: tuple[str | None, ...]
    average_precisions: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class Report:
    """What two runs are compared by.

    Attributes:
        path: the file.
        datasets: for each dataset's name and protocol the scores; the name is empty where the file
            does not tell it.
        lists_sha256: for each list of images what tells it from others.
        scales: at which the images were described, None where the file does not tell them.
    """

    path: pathlib.Path
    datasets: Mapping[str, Mapping[str, QueryScores]]
    lists_sha256: Mapping[str, str]
    scales: list[float] | None


def read_report(path: pathlib.Path) -> Report:
    """Reads what `score --json` or an evaluation wrote.

    Raises:
        UserError: the file is missing, or is no such report.
    """
    value = read_json(path)
    try:
        run = value.get("run", {})
        named = {name: of_dataset for name, of_dataset in value.items() if name != "run"}
        if named.keys() == {protocol.name for protocol in PROTOCOLS}:
            named = {"": named}
        return Report(
            path,
            {
                _name(name): {
                    p.name: _query_scores(of_dataset[p.name]["per_query"]) for p in PROTOCOLS
                }
                for name, of_dataset in named.items()
            },
            {_name(label): value for label, value in run.get("lists_sha256", {}).items()},
            _scales(run.get("config", {}).get("scales")),
        )
    except Exception as error:  # It may be any JSON.
        raise UserError(
            f"{path} is no report of scores ({type(error).__name__}: {reason(error)}); give the "
            "JSON that score or an evaluation wrote"
        ) from error


def _query_scores(per_query: Sequence[Mapping[str, Any]]) -> QueryScores:
    names = [of_query.get("name") for of_query in per_query]
    scores = [of_query["ap"] for of_query in per_query]
    for score in scores:
        if score is not None and not (type(score) in (int, float) and 0 <= score <= 1):
            raise ValueError(f"an AP is {shown(score)}")
    return QueryScores(
        tuple(None if name is None else _name(name) for name in names),
        np.array(scores, np.float64),
    )


def _name(value: Any) -> str:
    """A name as it is printed."""
    if type(value) is not str:
        raise ValueError(f"a name is {shown(value)}")
    return shortened(printable(value), 100)


def _scales(value: Any) -> list[float] | None:
    if value is not None and not all(type(scale) in (int, float) for scale in value):
        raise ValueError(f"the scales are {shown(value)}")
    return value


def split_entry(argument: str) -> tuple[pathlib.Path, str]:
    """`A.json:NAME` -> the file and the name of an entry, empty where none is given.

    Both may hold colons: the longest beginning that is a file is the file.
    """
    ends = [len(argument), *(at for at in range(len(argument) - 1, 0, -1) if argument[at] == ":")]
    for end in ends:
        if os.path.isfile(os.path.expanduser(argument[:end])):
            return local_path(argument[:end]), _name(argument[end + 1 :])
    return local_path(argument), ""


def chosen_entries(report: Report, wanted: str) -> dict[str, Mapping[str, QueryScores]]:
    """The entry of that name; where there is none, those that add `:blind` and `:protocol` to it.

    Raises:
        UserError: the report has no such entry.
    """
    if wanted in report.datasets:
        return {wanted: report.datasets[wanted]}
    found = {
        name: scores
        for name, scores in report.datasets.items()
        if name.rpartition(":")[0] == wanted
    }
    if not found:
        raise UserError(f"{report.path} has no entry {shown(wanted)}; it has {_holdings(report)}")
    return found


def paired_entries(
    first: Report, first_wanted: str, second: Report, second_wanted: str
) -> dict[str, list[Mapping[str, QueryScores]]]:
    """What is compared, under a heading each; see `chosen_entries` and `paired_datasets`.

    Args:
        first: a report.
        first_wanted: the name of an entry, empty for any.
        second: likewise.
        second_wanted: likewise.

    Raises:
        UserError: an entry is not there, or there is nothing to compare it with.
    """
    if not first_wanted and not second_wanted:
        return paired_datasets(first, second)
    sides = [
        chosen_entries(report, wanted) if wanted else _counterparts(report, other)
        for report, wanted, other in (
            (first, first_wanted, second_wanted),
            (second, second_wanted, first_wanted),
        )
    ]
    paired = {}
    for one, other in itertools.product(*sides):
        # Of two methods, each reported twice, like goes with like.
        kinds = [name.rpartition(":")[2] for name in (one, other)]
        if min(map(len, sides)) == 1 or kinds[0] == kinds[1]:
            heading = one if one == other else f"{one or 'A'} -> {other or 'B'}"
            paired[heading] = [sides[0][one], sides[1][other]]
    return paired


def _counterparts(report: Report, wanted: str) -> dict[str, Mapping[str, QueryScores]]:
    """What an entry of the other report is compared with where no name is given."""
    return dict(report.datasets) if len(report.datasets) == 1 else chosen_entries(report, wanted)


def _holdings(report: Report) -> str:
    return ", ".join(shown(name) if name else "one without a name" for name in report.datasets)


def paired_datasets(first: Report, second: Report) -> dict[str, list[Mapping[str, QueryScores]]]:
    """For the name of each dataset that both reports have, the scores of the two.

    A report's only dataset, where it has no name, goes with the other report's only one.

    Raises:
        UserError: the reports have no dataset in common.
    """
    names = {*first.datasets, *second.datasets}
    if "" in names and len(first.datasets) == len(second.datasets) == 1:
        name = max(names)  # The one that is not empty, if there is one.
        return {name: [*first.datasets.values(), *second.datasets.values()]}
    common = {
        name: [first.datasets[name], second.datasets[name]]
        for name in first.datasets
        if name in second.datasets
    }
    if not common:
        holdings = (f"{report.path} has {_holdings(report)}" for report in (first, second))
        raise UserError(
            f"no dataset is in both, {' and '.join(holdings)}; compare runs on the same datasets, "
            "or name an entry of each: A.json:NAME B.json:NAME"
        )
    return common


def warnings(first: Report, second: Report, compared: Collection[str]) -> Iterator[str]:
    """What else the two runs differ in, so that a difference of scores may not be the models'."""
    for report in (first, second):
        for name in report.datasets:
            if name and name not in compared:
                yield f"{name} is in {report.path} only"
    for label in first.lists_sha256:
        if first.lists_sha256[label] != second.lists_sha256.get(label, first.lists_sha256[label]):
            yield f"the images of {label} are not the same in both (lists_sha256)"
    if None not in (first.scales, second.scales) and first.scales != second.scales:
        yield (
            f"the scales are {first.scales} in {first.path} and {second.scales} in {second.path}"
        )


@dataclasses.dataclass(frozen=True, eq=False)
class Comparison:
    """The APs of the queries that a protocol scores, in two runs.

    Attributes:
        names: what the queries are called.
        first: float64[n], in [0, 1].
        second: likewise.
    """

    names: tuple[str, ...]
    first: np.ndarray
    second: np.ndarray

    @property
    def differences(self) -> np.ndarray:
        """float64[n], above 0 where the second run is better, 0 where the two are the same."""
        differences = self.second - self.first
        return np.where(abs(differences) < SAME, 0, differences)

    def largest_changes(self) -> np.ndarray:
        """int64[m], m <= `CHANGES`: places of the queries that changed most, the most first."""
        order = np.argsort(-abs(self.differences), kind="stable")[:CHANGES]
        return order[self.differences[order] != 0]


def compare(first: QueryScores, second: QueryScores) -> Comparison:
    """Pairs the queries of two runs.

    Raises:
        UserError: the two are not about the same queries.
    """
    counts = len(first.names), len(second.names)
    if counts[0] != counts[1]:
        raise UserError(
            f"A has {counts[0]} queries, B {counts[1]}; compare scores by one ground truth"
        )
    for query, (one, other) in enumerate(zip(first.names, second.names, strict=True)):
        if one != other and None not in (one, other):
            raise UserError(
                f"query {query} is {one} in A, {other} in B; compare scores by one ground truth"
            )
    is_scored = ~np.isnan(first.average_precisions)
    differ = np.flatnonzero(is_scored == np.isnan(second.average_precisions))
    if differ.size:
        raise UserError(
            f"query {differ[0]} is scored in {'A' if is_scored[differ[0]] else 'B'} only; "
            "compare scores by one ground truth"
        )
    names = (
        one or other or f"query {query}"
        for query, (one, other) in enumerate(zip(first.names, second.names, strict=True))
    )
    return Comparison(
        tuple(itertools.compress(names, is_scored)),
        first.average_precisions[is_scored],
        second.average_precisions[is_scored],
    )


def main() -> None:
    """Prints the comparison of two files."""
    parser = CommandParser(prog="python -m senet_jax.score.compare", description=__doc__)
    parser.add_argument("first", metavar="A.json[:NAME]")
    parser.add_argument("second", metavar="B.json[:NAME]")
    flags = parser.parse_args()
    (first_path, first_wanted), (second_path, second_wanted) = (
        split_entry(argument) for argument in (flags.first, flags.second)
    )
    first, second = read_report(first_path), read_report(second_path)
    paired = paired_entries(first, first_wanted, second, second_wanted)
    lines = [f"A: {flags.first}", f"B: {flags.second}"]
    for name, datasets in paired.items():
        lines.append(_row(name, "A", "B", "B - A", "95 %", "better", "worse", "equal"))
        for protocol in PROTOCOLS:
            try:
                comparison = compare(*(scores[protocol.name] for scores in datasets))
            except UserError as error:
                raise UserError(f"not comparable: {name} {protocol.name}: {error}") from error
            lines += _lines(protocol.name, comparison)
    compared = {*first.datasets, *second.datasets} if first_wanted or second_wanted else paired
    for warning in warnings(first, second, compared):
        print(f"warning: {warning}", file=sys.stderr)
    print("\n".join(lines))


def _lines(protocol: str, comparison: Comparison) -> Iterator[str]:
    differences = comparison.differences
    if not len(differences):
        yield _row(protocol, *["-"] * 4, "0", "0", "0")
        return
    low, high = mean_interval(differences)
    yield _row(
        protocol,
        f"{100 * comparison.first.mean():.2f}",
        f"{100 * comparison.second.mean():.2f}",
        f"{100 * differences.mean():+.2f}",
        f"{100 * low:+.2f} to {100 * high:+.2f}",
        *(str(np.count_nonzero(which)) for which in (differences > 0, differences < 0)),
        str(np.count_nonzero(differences == 0)),
    )
    for place in comparison.largest_changes():
        yield (
            f"    {comparison.names[place]}: {100 * comparison.first[place]:.2f} -> "
            f"{100 * comparison.second[place]:.2f} ({100 * differences[place]:+.2f})"
        )


def _row(name: str, first: str, second: str, difference: str, interval: str, *counts: str) -> str:
    cells = f"{name:16}{first:>8}{second:>8}{difference:>8}{interval:>18}"
    return cells + "".join(f"{count:>8}" for count in counts)


if __name__ == "__main__":
    run_command(main)
