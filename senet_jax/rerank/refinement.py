"""The first items of a list refined by each other, from global descriptors alone.

Source: Shao et al., "Global Features are All You Need for Image Retrieval and Reranking" (ICCV
2023), known as SuperGlobal, in the form of its public code.
"""

import dataclasses

import numpy as np

from senet_jax.rerank.method import Method
from senet_jax.rerank.retrieval import Retrieval, reordered, shortlists
from senet_jax.system.progress import Progress
from senet_jax.system.settings import setting


@dataclasses.dataclass(frozen=True)
class Refinement(Method):
    """SuperGlobal's refinement of a shortlist.

    A refined descriptor is the weighted mean of an item (weight 1) and its nearest others in the
    shortlist (`weight` times similarity), not normalised again. The first score of an item is the
    query's product with it. The second is that of the element-wise maximum of the refined
    descriptors which the first score puts first. The mean of both is the order.

    Departure: a negative similarity counts as 0, so that the weights never cancel out; the
    authors' code has no rule for it.
    """

    top: int = setting(
        400, "how many items of a list are refined; of a shorter one, all", at_least=1
    )
    neighbours: int = setting(9, "how many others enter the mean", at_least=0)
    weight: float = setting(
        0.15, "of another in the mean, times its similarity", at_least=0, at_most=100
    )
    merged: int = setting(10, "over how many items the maximum is taken", at_least=1)

    def rerank(self, retrieval: Retrieval) -> Retrieval:
        """The same queries with other ranks."""
        from senet_jax.rerank.refined import refined_scores

        progress = Progress("refining", len(retrieval.queries), "queries")
        scores = np.zeros((len(retrieval.queries), min(self.top, retrieval.length)), np.float32)
        for shortlist in shortlists(retrieval, self.top):
            scores[shortlist.rows] = refined_scores(
                shortlist.queries,
                shortlist.descriptors,
                shortlist.are_ranked,
                neighbours=self.neighbours,
                weight=self.weight,
                merged=self.merged,
            )
            progress.advance(len(shortlist.items))
        return reordered(retrieval, scores)
