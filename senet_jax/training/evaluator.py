"""How good the network is that is being trained, on datasets of the benchmark's layout."""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np

from senet_jax.data.revisitop import Dataset
from senet_jax.features.extract_together import extract_together
from senet_jax.features.runner import Describer
from senet_jax.metrics.evaluation_report import EvaluationReport
from senet_jax.metrics.report import evaluate_descriptors
from senet_jax.metrics.saved import LISTED
from senet_jax.models.architecture import Architecture
from senet_jax.models.preprocessing import Preprocessing
from senet_jax.models.senet import without_descriptor_norm


class Evaluator:
    """Evaluates networks of one architecture.

    Datasets that share their pictures, and differ in what counts as junk, share descriptors.

    Args:
        architecture: of the networks.
        preprocessing: what they expect of pixels.
        datasets: what they are evaluated on.
        scales: at which each image is described.
    """

    def __init__(
        self,
        architecture: Architecture,
        preprocessing: Preprocessing,
        datasets: Sequence[Dataset],
        scales: Sequence[float],
    ):
        self._network = architecture, preprocessing
        self._datasets, self._scales = datasets, scales

    def run(
        self, variables: dict[str, Any], stopped: Callable[[], bool] = lambda: False
    ) -> dict[str, EvaluationReport] | None:
        """A report for each dataset, by name; None where it was stopped.

        All processes call it together: each describes its share of the photographs and ranks its
        share of the database, and all have the same reports.

        Args:
            variables: of the network.
            stopped: whether to stop; asked equally often in all processes, between batches.

        Raises:
            UserError: in all processes, where an image cannot be read in one of them.
        """
        describer = Describer(*self._network, without_descriptor_norm(variables))
        described: dict[tuple, np.ndarray] = {}
        reports = {}
        for dataset in self._datasets:
            parts = []
            for photographs in (dataset.queries, dataset.images):
                key = tuple((p.path.resolve(), p.box) for p in photographs)
                if key not in described:
                    found = extract_together(
                        describer, photographs, self._scales, label=dataset.name, stopped=stopped
                    )
                    if found is None:
                        return None
                    described[key] = found
                parts.append(described[key])
            reports[dataset.name] = evaluate_descriptors(
                dataset.ground_truth,
                parts[0],
                parts[1:],
                share=(jax.process_index(), jax.process_count()),
                listed=LISTED,
            )
        return reports
