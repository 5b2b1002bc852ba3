"""Re-ranking as a part of the job `evaluate`: with photographs, files, and a config."""

import csv
import dataclasses
import os
import pathlib
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from ml_collections import config_dict

from senet_jax.data.revisitop import Dataset, Photograph
from senet_jax.jobs.kept_stages import StageFolder
from senet_jax.jobs.reranked_scores import RerankedReport, evaluate_reranked
from senet_jax.rerank.geometric import LocalFeatures
from senet_jax.rerank.local_features import LocalFeatureNetwork
from senet_jax.rerank.maps import MapCache, MapNetwork
from senet_jax.rerank.method import Method, Resources
from senet_jax.rerank.methods import make_chain
from senet_jax.rerank.pair_scores import PairScores
from senet_jax.rerank.pairs import Features, PairCount, ScoredPairs, ScorePairs
from senet_jax.rerank.retrieval import Retrieval
from senet_jax.system.errors import UserError
from senet_jax.system.files import written_whole
from senet_jax.weights import Weights, load_weights

# The maps of an image take 3 to 9 MB.
MAPS_BYTES = 32 * 2**30


@dataclasses.dataclass(frozen=True)
class DenseSource:
    """The maps of photographs by CVNet; see `cvnet.DenseFeatures`.

    Attributes:
        cache: makes and keeps the maps.
        queries: photographs with their boxes.
        images: the database, and its distractors.
    """

    cache: MapCache
    queries: Sequence[Photograph]
    images: Sequence[Photograph]

    def query(self, index: int) -> np.ndarray:
        """The maps of a query: float32[s h w d]."""
        return self.cache[self.queries[index]]

    def item(self, index: int) -> np.ndarray:
        """The maps of an item: float32[s h w d]."""
        return self.cache[self.images[index]]

    def scorer(self, pairs: PairCount) -> ScorePairs:
        """The scores of pairs by CVNet, which are kept beside the maps."""
        return PairScores(self.cache, self.queries, self.images, pairs)


@dataclasses.dataclass(frozen=True)
class LocalSource:
    """The local features of photographs by the network that is evaluated.

    Attributes:
        network: makes the features.
        queries: photographs with their boxes.
        images: the database, and its distractors.
    """

    network: LocalFeatureNetwork
    queries: Sequence[Photograph]
    images: Sequence[Photograph]

    def query(self, index: int) -> LocalFeatures:
        """Those of a query."""
        return self.network(self.queries[index])

    def item(self, index: int) -> LocalFeatures:
        """Those of an item."""
        return self.network(self.images[index])


class Reranking:
    """Re-ranks what was found in datasets, by the methods of the config.

    Args:
        config: of the evaluation.
        weights: that are evaluated.
        distractors: behind every database.
        workdir: of the evaluation.

    Attributes:
        method: the method string of the config, without what does not matter in it.
        settings: what the scores depend on besides the method string and what was found.

    Raises:
        UserError: the method string is wrong, or a method lacks its weights.
    """

    def __init__(
        self,
        config: config_dict.ConfigDict,
        weights: Weights,
        distractors: Sequence[Photograph],
        workdir: pathlib.Path,
    ):
        self._config, self._weights = config, weights
        self._distractors, self._folder = distractors, workdir / "rerank"
        self._features: Mapping[str, Callable[..., Features]] = {
            "dense": self._dense,
            "local": self._local,
        }
        chain = make_chain(config.rerank, config=config)
        chain.check_features(self._features)
        self.method, self._needs = str(chain), chain.needs
        self.settings = {"rerank_top": config.rerank_top, "cvnet_weights_sha256": None}
        if "dense" in self._needs:
            if not config.cvnet_weights:
                raise UserError(
                    f"config.rerank is {self.method}, but config.cvnet_weights is empty; name the "
                    "weights folder of a CVNet checkpoint"
                )
            cvnet_weights = load_weights(config.cvnet_weights)
            self.settings["cvnet_weights_sha256"] = cvnet_weights.sha256
            self._maps = MapCache(MapNetwork(cvnet_weights), self._folder / "maps", MAPS_BYTES)

    def __call__(self, dataset: Dataset, found: Retrieval) -> dict[str, RerankedReport]:
        """The reports `blind` and `protocol`; the pairs that were scored are left in a file."""
        queries = dataset.queries if self._config.crop_queries else dataset.whole_queries
        images = (*dataset.images, *self._distractors)
        chain = make_chain(self.method, dataset.name, self._config)
        text_of = dict(zip(chain.methods, map(str, chain.spelled), strict=True))
        scored: dict[str, list[ScoredPairs]] = {}

        def on_scored(method: Method, pairs: ScoredPairs) -> None:
            scored.setdefault(text_of[method], []).append(pairs)

        resources = Resources(
            keep=StageFolder(self._folder / "prepared"),
            features={kind: self._features[kind](queries, images) for kind in self._needs},
            on_scored=on_scored,
        )
        reports = evaluate_reranked(dataset.ground_truth, found, chain, resources)
        for text, several in scored.items():
            path = self._folder / dataset.name / f"{text}.csv"
            save_pairs(path, ScoredPairs.union(several))
        return reports

    def _dense(self, queries: Sequence[Photograph], images: Sequence[Photograph]) -> Features:
        return DenseSource(self._maps, queries, images)

    def _local(self, queries: Sequence[Photograph], images: Sequence[Photograph]) -> Features:
        return LocalSource(LocalFeatureNetwork(self._weights, images), queries, images)


def save_pairs(path: str | os.PathLike, scored: ScoredPairs) -> None:
    """Writes a CSV file `query,item,global,score` with a line for each pair.

    Raises:
        UserError: the file cannot be written.
    """
    with written_whole(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("query", "item", "global", "score"))
        columns = scored.global_scores.tolist(), scored.scores.tolist()
        for (query, item), *scores in zip(scored.pairs.tolist(), *columns, strict=True):
            # Nine digits tell all float32 numbers apart.
            writer.writerow((query, item, *(f"{score:.9g}" for score in scores)))
