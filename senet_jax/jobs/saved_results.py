"""The results of an evaluation as its workdir keeps them, together with those from before.

Another run in the same workdir replaces what it makes anew. What there is of other re-rankings of
the same descriptors stays, with its ranked lists.
"""

import dataclasses
import pathlib
from collections.abc import Mapping

import numpy as np

from senet_jax.jobs.reranked_scores import RerankedReport
from senet_jax.metrics.evaluation_report import EvaluationReport
from senet_jax.metrics.run_report import Report, Run
from senet_jax.metrics.saved import (
    LISTED,
    REPORT,
    kept_files,
    protocol_lists,
    read_report,
    save_lists,
    write_report,
)
from senet_jax.rerank.retrieval import Retrieval, shortlists, similarities
from senet_jax.search.ranked_list import FoundLists, RankedList
from senet_jax.system.errors import UserError


class Results:
    """What an evaluation has found, and what it found in its workdir.

    Args:
        workdir: of the evaluation.

    Raises:
        UserError: the report that stands there is none of an evaluation, or is broken.
    """

    def __init__(self, workdir: pathlib.Path):
        self._workdir = workdir
        self._earlier, self._earlier_run = _read_earlier(workdir / REPORT)
        self._entries: dict[str, EvaluationReport] = {}
        self._files_crc32: dict[str, int] = {}

    def add(self, name: str, scores: EvaluationReport, inputs_sha256: str) -> None:
        """Takes a dataset's scores with the lists that were found.

        What the earlier report has of re-rankings is taken over if it is of the same inputs.
        """
        self._entries[name] = scores
        if scores.found is not None:
            self._files_crc32 |= save_lists(self._workdir, name, scores.found)
        if self._earlier_run.inputs_sha256.get(name) == inputs_sha256:
            kept = {n: e for n, e in self._earlier.items() if n.startswith(f"{name}+")}
            self._entries |= kept
            self._files_crc32 |= kept_files(self._earlier_run.files_crc32, kept)

    def add_reranked(
        self, name: str, reranked: RerankedReport, notes: Mapping, found: Retrieval
    ) -> None:
        """Takes what a re-ranking made of lists.

        Args:
            name: `NAME+METHOD:KIND`.
            reranked: the scores, and the lists.
            notes: what the report says of it besides scores and cost.
            found: what was re-ranked.
        """
        notes = {"cost": dataclasses.asdict(reranked.cost), **notes}
        self._entries[name] = dataclasses.replace(reranked.scores, notes=notes)
        lists = reranked.ranked
        if isinstance(lists, RankedList):
            named = {name: lists}
        else:
            named = {protocol_lists(name, protocol): lists[protocol] for protocol in lists}
        for list_name, ranked in named.items():
            first = first_items(found, ranked)
            self._files_crc32 |= save_lists(self._workdir, list_name, first)

    def write(self, run: Run) -> None:
        """Writes the report; then lists go that no report speaks of any more."""
        run = dataclasses.replace(run, files_crc32=self._files_crc32)
        write_report(self._workdir / REPORT, Report(self._entries, run))
        for file in self._earlier_run.files_crc32.keys() - self._files_crc32.keys():
            (self._workdir / file).unlink(missing_ok=True)


def _read_earlier(path: pathlib.Path) -> tuple[Mapping[str, EvaluationReport], Run]:
    """The report that stands in the workdir already, empty where there is none."""
    if not path.is_file():
        return {}, Run()
    mend = "move it away to make a new one"
    report = read_report(path, mend)
    if report.run is None:
        raise UserError(f"{path} is no report of an evaluation, for it tells of no run; {mend}")
    return report.entries, report.run


def first_items(found: Retrieval, ranked: RankedList) -> FoundLists:
    """The first `LISTED` items of lists, with the dot products of their descriptors."""
    first = found.with_ranks(ranked.ranks[:, :LISTED])
    similar = np.full(first.ranked.ranks.shape, np.nan, np.float32)
    for piece in shortlists(first, LISTED):
        products = np.asarray(similarities(piece.queries, piece.descriptors))
        similar[piece.rows] = np.where(piece.are_ranked, products, np.nan)
    return FoundLists(first.ranked, similar)
