"""A part of a dataset, for machines that have not the time for all of it."""

import numpy as np

from senet_jax.data.ground_truth import GroundTruth
from senet_jax.data.revisitop import Dataset


def every_kth(dataset: Dataset, step: int) -> Dataset:
    """Every K-th query and image, without relevance."""
    truth = dataset.ground_truth
    queries = truth.query_names[::step]
    nothing = (np.zeros(0, np.int64),) * len(queries)
    return Dataset(
        name=dataset.name,
        ground_truth=GroundTruth(
            truth.image_names[::step], queries, nothing, nothing, nothing, truth.boxes[::step]
        ),
        images=dataset.images[::step],
        queries=dataset.queries[::step],
    )
