"""Compares two runs query by query: where the second is better, where worse, and by how much.

A.json and B.json are what `score --json` writes, a report.json, or the workdir that has one. For
each entry that both have and each protocol: mAP of both and their difference with its 95 % interval
(bootstrap over pairs), in per cent; how many queries are better, worse and equal in B; and the
queries that changed most.

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
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import numpy as np

from senet_jax.metrics.bootstrap import mean_interval
from senet_jax.metrics.evaluation_report import MEASURES, EvaluationReport
from senet_jax.metrics.protocols import PROTOCOLS
from senet_jax.metrics.run_report import UNNAMED, Run
from senet_jax.metrics.saved import REPORT, read_report
from senet_jax.system.errors import (
    CommandParser,
    UserError,
    printable,
    run_command,
    shortened,
    shown,
)
from senet_jax.system.files import local_path

SAME = 1e-9
"""APs that are nearer are equal: another scorer may add in another order."""
CHANGES = 5
"""How many of the queries that changed most are named."""
_AP = MEASURES.index("ap")


@dataclasses.dataclass(frozen=True, eq=False)
class Side:
    """One of the two runs.

    Attributes:
        path: of its report.
        entries: the scores by name, as names are printed; empty where the file does not tell it.
        lists_sha256: for each list of images what tells it from others.
        scales: at which the images were described, None where the file does not tell them.
    """

    path: pathlib.Path
    entries: Mapping[str, EvaluationReport]
    lists_sha256: Mapping[str, str]
    scales: list[float] | None


def read_side(path: pathlib.Path) -> Side:
    """Reads what `score --json`, an evaluation or a training wrote.

    Raises:
        UserError: the file is missing, or is no such report.
    """
    report = read_report(path)
    run = report.run or Run()
    return Side(
        path,
        {_printed(name): entry for name, entry in report.entries.items()},
        {_printed(label): sha256 for label, sha256 in run.lists_sha256.items()},
        _scales(run.config.get("scales"), path),
    )


def _printed(name: str) -> str:
    """A name as it is printed."""
    return shortened(printable(name), 100)


def _scales(value: Any, path: pathlib.Path) -> list[float] | None:
    if value is None or (
        isinstance(value, list) and all(type(scale) in (int, float) for scale in value)
    ):
        return value
    raise UserError(
        f"{path} is no report of scores: the scales are {shown(value)}; give the JSON that score "
        "or an evaluation wrote"
    )


def split_entry(argument: str) -> tuple[pathlib.Path, str]:
    """`A.json:NAME` -> the file and the name of an entry, empty where none is given.

    Both may hold colons: the longest beginning that is a file is the file. A folder stands for the
    report in it.
    """
    ends = [len(argument), *(at for at in range(len(argument) - 1, 0, -1) if argument[at] == ":")]
    for end in ends:
        path = os.path.expanduser(argument[:end])
        if os.path.isfile(path) or os.path.isfile(os.path.join(path, REPORT)):
            place = local_path(argument[:end])
            return place / REPORT if place.is_dir() else place, _printed(argument[end + 1 :])
    return local_path(argument), ""


def chosen_entries(side: Side, wanted: str) -> dict[str, EvaluationReport]:
    """The entry of that name; where there is none, those that add `:blind` and `:protocol` to it.

    Raises:
        UserError: the report has no such entry.
    """
    if wanted in side.entries:
        return {wanted: side.entries[wanted]}
    found = {
        name: scores for name, scores in side.entries.items() if name.rpartition(":")[0] == wanted
    }
    if not found:
        raise UserError(f"{side.path} has no entry {shown(wanted)}; it has {_holdings(side)}")
    return found


def paired_entries(
    first: Side, first_wanted: str, second: Side, second_wanted: str
) -> dict[str, tuple[EvaluationReport, EvaluationReport]]:
    """What is compared, under a heading each; see `chosen_entries` and `common_entries`.

    Args:
        first: one run.
        first_wanted: the name of an entry of it, empty for any.
        second: the other run.
        second_wanted: the name of an entry of it, empty for any.

    Raises:
        UserError: an entry is not there, or there is nothing to compare it with.
    """
    if not first_wanted and not second_wanted:
        return common_entries(first, second)
    sides = [
        chosen_entries(side, wanted) if wanted else _counterparts(side, other)
        for side, wanted, other in (
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
            paired[heading] = sides[0][one], sides[1][other]
    return paired


def _counterparts(side: Side, wanted: str) -> dict[str, EvaluationReport]:
    """What an entry of the other run is compared with where no name is given."""
    return dict(side.entries) if len(side.entries) == 1 else chosen_entries(side, wanted)


def _holdings(side: Side) -> str:
    return ", ".join(shown(name) if name else "one without a name" for name in side.entries)


def common_entries(
    first: Side, second: Side
) -> dict[str, tuple[EvaluationReport, EvaluationReport]]:
    """For the name of each entry that both runs have, the scores of the two.

    A run's only entry, where it has no name, goes with the other run's only one.

    Raises:
        UserError: the runs have no entry in common.
    """
    names = {*first.entries, *second.entries}
    if UNNAMED in names and len(first.entries) == len(second.entries) == 1:
        [one], [other] = first.entries.values(), second.entries.values()
        return {max(names): (one, other)}  # The name that is not empty, if there is one.
    common = {
        name: (first.entries[name], second.entries[name])
        for name in first.entries
        if name in second.entries
    }
    if not common:
        holdings = (f"{side.path} has {_holdings(side)}" for side in (first, second))
        raise UserError(
            f"no dataset is in both, {' and '.join(holdings)}; compare runs on the same datasets, "
            "or name an entry of each: A.json:NAME B.json:NAME"
        )
    return common


def warnings(first: Side, second: Side, compared: Collection[str]) -> Iterator[str]:
    """What else the two runs differ in, so that a difference of scores may not be the models'."""
    for side in (first, second):
        for name in side.entries:
            if name and name not in compared:
                yield f"{name} is in {side.path} only"
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
        first: float64[n], the APs of the first run, in [0, 1].
        second: float64[n], the APs of the second run.
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


def compare(first: EvaluationReport, second: EvaluationReport, protocol: str) -> Comparison:
    """Pairs the queries that a protocol scores in two runs.

    Raises:
        UserError: the two are not about the same queries.
    """
    counts = len(first.query_names), len(second.query_names)
    if counts[0] != counts[1]:
        raise UserError(
            f"A has {counts[0]} queries, B {counts[1]}; compare scores by one ground truth"
        )
    names = []
    for query, pair in enumerate(zip(first.query_names, second.query_names, strict=True)):
        one, other = (None if name is None else _printed(name) for name in pair)
        if one != other and None not in (one, other):
            raise UserError(
                f"query {query} is {one} in A, {other} in B; compare scores by one ground truth"
            )
        names.append(one or other or f"query {query}")
    precisions, others = (run.scores[protocol][:, _AP] for run in (first, second))
    is_scored = ~np.isnan(precisions)
    differ = np.flatnonzero(is_scored == np.isnan(others))
    if differ.size:
        raise UserError(
            f"query {differ[0]} is scored in {'A' if is_scored[differ[0]] else 'B'} only; "
            "compare scores by one ground truth"
        )
    return Comparison(
        tuple(itertools.compress(names, is_scored)), precisions[is_scored], others[is_scored]
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
    first, second = read_side(first_path), read_side(second_path)
    paired = paired_entries(first, first_wanted, second, second_wanted)
    lines = [f"A: {flags.first}", f"B: {flags.second}"]
    for name, (one, other) in paired.items():
        lines.append(_row(name, "A", "B", "B - A", "95 %", "better", "worse", "equal"))
        for protocol in PROTOCOLS:
            try:
                comparison = compare(one, other, protocol.name)
            except UserError as error:
                raise UserError(f"not comparable: {name} {protocol.name}: {error}") from error
            lines += _lines(protocol.name, comparison)
    compared = {*first.entries, *second.entries} if first_wanted or second_wanted else paired
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
