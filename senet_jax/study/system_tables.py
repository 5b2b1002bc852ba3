"""The tables of a study of systems, in the shape of the paper's Table S1."""

from collections.abc import Iterator, Sequence

from senet_jax.metrics.protocols import PROTOCOLS
from senet_jax.study.results import Results, RunScores, among
from senet_jax.study.statistics import Estimate, estimate, score_text
from senet_jax.study.table import MISSING, Table

# What the paper calls them.
_SHORT = {"roxford5k": "ROxf", "rparis6k": "RPar", "revisitop1m": "1M"}
_OF_ALL = ("medium", "hard")


def table_of_all(results: Results) -> Table:
    """The mAP of all systems on all datasets, a line each, with the columns of Table S1."""
    distractors = results.about.get("distractors", "")
    columns = [
        (protocol, dataset)
        for protocol in _OF_ALL
        for dataset in _in_turn(results.about["datasets"], distractors)
    ]
    rows: dict[str, dict[tuple[str, str], str]] = {}
    for protocol, dataset in columns:
        for label, run, entry in rows_of(dataset, results):
            found = estimate_of(run, entry, protocol, results)
            cell = MISSING if found is None else f"{100 * found.mean:.1f}"
            rows.setdefault(_label(label, run), {})[protocol, dataset] = cell
    return Table(
        "All systems",
        ["method", *(_column(protocol, dataset, distractors) for protocol, dataset in columns)],
        [[label, *(cells.get(c, MISSING) for c in columns)] for label, cells in rows.items()],
        ["mAP x 100.", *_weights(results)],
    )


def _in_turn(datasets: Sequence[str], distractors: str) -> list[str]:
    """Each dataset, and behind it the same with distractors."""
    with_them = {among(dataset, distractors) for dataset in datasets} if distractors else set()
    alone = [dataset for dataset in datasets if dataset not in with_them]
    return [each for name in alone for each in dict.fromkeys((name, among(name, distractors)))]


def _column(protocol: str, dataset: str, distractors: str) -> str:
    plain = dataset.removeprefix(among("", distractors)) if distractors else dataset
    name = _SHORT.get(plain, plain)
    added = "" if plain == dataset else f" +{_SHORT.get(distractors, distractors)}"
    return f"{protocol.capitalize()} {name}{added}"


def _label(label: str, run: RunScores) -> str:
    return label + ", random weights" * bool(run.notes["random"])


def _weights(results: Results) -> list[str]:
    """The weights of the systems, a sentence each."""
    told = (
        f"{run.notes['weights']}, SHA-256 {str(run.notes['weights_sha256'])[:12]}."
        for run in results.runs
        if "weights" in run.notes
    )
    return [f"Weights: {each}" for each in dict.fromkeys(told)]


def tables_of(results: Results) -> list[Table]:
    """A table for each dataset."""
    return [_table(dataset, results) for dataset in results.about["datasets"]]


def rows_of(dataset: str, results: Results) -> Iterator[tuple[str, RunScores, str]]:
    """The label, the run and the entry of each row of a dataset's table."""
    for run in results.runs:
        for entry in run.entries:
            if entry == dataset or entry.startswith(f"{dataset}+"):
                kind = entry.rpartition(":")[2] if entry != dataset else ""
                yield run.name + (f", {kind}" if kind else ""), run, entry


def estimate_of(run: RunScores, entry: str, protocol: str, results: Results) -> Estimate | None:
    """The mAP of a row, with its interval over the queries."""
    return estimate(results.scores(run.name, entry, protocol))


def _table(dataset: str, results: Results) -> Table:
    found = list(rows_of(dataset, results))
    papers = any(entry in run.notes["paper"] for _, run, entry in found)
    rows = []
    for label, run, entry in found:
        cells = [score_text(estimate_of(run, entry, p.name, results)) for p in PROTOCOLS]
        seconds = run.notes["seconds_per_query"].get(entry)
        row = [
            _label(label, run),
            *cells,
            MISSING if seconds is None else f"{seconds:.3g}",
        ]
        if papers:
            row += _beside(run, entry, results)
        rows.append(row)
    added = [
        heading
        for protocol in ("Medium", "Hard")
        for heading in (f"{protocol}, paper", "difference")
    ]
    return Table(
        dataset,
        [
            "system",
            *(protocol.name.capitalize() for protocol in PROTOCOLS),
            "re-ranking a query, s",
            *added * papers,
        ],
        rows,
        [
            "mAP x 100, with 95 % intervals over the queries. Blind: the re-ranking knows no "
            "ground truth; protocol: it is spared the junk of each protocol.",
            *_weights(results),
        ],
    )


def _beside(run: RunScores, entry: str, results: Results) -> list[str]:
    """The paper's figures of the same system, and what is found less them."""
    figure = run.notes["paper"].get(entry)
    if figure is None:
        return [MISSING] * 4
    cells = []
    for protocol in ("medium", "hard"):
        found = estimate_of(run, entry, protocol, results)
        told = figure[protocol]
        cells += [f"{told:.1f}", MISSING if found is None else f"{100 * found.mean - told:+.1f}"]
    return cells
