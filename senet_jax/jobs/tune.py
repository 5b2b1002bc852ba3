"""Settings of query expansion, chosen on a dataset: the work of `senet-jax rerank.tune`."""

import argparse
import dataclasses
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from senet_jax.data.ground_truth import GroundTruth, load_ground_truth
from senet_jax.metrics.report import EvaluationReport, evaluate_descriptors
from senet_jax.rerank.methods import method_text
from senet_jax.rerank.query_expansion import QueryExpansion, expanded_queries
from senet_jax.rerank.retrieval import Retrieval, search
from senet_jax.search.database import BlockedDatabase
from senet_jax.search.descriptor_files import open_descriptors
from senet_jax.system.errors import UserError
from senet_jax.system.files import write_json
from senet_jax.system.runtime import use_compilation_cache

NO_EXPANSION = QueryExpansion(0, 0.0)


@dataclasses.dataclass(frozen=True, eq=False)
class Benchmark:
    """A dataset and its descriptors.

    Attributes:
        ground_truth: what should be found.
        queries: float32[q d].
        database: the images of the ground truth, and any distractors behind them.
    """

    ground_truth: GroundTruth
    queries: np.ndarray
    database: BlockedDatabase


def scores(benchmark: Benchmark, methods: Sequence[QueryExpansion]) -> list[EvaluationReport]:
    """Scores expansions of a benchmark's queries, which are searched for their neighbours once.

    Raises:
        UserError: the parts of the benchmark do not fit together.
    """
    most = max(method.neighbours for method in methods)
    found = search(benchmark.queries, benchmark.database, most)
    return [_score(benchmark, found, method) for method in methods]


def _score(benchmark: Benchmark, found: Retrieval, method: QueryExpansion) -> EvaluationReport:
    return evaluate_descriptors(
        benchmark.ground_truth,
        expanded_queries(found, method.neighbours, method.alpha),
        benchmark.database.parts,
        benchmark.database.unranked,
    )


def grid(neighbours: Sequence[int], alphas: Sequence[float]) -> list[QueryExpansion]:
    """No expansion, and then every combination: fewer neighbours first, then smaller alphas.

    Raises:
        UserError: a number is out of range.
    """
    combined = [QueryExpansion(n, alpha) for n in sorted(neighbours) for alpha in sorted(alphas)]
    return [NO_EXPANSION, *(method for method in combined if method.neighbours)]


def objective(report: EvaluationReport) -> float:
    """The mean of the Medium and Hard mAP, NaN where one of them scores no query."""
    return float(np.mean([report.means(protocol)[0] for protocol in ("medium", "hard")]))


def tune(flags: argparse.Namespace) -> None:
    """Tunes, prints, and writes the report if it is asked for.

    Raises:
        UserError: a flag or a file is wrong.
    """
    use_compilation_cache()
    methods = grid(flags.neighbours, flags.alphas)
    tuned, reported = (_open(files, flags.distractors) for files in (flags.on, flags.report))
    reports = scores(tuned, methods)
    objectives = [objective(report) for report in reports]
    if np.isnan(objectives[0]):
        raise UserError(
            f"{flags.on} has nothing to find under Medium or Hard; tune on another dataset"
        )
    best = int(np.argmax(objectives))
    before, after = scores(reported, [NO_EXPANSION, methods[best]])
    if flags.json is not None:
        write_json(
            flags.json,
            {
                "chosen": _described(methods[best]),
                "grid": [
                    _described(method) | {"objective": value}
                    for method, value in zip(methods, objectives, strict=True)
                ],
                "on": {"before": reports[0].to_json(), "after": reports[best].to_json()},
                "report": {"before": before.to_json(), "after": after.to_json()},
            },
        )
    print(f"mean of the Medium and Hard mAP x 100 on {flags.on}:")
    for method, value in zip(methods, objectives, strict=True):
        mark = " <- chosen" if method is methods[best] else ""
        print(f"  {method_text(method):34} {100 * value:6.2f}{mark}")
    print(f"{flags.report} before:\n{before.table()}\nand after:\n{after.table()}")
    chosen = method_text(methods[best])
    print(f"to use it: --config.rerank='{chosen}', or --method='{chosen}' of senet_jax.rerank")
    if flags.json is not None:
        print(f"wrote {flags.json}")


def _described(method: QueryExpansion) -> dict[str, Any]:
    return {"method": method_text(method)} | dataclasses.asdict(method)


def _open(files: Sequence[pathlib.Path], distractors: Sequence[pathlib.Path]) -> Benchmark:
    ground_truth, queries, database = files
    descriptors = open_descriptors(queries, database, distractors)
    return Benchmark(load_ground_truth(ground_truth), *descriptors)
