"""Re-ranking as a part of the job `evaluate`: with photographs, files, and a config."""

import pathlib
from collections.abc import Sequence

import numpy as np
from ml_collections import config_dict

from senet_jax.config import names
from senet_jax.data.revisitop import Dataset, Photograph
from senet_jax.errors import UserError
from senet_jax.rerank.cvnet import ScoredPairs
from senet_jax.rerank.evaluation import RerankedReport, evaluate_reranked
from senet_jax.rerank.maps import MapCache, MapNetwork
from senet_jax.rerank.methods import CVNET, Circumstances, make_reranker
from senet_jax.rerank.pair_scores import PairScores
from senet_jax.rerank.retrieval import Retrieval
from senet_jax.weights import load_weights

# The maps of an image take 3 to 9 MB.
MAPS_BYTES = 32 * 2**30


class Reranking:
    """Re-ranks what was found in datasets, by the methods of the config.

    Raises:
        UserError: a method is not known, or lacks its weights.
    """

    def __init__(
        self,
        config: config_dict.ConfigDict,
        distractors: Sequence[Photograph],
        workdir: pathlib.Path,
    ):
        self._methods, self._top = config.rerank, config.rerank_top
        self._distractors, self._folder = distractors, workdir / "rerank"
        self._crop_queries = config.crop_queries
        self._maps = None
        if CVNET in names(config.rerank):
            if not config.cvnet_weights:
                raise UserError(
                    "config.rerank has cvnet, but config.cvnet_weights is empty; name the weights "
                    "folder of a CVNet checkpoint"
                )
            network = MapNetwork(load_weights(config.cvnet_weights))
            self._maps = MapCache(network, self._folder / "maps", MAPS_BYTES)
        score_nothing = None if self._maps is None else np.zeros_like
        make_reranker(self._methods, Circumstances(score_pairs=score_nothing))

    def __call__(self, dataset: Dataset, found: Retrieval) -> dict[str, RerankedReport]:
        """The reports `protocol` and `blind`; the pairs that were scored are left in a file."""
        scored: list[ScoredPairs] = []
        score_pairs = None
        if self._maps is not None:
            queries = dataset.queries if self._crop_queries else dataset.whole_queries
            images = (*dataset.images, *self._distractors)
            score_pairs = PairScores(self._maps, queries, images)
        circumstances = Circumstances(
            dataset.name,
            score_pairs=score_pairs,
            pairs_top=self._top,
            on_scored=scored.append,
        )
        rerank = make_reranker(self._methods, circumstances)
        reports = evaluate_reranked(dataset.ground_truth, found, rerank)
        if scored:
            ScoredPairs.union(scored).save(self._folder / dataset.name / f"{CVNET}.csv")
        return reports
