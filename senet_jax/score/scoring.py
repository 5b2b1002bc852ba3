"""Scores of descriptors or ranks from elsewhere: the work of `senet-jax score`."""

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
from senet_jax.system.errors import UserError, shown
from senet_jax.system.files import open_array
from senet_jax.system.runtime import use_compilation_cache


def score(flags: argparse.Namespace) -> None:
    """Prints the table, and writes the report if it is asked for.

    Raises:
        UserError: a file is wrong.
    """
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
