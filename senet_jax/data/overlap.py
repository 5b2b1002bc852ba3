"""Which benchmarks show landmarks on which a network may have been trained."""

OVERLAPPING_QUERIES = {"GLDv2-clean": {"roxford5k": 36, "rparis6k": 38}}
"""Training set -> benchmark -> how many of its 70 queries show a landmark of the training set.

Source: "On Train-Test Class Overlap and Detection for Image Retrieval" (CVPR 2024), which made
RGLDv2-clean. Of SfM-120k there is none.
"""


def overlapping_queries(training_set: object, dataset: str) -> int:
    """How many queries of a dataset show a landmark of a training set, as far as is known."""
    if not isinstance(training_set, str):
        return 0
    return OVERLAPPING_QUERIES.get(training_set, {}).get(dataset, 0)
