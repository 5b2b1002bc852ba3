"""Evaluation of a million descriptors: time and memory beside sorting all of them.

  python -m benchmarks.evaluation_at_scale --ground_truth=gnd_roxford5k.pkl

Writes a generated database in the layout of the ground truth (width 2048, its images and then
distractors in shards; deleted at the end) and evaluates it as `score` does. The argsort way holds
all descriptors in memory, multiplies them with the queries and sorts the scores of each query,
as the benchmark's code does; its size is `--argsort_rows`, what fits. Each has a process of its
own, and they take turns. Prints medians, ratios at equal size, and how far the mAPs are apart:
of the same scores, of those that each computed itself, and of either from scores in float64.
"""

import argparse
import pathlib
import tempfile
from collections.abc import Sequence

import numpy as np

from benchmarks.memory import Measured, in_own_process
from benchmarks.planted import first_parts, write_database
from senet_jax.data.ground_truth import GroundTruth, load_ground_truth
from senet_jax.metrics.protocols import PROTOCOLS
from senet_jax.metrics.report import evaluate_descriptors
from senet_jax.search.database import BlockedDatabase
from senet_jax.search.scores import scores_of_blocks
from senet_jax.system.errors import CommandParser, UserError, run_command

WIDTH = 2048
_WIDE_ROWS = 8192
# How much of its query an image holds, beside noise of weight one.
WEIGHTS = {"easy": (0.3, 0.9), "hard": (0.1, 0.5), "junk": (0.1, 0.7)}


def main() -> None:
    flags = _flags()
    ground_truth = load_ground_truth(flags.ground_truth)
    images = len(ground_truth.image_names)
    if not images <= flags.argsort_rows <= flags.rows:
        raise UserError(
            f"{flags.argsort_rows} rows to sort of {flags.rows}; sort at least the {images} images "
            "of the ground truth, and at most all"
        )
    with tempfile.TemporaryDirectory(dir=flags.folder) as folder:
        queries, paths = write_database(
            pathlib.Path(folder), planted_weights(ground_truth), images, flags.rows, WIDTH
        )
        print(f"{flags.rows:,} x {WIDTH} in {len(paths)} files, {len(queries)} queries", flush=True)
        everything = ground_truth, queries, paths
        sizes = sorted({flags.argsort_rows, flags.rows})
        ours: dict[int, list[Measured]] = {rows: [] for rows in sizes}
        sorting = []
        for number in range(flags.rounds):
            for rows in sizes:
                ours[rows].append(in_own_process(evaluate, *everything, rows))
                _print_run(f"round {number}, ours, {rows:,} rows", ours[rows][-1])
            sorting.append(in_own_process(sort, *everything, flags.argsort_rows))
            _print_run(f"round {number}, argsort, {flags.argsort_rows:,} rows", sorting[-1])
        others = {
            way: in_own_process(way, *everything, flags.argsort_rows).value
            for way in (sort_same_scores, sort_wide_scores)
        }
    _print_result(ours, sorting, flags.argsort_rows)
    _print_differences(ours[flags.argsort_rows][0].value, sorting[0].value, others)


def _flags() -> argparse.Namespace:
    parser = CommandParser(prog="python -m benchmarks.evaluation_at_scale", description=__doc__)
    parser.add_argument("--ground_truth", required=True, help="gnd_NAME.pkl or .json")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--argsort_rows", type=int, default=500_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", help="where the database is written, 8 kB a row")
    return parser.parse_args()


def planted_weights(ground_truth: GroundTruth) -> list[dict[int, float]]:
    """For each query its labelled items, and how much of the query each of them holds."""
    rng = np.random.default_rng(1)
    return [
        {
            int(item): rng.uniform(*WEIGHTS[kind])
            for kind in WEIGHTS
            for item in getattr(ground_truth, kind)[query]
        }
        for query in range(len(ground_truth.query_names))
    ]


def evaluate(ground_truth, queries, paths, rows):
    """The mAP under each protocol, as `score` computes it."""
    report = evaluate_descriptors(ground_truth, queries, first_parts(paths, rows))
    return [report.means(protocol.name)[0] for protocol in PROTOCOLS]


def sort(ground_truth, queries, paths, rows):
    """The mAP under each protocol, from scores and a sort of all items."""
    database = np.concatenate(first_parts(paths, rows))
    ranks = np.argsort(-(database @ queries.T), axis=0)
    return _mean_average_precisions(ground_truth, ranks)


def sort_same_scores(ground_truth, queries, paths, rows):
    """The mAP under each protocol, from the scores that our evaluation counts with."""
    database = BlockedDatabase(tuple(first_parts(paths, rows)))
    blocks = scores_of_blocks(queries, database, database.starts)
    scores = np.concatenate([np.asarray(scores) for _, scores in blocks], axis=1)[:, :rows]
    return _mean_average_precisions(ground_truth, np.argsort(-scores, axis=1, kind="stable").T)


def sort_wide_scores(ground_truth, queries, paths, rows):
    """The mAP under each protocol, from scores in float64."""
    wide = queries.astype(np.float64).T
    scores = [
        part[start : start + _WIDE_ROWS] @ wide
        for part in first_parts(paths, rows)
        for start in range(0, len(part), _WIDE_ROWS)
    ]
    return _mean_average_precisions(
        ground_truth, np.argsort(-np.concatenate(scores), axis=0, kind="stable")
    )


def _mean_average_precisions(ground_truth: GroundTruth, ranks: np.ndarray) -> list[float]:
    """By the definition, from ranks int[n q]."""
    means = []
    for protocol in PROTOCOLS:
        scores = []
        for query in range(ranks.shape[1]):
            positives, junk = (
                np.concatenate([getattr(ground_truth, kind)[query] for kind in kinds])
                for kinds in (protocol.positive, protocol.junk)
            )
            if len(positives):
                is_positive = np.isin(ranks[:, query], positives)
                is_kept = ~np.isin(ranks[:, query], junk)
                scores.append(_average_precision(np.flatnonzero(is_positive[is_kept])))
        means.append(float(np.mean(scores)))
    return means


def _average_precision(positions: Sequence[int]) -> float:
    areas = [
        ((found / position if position else 1.0) + (found + 1) / (position + 1)) / 2
        for found, position in enumerate(positions)
    ]
    return sum(areas) / len(positions)


def _print_run(what: str, run: Measured) -> None:
    print(f"{what}: {run.seconds:.2f} s, {run.peak_bytes / 1e6:.0f} MB anonymous", flush=True)


def _print_result(ours, sorting, argsort_rows):
    for rows, runs in ours.items():
        means = " / ".join(f"{100 * mean:.4f}" for mean in runs[0].value)
        print(f"{rows:,} rows: mAP x 100 under Easy / Medium / Hard {means}")
    medians = {rows: _medians(runs) for rows, runs in ours.items()}
    seconds, peak_bytes = _medians(sorting)
    for rows, (our_seconds, our_bytes) in medians.items():
        print(
            f"medians at {rows:,} rows: {our_seconds:.2f} s, {our_bytes / 1e6:.0f} MB anonymous; "
            f"argsort at {argsort_rows:,} rows: {seconds:.2f} s, {peak_bytes / 1e6:.0f} MB"
        )
    our_seconds, our_bytes = medians[argsort_rows]
    print(
        f"ours over argsort at {argsort_rows:,} rows: time {our_seconds / seconds:.2f}, "
        f"memory {our_bytes / peak_bytes:.3f}"
    )


def _print_differences(ours, sorting, others):
    for what, one, other in (
        ("the same scores", ours, others[sort_same_scores]),
        ("own scores", ours, sorting),
        ("ours from float64", ours, others[sort_wide_scores]),
        ("argsort's from float64", sorting, others[sort_wide_scores]),
    ):
        difference = 100 * np.abs(np.subtract(one, other)).max()
        print(f"largest difference of mAP x 100, {what}: {difference:.1e}")


def _medians(runs: Sequence[Measured]) -> tuple[float, float]:
    return tuple(np.median([(run.seconds, run.peak_bytes) for run in runs], axis=0))


if __name__ == "__main__":
    run_command(main)
