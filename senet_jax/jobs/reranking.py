"""Re-ranking as a part of the job `evaluate`: with photographs, files, and a config."""

import pathlib
from collections.abc import Sequence

import numpy as np
from ml_collections import config_dict

from senet_jax.config import names
from senet_jax.data.revisitop import Dataset, Photograph
from senet_jax.features.whitening import local_feature_cache
from senet_jax.jobs.reranked_scores import RerankedReport, evaluate_reranked
from senet_jax.rerank.geometric import InlierCounts
from senet_jax.rerank.methods import CVNET, GEOMETRIC, PAIRWISE, Circumstances, make_reranker
from senet_jax.rerank.pair_scores import PairScores, map_cache
from senet_jax.rerank.pairwise import PairCount, ScoredPairs, ScorePairs
from senet_jax.rerank.retrieval import Retrieval
from senet_jax.system.errors import UserError
from senet_jax.weights import Weights, load_weights

# The maps of an image take 3 to 9 MB, its local features 256 KB.
MAPS_BYTES, LOCAL_FEATURES_BYTES = 32 * 2**30, 32 * 2**30


class Reranking:
    """Re-ranks what was found in datasets, by the methods of the config.

    Args:
        config: of the evaluation.
        weights: that are evaluated.
        distractors: behind every database.
        workdir: of the evaluation.

    Attributes:
        settings: what the scores depend on besides the method's name and what was found.

    Raises:
        UserError: a method is not known, or lacks its weights.
    """

    def __init__(
        self,
        config: config_dict.ConfigDict,
        weights: Weights,
        distractors: Sequence[Photograph],
        workdir: pathlib.Path,
    ):
        self._methods, self._top, self._weights = config.rerank, config.rerank_top, weights
        self._distractors, self._folder = distractors, workdir / "rerank"
        self._crop_queries = config.crop_queries
        self._maps = None
        self.settings = {"rerank_top": config.rerank_top, "cvnet_weights_sha256": None}
        if CVNET in names(config.rerank):
            if not config.cvnet_weights:
                raise UserError(
                    "config.rerank has cvnet, but config.cvnet_weights is empty; name the weights "
                    "folder of a CVNet checkpoint"
                )
            cvnet_weights = load_weights(config.cvnet_weights)
            self.settings["cvnet_weights_sha256"] = cvnet_weights.sha256
            self._maps = map_cache(cvnet_weights, self._folder / "maps", MAPS_BYTES)
        check = Circumstances(score_pairs=dict.fromkeys(PAIRWISE, np.zeros_like))
        make_reranker(self._methods, check)

    def __call__(self, dataset: Dataset, found: Retrieval) -> dict[str, RerankedReport]:
        """The reports `blind` and `protocol`; the pairs that were scored are left in a file."""
        queries = dataset.queries if self._crop_queries else dataset.whole_queries
        images = (*dataset.images, *self._distractors)
        scored: dict[str, list[ScoredPairs]] = {}
        count = PairCount()
        circumstances = Circumstances(
            dataset.name,
            score_pairs=self._score_pairs(queries, images, count),
            pairs_top=self._top,
            on_scored=lambda method, pairs: scored.setdefault(method, []).append(pairs),
        )
        rerank = make_reranker(self._methods, circumstances)
        reports = evaluate_reranked(dataset.ground_truth, found, rerank, count)
        for method, several in scored.items():
            ScoredPairs.union(several).save(self._folder / dataset.name / f"{method}.csv")
        return reports

    def _score_pairs(
        self, queries: Sequence[Photograph], images: Sequence[Photograph], count: PairCount
    ) -> dict[str, ScorePairs]:
        found: dict[str, ScorePairs] = {}
        if self._maps is not None:
            found[CVNET] = PairScores(self._maps, queries, images, count)
        if GEOMETRIC in names(self._methods):
            place = self._folder / "local", LOCAL_FEATURES_BYTES
            features = local_feature_cache(self._weights, images, *place)
            found[GEOMETRIC] = InlierCounts(features, queries, images, count)
        return found
