"""The job `evaluate`: from weights and datasets to descriptors, mAP and a report.

In the workdir it leaves `report.json`, `skipped.txt`, and the descriptors of every dataset. A run
that was ended goes on where it was, and descriptors that are there are not made again, unless their
photographs have changed. What the report has of other re-rankings of the same descriptors stays.
"""

import hashlib
import json
import pathlib
import sys
import time
from collections.abc import Sequence
from typing import Any

import jax
import numpy as np
from ml_collections import config_dict

from senet_jax.config import names
from senet_jax.data.ground_truth import KINDS
from senet_jax.data.revisitop import (
    Dataset,
    Distractors,
    Photograph,
    load_dataset,
    load_distractors,
)
from senet_jax.features.described_list import PhotographList, describe_list
from senet_jax.features.origin import origin_of_network, sha256_of_list, versions
from senet_jax.features.runner import Describer
from senet_jax.features.store import DescriptorStore
from senet_jax.jobs.reranking import Reranking
from senet_jax.metrics.report import EvaluationReport, evaluate_descriptors
from senet_jax.metrics.ties import warning_of_ties
from senet_jax.rerank.retrieval import search
from senet_jax.search.database import BlockedDatabase
from senet_jax.system import signals
from senet_jax.system.checksummed import crc32_of_json
from senet_jax.system.distributed import leave
from senet_jax.system.errors import UserError
from senet_jax.system.files import read_json, write_json, written_whole
from senet_jax.system.process import interruptible, locked_workdir
from senet_jax.system.runtime import use_compilation_cache
from senet_jax.weights import Weights, load_weights

REPORT = "report.json"
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
    datasets = [load_dataset(config.data_root, name) for name in names(config.datasets)]
    for dataset in datasets:
        if dataset.name == "run":
            raise UserError("a dataset cannot be called 'run', which is a key of the report")
        if dataset.name == config.distractors:
            raise UserError(
                f"{dataset.name} is searched and named as its own distractors; choose another set"
            )
        if config.crop_queries and dataset.ground_truth.boxes is None:
            raise UserError(
                f"{dataset.name} has no boxes to crop its queries to; "
                "describe the whole images with --config.crop_queries=False"
            )
    distractors: tuple[Photograph, ...] = ()
    lists: list[Dataset | Distractors] = [*datasets]
    if config.distractors:
        lists.append(load_distractors(config.data_root, config.distractors))
        distractors = lists[-1].images
    for each in lists:
        if each.missing:
            print(f"{each.name}: {each.missing}", flush=True)
    weights = load_weights(config.weights)
    if weights.architecture.name != config.model:
        raise UserError(
            f"{config.weights} holds {weights.architecture.name}, the config asks for "
            f"{config.model}; use configs/evaluate.py:{weights.architecture.name}"
        )
    # What is wrong with the re-ranking, or an earlier report, shows before the work.
    rerank = Reranking(config, weights, distractors, workdir) if config.rerank else None
    earlier = _read_earlier(workdir / REPORT)
    described = _DescribedLists(config, weights, workdir)
    for dataset in datasets:
        queries = dataset.queries if config.crop_queries else dataset.whole_queries
        truth = dataset.ground_truth
        described.describe(dataset.name, "query", truth.query_names, queries)
        described.describe(dataset.name, "database", truth.image_names, dataset.images)
    if distractors:
        files = [photograph.file_name for photograph in distractors]
        described.describe(config.distractors, "database", files, distractors)

    results = [
        evaluate_descriptors(
            dataset.ground_truth,
            *described.to_rank(dataset.name),
            share=(jax.process_index(), jax.process_count()),
        )
        for dataset in datasets
    ]
    leave()
    if jax.process_index() != 0:
        return

    report: dict[str, Any] = {}
    inputs_sha256 = {dataset.name: described.inputs_sha256(dataset) for dataset in datasets}
    for dataset, result in zip(datasets, results, strict=True):
        queries, parts, skipped_rows = described.to_rank(dataset.name)
        report[dataset.name] = result.to_json()
        report |= _of_the_same(earlier, dataset.name, inputs_sha256[dataset.name])
        counts = {
            "queries": len(dataset.queries),
            "database": len(dataset.images),
            "distractors": len(distractors),
            "skipped": len(skipped_rows),
        }
        described.counts[dataset.name] = counts
        searched = counts["database"] + counts["distractors"]
        unreadable = f"{len(skipped_rows):,} of {searched:,}" if skipped_rows else ""
        _print_result(dataset.name, config, weights, result, unreadable)
        ties = warning_of_ties(dataset.ground_truth, queries, parts, skipped_rows)
        if ties:
            print(f"warning: {dataset.name}: {ties}", file=sys.stderr)
        if rerank is not None:
            database = BlockedDatabase(tuple(parts), skipped_rows)
            found = search(np.asarray(queries), database, database.size)
            for kind, reranked in rerank(dataset, found).items():
                name = f"{dataset.name}+{rerank.method}:{kind}"
                report[name] = reranked.to_json() | {"settings": rerank.settings}
                _print_result(name, config, weights, reranked.scores, unreadable)

    with written_whole(workdir / SKIPPED) as temporary:
        lines = [f"{reason}\n" for reason in described.skipped.values()]
        temporary.write_text("".join(lines), encoding="utf-8", errors="backslashreplace")
    results_crc32 = crc32_of_json(report)
    report["run"] = {
        "config": config.to_dict(),
        "weights_sha256": weights.sha256,
        "weights": {"model": weights.architecture.name, **weights.source},
        "random_weights": weights.random,
        "lists_sha256": described.lists_sha256,
        "inputs_sha256": inputs_sha256,
        "results_crc32": results_crc32,
        "counts": described.counts,
        "skipped": len(described.skipped),
        "seconds": described.seconds | {"total": time.monotonic() - start},
        "versions": versions(),
    }
    write_json(workdir / REPORT, report)
    print(f"wrote {workdir / REPORT}" + _skipped_hint(len(described.skipped), workdir))


class _DescribedLists:
    """Describes lists of photographs, or finds them described already, and keeps the books."""

    def __init__(self, config: config_dict.ConfigDict, weights: Weights, workdir: pathlib.Path):
        self._config, self._weights, self._folder = config, weights, workdir / "descriptors"
        self._describer = Describer.of(weights, config.mode)
        self._stores: dict[tuple[str, str], DescriptorStore] = {}
        self.skipped: dict[str, str] = {}
        self.seconds: dict[str, float] = {}
        self.counts: dict[str, dict[str, int]] = {}
        self.lists_sha256: dict[str, str] = {}

    def to_rank(self, name: str) -> tuple[np.ndarray, list[np.ndarray], list[int]]:
        """A dataset's queries, the parts of its database, and the rows without an image."""
        databases = [self._stores[name, "database"]]
        if self._config.distractors:
            databases.append(self._stores[self._config.distractors, "database"])
        skipped_rows, first = [], 0
        for database in databases:
            skipped_rows += (first + database.skipped_rows).tolist()
            first += len(database.descriptors)
        queries = self._stores[name, "query"].descriptors
        return queries, [database.descriptors for database in databases], skipped_rows

    def describe(
        self, name: str, part: str, image_names: Sequence[str], photographs: Sequence[Photograph]
    ) -> None:
        """Sees to it that a list is described; all processes call it together."""
        start = time.monotonic()
        label, list_sha256 = f"{name} {part}", sha256_of_list(image_names, photographs)
        wanted = PhotographList(
            label,
            photographs,
            self._config.scales,
            # Queries are few, and searched with as they are.
            storage=self._config.storage if part == "database" else "float32",
            skip_unreadable=part == "database" and not self._config.strict,
            allow_unreadable=self._config.allow_unreadable,
        )
        origin = origin_of_network(self._weights) | {
            "scales": list(self._config.scales),
            "mode": self._config.mode,
            "images": list_sha256,
            "storage": wanted.storage,
        }
        store = describe_list(self._describer, wanted, self._folder / name, part, origin)
        self._stores[name, part] = store
        self.skipped |= {f"{name} {row}": reason for row, reason in store.skipped.items()}
        self.seconds.setdefault(label, time.monotonic() - start)
        self.lists_sha256[label] = list_sha256

    def inputs_sha256(self, dataset: Dataset) -> str:
        """What tells the descriptors and the ground truth that are scored from any others."""
        lists = [(dataset.name, "query"), (dataset.name, "database")]
        lists += [(self._config.distractors, "database")] if self._config.distractors else []
        stores = [self._stores[label] for label in lists]
        truth = dataset.ground_truth
        labels = [[items.tolist() for items in getattr(truth, kind)] for kind in KINDS]
        described = [[dict(s.origin), list(s.checksums), sorted(s.skipped)] for s in stores]
        return hashlib.sha256(json.dumps([described, labels]).encode()).hexdigest()


def _read_earlier(path: pathlib.Path) -> dict[str, Any]:
    """The report that stands in the workdir already, empty where there is none."""
    if not path.is_file():
        return {}
    report = read_json(path)
    try:
        run = report["run"]
        results = {name: value for name, value in report.items() if name != "run"}
        expected = run.get("results_crc32")
        run.get("inputs_sha256", {}).items()
    except (AttributeError, KeyError, TypeError) as error:
        raise UserError(f"{path} is no report of an evaluation; move it away") from error
    if expected not in (None, crc32_of_json(results)):
        raise UserError(f"{path} does not match its checksum; move it away to make a new one")
    return report


def _of_the_same(earlier: dict[str, Any], name: str, inputs_sha256: str) -> dict[str, Any]:
    """What an earlier report has of re-rankings of the same descriptors of a dataset."""
    if not earlier or earlier["run"].get("inputs_sha256", {}).get(name) != inputs_sha256:
        return {}
    return {entry: value for entry, value in earlier.items() if entry.startswith(f"{name}+")}


def _print_result(
    name: str,
    config: config_dict.ConfigDict,
    weights: Weights,
    result: EvaluationReport,
    unreadable: str,
) -> None:
    notes = [f"with {config.distractors}"] if config.distractors else []
    notes += [] if config.crop_queries else ["queries NOT cropped"]
    notes += ["RANDOM WEIGHTS, nothing is learned in them"] if weights.random else []
    print(", ".join([f"{name}, {weights.architecture.name}", *notes]))
    if unreadable:
        print(f"{unreadable} images are UNREADABLE and rank last")
    print(result.table())


def _skipped_hint(count: int, workdir: pathlib.Path) -> str:
    return f"; {count} unreadable images rank last, see {workdir / SKIPPED}" if count else ""
