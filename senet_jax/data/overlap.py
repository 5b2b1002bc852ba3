"""Which benchmarks show landmarks on which a network may have been trained."""

from collections.abc import Sequence

from senet_jax.data import gldv2

_GLDV2_CLEAN = {"roxford5k": 36, "rparis6k": 38}
OVERLAPPING_QUERIES = {"GLDv2-clean": _GLDV2_CLEAN, gldv2.NAME: _GLDV2_CLEAN}
"""Training set -> benchmark -> how many of its 70 queries show a landmark of the training set.

Source: "On Train-Test Class Overlap and Detection for Image Retrieval" (CVPR 2024), which made
RGLDv2-clean. Of SfM-120k there is none.
"""


def overlapping_queries(training_sets: Sequence[str], dataset: str) -> int:
    """How many queries of a dataset show a landmark of training sets, as far as is known."""
    return max((OVERLAPPING_QUERIES.get(n, {}).get(dataset, 0) for n in training_sets), default=0)
