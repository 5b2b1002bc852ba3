"""The job `evaluate`: from weights and datasets to descriptors, mAP and a report.

In the workdir it leaves `report.json`, the ranked lists, `skipped.txt`, and the descriptors of
every dataset. A run that was ended is resumed, and descriptors that are there are not made again,
unless their photographs have changed. What the report has of other re-rankings of the same
descriptors stays.
"""

import pathlib
import sys
import time
from collections.abc import Sequence

import jax
import numpy as np
from ml_collections import config_dict

from senet_jax.data.overlap import overlapping_queries
from senet_jax.data.revisitop import Dataset
from senet_jax.features.origin import versions
from senet_jax.jobs.descriptions import Descriptions, Searchable, describe
from senet_jax.jobs.evaluation_plan import EvaluationPlan
from senet_jax.jobs.reranking import Reranking
from senet_jax.jobs.saved_results import Results
from senet_jax.jobs.searching import evaluate_search
from senet_jax.jobs.whitened import whitened
from senet_jax.metrics.evaluation_report import EvaluationReport
from senet_jax.metrics.report import evaluate_descriptors
from senet_jax.metrics.run_report import Run
from senet_jax.metrics.saved import LISTED, REPORT
from senet_jax.metrics.ties import warning_of_ties
from senet_jax.rerank.retrieval import Retrieval, search
from senet_jax.search.backends import Exact, backend_text, read_backend
from senet_jax.search.database import BlockedDatabase
from senet_jax.system import signals
from senet_jax.system.distributed import leave
from senet_jax.system.errors import UserError
from senet_jax.system.files import atomic_write
from senet_jax.system.process import interruptible, locked_workdir
from senet_jax.system.runtime import use_compilation_cache
from senet_jax.weights import Weights, load_weights

SKIPPED = "skipped.txt"


def evaluate(config: config_dict.ConfigDict, workdir: pathlib.Path) -> None:
    """Runs the job; see the module.

    Several processes describe and rank together; the first one re-ranks and reports.

    Raises:
        UserError: a setting, a file, an image or a place to write is not as it has to be.
    """
    use_compilation_cache()

    def saved() -> str:
        return f"what is described is kept in {workdir}; run the same command again to go on"

    # JAX has a handler of its own for SIGTERM where there are several processes.
    with locked_workdir(workdir), interruptible(saved), signals.raised():
        _evaluate(config, workdir)


def _evaluate(config: config_dict.ConfigDict, workdir: pathlib.Path) -> None:
    start = time.monotonic()
    plan = EvaluationPlan.from_config(config)
    for line in plan.missing:
        print(line, flush=True)
    weights = _load_weights(str(config.weights), str(config.model))
    # What is wrong with the search, the re-ranking or an earlier report shows before the work.
    backend = read_backend(str(config.search))
    is_exact = isinstance(backend, Exact)
    rerank = Reranking(config, weights, plan, workdir) if config.rerank else None
    results = Results(workdir)
    overlaps = _overlaps(plan, weights)

    described = describe(plan, weights, workdir)
    searched = {dataset.name: described.searchable(dataset) for dataset in plan.datasets}
    if plan.whiten:
        searched = {
            name: whitened(searchable, plan.storage, workdir)
            for name, searchable in searched.items()
        }
    scored = {
        dataset.name: evaluate_descriptors(
            dataset.ground_truth,
            searched[dataset.name].queries,
            searched[dataset.name].database_parts,
            searched[dataset.name].skipped_rows,
            share=(jax.process_index(), jax.process_count()),
            listed=LISTED,
        )
        for dataset in plan.datasets
        if is_exact
    }
    leave()
    if jax.process_index() != 0:
        return

    for dataset in plan.datasets:
        name, searchable = dataset.name, searched[dataset.name]
        found = None
        if not is_exact:
            scored[name], found = evaluate_search(
                backend, dataset.ground_truth, searchable.queries, _database(searchable)
            )
        results.add(name, scored[name], described.inputs_sha256(dataset))
        headings = [weights.architecture.name, *plan.notes, *weights.remarks]
        headings += [] if is_exact else [f"searched by {backend_text(backend)}"]
        if name in overlaps:
            headings.append(f"TRAINED ON THE LANDMARKS OF {overlaps[name]} of its queries")
        _print_result(name, headings, scored[name], searchable)
        _warn_of_ties(dataset, searchable)
        if rerank is not None:
            found = found or _whole_lists(searchable)
            notes = rerank.notes(dataset)
            if not is_exact:
                notes["settings"]["search"] = backend_text(backend)
            for kind, reranked in rerank(dataset, found).items():
                entry = f"{name}+{rerank.method}:{kind}"
                results.add_reranked(entry, reranked, notes, found)
                _print_result(entry, headings, reranked.scores, searchable)

    unreadable = described.unreadable
    _write_skipped(workdir / SKIPPED, unreadable)
    results.write(
        Run(
            config=config.to_dict(),
            weights_sha256=weights.sha256,
            weights={"model": weights.architecture.name, **weights.source},
            random_weights=weights.random,
            lists_sha256=described.lists_sha256,
            inputs_sha256={d.name: described.inputs_sha256(d) for d in plan.datasets},
            overlaps=overlaps,
            counts=_counts(plan, described),
            skipped=len(unreadable),
            seconds={**described.seconds, "total": time.monotonic() - start},
            versions=versions(),
        )
    )
    hint = f"; {len(unreadable)} unreadable images rank last, see {workdir / SKIPPED}"
    print(f"wrote {workdir / REPORT}" + hint * bool(unreadable))


def _load_weights(folder: str, model: str) -> Weights:
    weights = load_weights(folder)
    if weights.architecture.name != model:
        raise UserError(
            f"{folder} holds {weights.architecture.name}, the config asks for {model}; use "
            f"configs/evaluate.py:{weights.architecture.name}"
        )
    return weights


def _warn_of_ties(dataset: Dataset, searchable: Searchable) -> None:
    ties = warning_of_ties(
        dataset.ground_truth,
        searchable.queries,
        searchable.database_parts,
        searchable.skipped_rows,
    )
    if ties:
        print(f"warning: {dataset.name}: {ties}", file=sys.stderr)


def _overlaps(plan: EvaluationPlan, weights: Weights) -> dict[str, int]:
    """For each dataset that has such, how many queries show landmarks of the training."""
    names = weights.training_sets
    counts = {d.name: overlapping_queries(names, d.name) for d in plan.datasets}
    return {name: count for name, count in counts.items() if count}


def _database(searchable: Searchable) -> BlockedDatabase:
    return BlockedDatabase(tuple(searchable.database_parts), searchable.skipped_rows)


def _whole_lists(searchable: Searchable) -> Retrieval:
    """All items, best first: what lists do not hold would count as not found."""
    return search(np.asarray(searchable.queries), _database(searchable), searchable.size)


def _counts(plan: EvaluationPlan, described: Descriptions) -> dict[str, dict[str, int]]:
    return {
        dataset.name: {
            "queries": len(dataset.queries),
            "database": len(dataset.images),
            "distractors": 0 if plan.distractors is None else len(plan.distractors.images),
            "skipped": len(described.searchable(dataset).skipped_rows),
        }
        for dataset in plan.datasets
    }


def _print_result(
    name: str, headings: Sequence[str], scores: EvaluationReport, searchable: Searchable
) -> None:
    print(", ".join([name, *headings]))
    skipped = len(searchable.skipped_rows)
    if skipped:
        print(f"{skipped:,} of {searchable.size:,} images are UNREADABLE and rank last")
    print(scores.table())


def _write_skipped(path: pathlib.Path, unreadable: Sequence[str]) -> None:
    with atomic_write(path) as temporary:
        lines = "".join(f"{why}\n" for why in unreadable)
        temporary.write_text(lines, encoding="utf-8", errors="backslashreplace")
