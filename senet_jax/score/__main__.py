"""Scores anyone's descriptors or ranks: mAP and mP@1, 5, 10 under Easy, Medium and Hard.

Descriptors are .npy files of float16, float32, float64 or integers, or quantised ones, a row for
each query of qimlist and each image of imlist, or folders of NAME.delg_global, which DELG's public
code writes, one for each of these names (of distractors all that are there). They are used as they
are, by dot product, in float32: scores that differ only beyond it are ties, and among ties the
lower index is first; a warning says so where most images to find are tied with others.

Ranks are .npy files of integers [queries, k], items best first; -1 means no more. Items that are
not listed count as not found.
"""

import argparse
import sys

from senet_jax.data.ground_truth import GroundTruth, load_ground_truth
from senet_jax.metrics.evaluation_report import EvaluationReport
from senet_jax.metrics.protocols import PROTOCOLS
from senet_jax.metrics.report import evaluate_descriptors, evaluate_ranks
from senet_jax.metrics.run_report import UNNAMED, Report
from senet_jax.metrics.saved import write_report
from senet_jax.metrics.ties import warning_of_ties
from senet_jax.search.descriptor_files import open_descriptors_of
from senet_jax.search.ranked_list import RankedList
from senet_jax.system.errors import CommandParser, UserError, run_command, shown
from senet_jax.system.files import local_path, local_paths, open_array
from senet_jax.system.runtime import use_compilation_cache


def main() -> None:
    """Prints the table and writes the report if it is asked for."""
    parser = CommandParser(prog="python -m senet_jax.score", description=__doc__)
    parser.add_argument(
        "ground_truth", type=local_path, metavar="GROUND_TRUTH", help="gnd_NAME.pkl or .json"
    )
    parser.add_argument("--query", type=local_path, metavar="Q", help="the queries' descriptors")
    parser.add_argument(
        "--database", type=local_path, metavar="X", help="the database's descriptors"
    )
    parser.add_argument(
        "--distractors",
        type=local_paths,
        metavar="D,...",
        help="descriptors that follow the database's",
    )
    parser.add_argument(
        "--ranks", type=local_path, metavar="R.npy", help="one ranking for all protocols"
    )
    for protocol in PROTOCOLS:
        parser.add_argument(
            f"--ranks-{protocol.name}",
            type=local_path,
            metavar="R.npy",
            help=f"the ranking for {protocol.name}",
        )
    parser.add_argument(
        "--json", type=local_path, metavar="FILE", help="where the report is written"
    )
    flags = parser.parse_args()
    _check_sources(flags, parser)
    use_compilation_cache()

    ground_truth = load_ground_truth(flags.ground_truth)
    if flags.query is not None:
        report = _score_descriptors(ground_truth, flags)
    else:
        report = _score_ranks(ground_truth, flags)
    if flags.json is not None:
        write_report(flags.json, Report({UNNAMED: report}))
    print(report.table())
    if flags.json is not None:
        print(f"wrote {flags.json}")


_SOURCES = (
    {"query", "database"},
    {"query", "database", "distractors"},
    {"ranks"},
    {f"ranks_{protocol.name}" for protocol in PROTOCOLS},
)


def _check_sources(flags: argparse.Namespace, parser: CommandParser) -> None:
    given = {name for source in _SOURCES for name in source if getattr(flags, name) is not None}
    if given not in _SOURCES:
        seen = " ".join(sorted(f"--{name.replace('_', '-')}" for name in given)) or "none of them"
        parser.error(
            "give --query and --database (and --distractors), or --ranks, or --ranks-easy, "
            f"--ranks-medium and --ranks-hard; seen: {seen}"
        )


def _score_descriptors(ground_truth: GroundTruth, flags: argparse.Namespace) -> EvaluationReport:
    queries = open_descriptors_of(flags.query, ground_truth.query_names)
    database = open_descriptors_of(flags.database, ground_truth.image_names)
    if database.shape[:1] != (len(ground_truth.image_names),):
        raise UserError(
            f"{flags.database} has the shape {shown(database.shape)} for "
            f"{len(ground_truth.image_names)} images; every image of imlist has one row, "
            "distractors have files of their own"
        )
    descriptors = queries, [database, *map(open_descriptors_of, flags.distractors or [])]
    report = evaluate_descriptors(ground_truth, *descriptors)
    ties = warning_of_ties(ground_truth, *descriptors)
    if ties:
        print(f"warning: {ties}", file=sys.stderr)
    return report


def _score_ranks(ground_truth: GroundTruth, flags: argparse.Namespace) -> EvaluationReport:
    if flags.ranks is not None:
        return evaluate_ranks(ground_truth, _open_ranks(flags.ranks, ground_truth))
    return evaluate_ranks(
        ground_truth,
        {
            protocol.name: _open_ranks(getattr(flags, f"ranks_{protocol.name}"), ground_truth)
            for protocol in PROTOCOLS
        },
    )


def _open_ranks(path: str, ground_truth: GroundTruth) -> RankedList:
    ranks = open_array(path)
    try:
        return RankedList.of_queries(
            ranks, len(ground_truth.query_names), len(ground_truth.image_names)
        )
    except UserError as error:
        raise UserError(f"{path}: {error}") from error


if __name__ == "__main__":
    run_command(main)
