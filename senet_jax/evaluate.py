"""The job `evaluate`: from weights and datasets to descriptors, mAP and a report.

In the workdir it leaves `report.json`, `skipped.txt`, and the descriptors of every dataset, which
a second run with the same settings takes up again.
"""

import hashlib
import importlib.metadata
import pathlib
import time
from collections.abc import Sequence
from typing import Any

from ml_collections import config_dict

from senet_jax import __version__
from senet_jax.config import names
from senet_jax.data.revisitop import Dataset, Photograph, load_dataset, load_distractors
from senet_jax.errors import UserError
from senet_jax.files import write_json, written_whole
from senet_jax.retrieval.evaluation import EvaluationReport, evaluate_descriptors
from senet_jax.retrieval.extract import extract, make_describe
from senet_jax.retrieval.store import DescriptorStore, load_store, save_store
from senet_jax.runtime import use_compilation_cache
from senet_jax.weights import Weights, load_weights

REPORT = "report.json"
SKIPPED = "skipped.txt"
LIBRARIES = ("jax", "jaxlib", "flax", "numpy", "opencv-python-headless")


def evaluate(config: config_dict.ConfigDict, workdir: pathlib.Path) -> None:
    """Runs the job; see the module.

    Raises:
        UserError: a setting, a file, an image or a place to write is not as it has to be.
    """
    start = time.monotonic()
    use_compilation_cache()
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
    if config.distractors:
        distractors = load_distractors(config.data_root, config.distractors).images
    weights = load_weights(config.weights)
    if weights.architecture.name != config.model:
        raise UserError(
            f"{config.weights} holds {weights.architecture.name}, the config asks for "
            f"{config.model}; use configs/evaluate.py:{weights.architecture.name}"
        )
    # A workdir that cannot be written is found out before the work, not after it.
    with written_whole(workdir / SKIPPED) as temporary:
        temporary.write_text("")

    described = _Describer(config, weights, workdir)
    report: dict[str, Any] = {}
    for dataset in datasets:
        queries = described.queries(dataset)
        database = described.part(dataset.name, "database", dataset.images)
        parts, skipped_rows = [database.descriptors], database.skipped_rows.tolist()
        if distractors:
            more = described.part(config.distractors, "database", distractors)
            parts.append(more.descriptors)
            skipped_rows += (len(dataset.images) + more.skipped_rows).tolist()
        result = evaluate_descriptors(
            dataset.ground_truth, queries.descriptors, parts, skipped_rows
        )
        report[dataset.name] = result.to_json()
        described.counts[dataset.name] = {
            "queries": len(dataset.queries),
            "database": len(dataset.images),
            "distractors": len(distractors),
            "skipped": len(skipped_rows),
        }
        _print_result(dataset.name, config, weights, result)

    with written_whole(workdir / SKIPPED) as temporary:
        lines = [f"{reason}\n" for reason in described.skipped.values()]
        temporary.write_text("".join(lines), encoding="utf-8", errors="backslashreplace")
    report["run"] = {
        "config": config.to_dict(),
        "weights_sha256": weights.sha256,
        "weights": {"model": weights.architecture.name, **weights.source},
        "random_weights": weights.random,
        "lists_sha256": described.lists_sha256,
        "counts": described.counts,
        "skipped": len(described.skipped),
        "seconds": described.seconds | {"total": time.monotonic() - start},
        "versions": {"senet_jax": __version__}
        | {library: importlib.metadata.version(library) for library in LIBRARIES},
    }
    write_json(workdir / REPORT, report)
    print(f"wrote {workdir / REPORT}" + _skipped_hint(len(described.skipped), workdir))


class _Describer:
    """Describes lists of photographs, or finds them described already, and keeps the books."""

    def __init__(self, config: config_dict.ConfigDict, weights: Weights, workdir: pathlib.Path):
        self._config, self._weights, self._folder = config, weights, workdir / "descriptors"
        self._describe = make_describe(weights, config.mode)
        self.skipped: dict[str, str] = {}
        self.seconds: dict[str, float] = {}
        self.counts: dict[str, dict[str, int]] = {}
        self.lists_sha256: dict[str, str] = {}

    def queries(self, dataset: Dataset) -> DescriptorStore:
        photographs = dataset.queries
        if not self._config.crop_queries:
            photographs = [Photograph(p.folder, p.file_name) for p in photographs]
        return self.part(dataset.name, "query", photographs)

    def part(self, name: str, part: str, photographs: Sequence[Photograph]) -> DescriptorStore:
        start = time.monotonic()
        list_sha256 = _list_sha256(photographs)
        origin = {
            "weights": self._weights.sha256,
            # The same tensors make other descriptors in another network or from other pixels.
            "model": self._weights.architecture.name,
            "preprocessing": self._weights.preprocessing.to_json(),
            "scales": list(self._config.scales),
            "mode": self._config.mode,
            "images": list_sha256,
        }
        folder, label = self._folder / name, f"{name} {part}"
        store = load_store(folder, part, origin)
        if store is None:
            descriptors, skipped = extract(
                self._describe,
                photographs,
                self._config.scales,
                label=label,
                width=self._weights.architecture.outputs,
                skip_unreadable=part == "database" and not self._config.strict,
            )
            store = DescriptorStore(descriptors, skipped, origin)
            save_store(folder, part, store)
        elif self._config.strict and store.skipped:
            raise UserError(f"{next(iter(store.skipped.values()))} (strict)")
        self.skipped |= {f"{name} {row}": reason for row, reason in store.skipped.items()}
        self.seconds.setdefault(label, time.monotonic() - start)
        self.lists_sha256[label] = list_sha256
        return store


def _list_sha256(photographs: Sequence[Photograph]) -> str:
    """Which images, in which order, and which part of each."""
    digest = hashlib.sha256()
    for photograph in photographs:
        digest.update(
            f"{photograph.file_name}\t{photograph.box}\n".encode(errors="surrogateescape")
        )
    return digest.hexdigest()


def _print_result(
    name: str, config: config_dict.ConfigDict, weights: Weights, result: EvaluationReport
) -> None:
    notes = [f"with {config.distractors}"] if config.distractors else []
    notes += [] if config.crop_queries else ["queries NOT cropped"]
    notes += ["RANDOM WEIGHTS, nothing is learned in them"] if weights.random else []
    print(", ".join([f"{name}, {weights.architecture.name}", *notes]))
    print(result.table())


def _skipped_hint(count: int, workdir: pathlib.Path) -> str:
    return f"; {count} unreadable images rank last, see {workdir / SKIPPED}" if count else ""
