"""Re-ranking as a part of the job `evaluate`: with photographs, files, and a config."""

import csv
import dataclasses
import functools
import itertools
import os
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
from ml_collections import config_dict

from senet_jax.convert.sources import weights_folder
from senet_jax.data.revisitop import Dataset, Photograph
from senet_jax.features.cache import FeatureCache
from senet_jax.features.keypoints import Fitted, Keypoints, keypoint_cache
from senet_jax.features.local_features import LocalFeatures
from senet_jax.features.networks import Value
from senet_jax.features.whitening import local_feature_cache
from senet_jax.jobs.evaluation_plan import EvaluationPlan
from senet_jax.jobs.given_features import GivenFeatures, open_given
from senet_jax.jobs.given_scores import COLUMNS, GivenPairs
from senet_jax.jobs.kept_stages import StageFolder
from senet_jax.jobs.reranked_scores import RerankedReport, evaluate_reranked
from senet_jax.rerank.journal import Journal, Key
from senet_jax.rerank.lightglue import check_matcher
from senet_jax.rerank.method import Method, Resources
from senet_jax.rerank.methods import Chain, make_chain
from senet_jax.rerank.pair_scores import PairScores, map_cache
from senet_jax.rerank.pairs import Features, PairCount, ScoredPairs, ScorePairs
from senet_jax.rerank.retrieval import Retrieval
from senet_jax.rerank.verification import GeometricVerification
from senet_jax.system.errors import UserError
from senet_jax.system.files import atomic_write
from senet_jax.weights import Weights, load_weights

# The maps of an image take 3 to 9 MB, its local features 256 KB, its keypoints 512 KB.
MAPS_BYTES, LOCAL_FEATURES_BYTES, KEYPOINTS_BYTES = 32 * 2**30, 32 * 2**30, 32 * 2**30


class PhotographFeatures(Features):
    """The features of photographs, from where they are kept.

    Args:
        cache: makes and keeps them.
        queries: photographs with their boxes.
        images: the database, and its distractors.

    Attributes:
        label: of the lines of progress.
        in_memory: of how many photographs they are held besides.
    """

    label: ClassVar[str]
    in_memory: ClassVar[int]

    def __init__(
        self, cache: FeatureCache, queries: Sequence[Photograph], images: Sequence[Photograph]
    ):
        self.cache, self.queries, self.images = cache, queries, images
        self._features = functools.lru_cache(self.in_memory)(lambda p: self.features(cache[p]))

    def features(self, value: Value) -> Any:
        """What methods take, of what is kept."""
        raise NotImplementedError

    def prepare(self, pairs: np.ndarray) -> None:
        """Makes the features of pairs, in batches."""
        photographs = [(self.queries[query], self.images[item]) for query, item in pairs.tolist()]
        self.cache.fill(list(dict.fromkeys(itertools.chain(*photographs))), self.label)

    def query(self, index: int) -> Any:
        """Those of a query."""
        return self._features(self.queries[index])

    def item(self, index: int) -> Any:
        """Those of an item."""
        return self._features(self.images[index])

    def key(self, query: int, item: int) -> Key:
        """Those of both values; see `FeatureCache.key`."""
        return self.cache.key(self.queries[query]), self.cache.key(self.images[item])

    def journal(self, method: str, settings: Mapping[str, Any]) -> Journal:
        """The scores that are kept beside the features."""
        return Journal.of(self.cache.folder, method, settings)


class DenseSource(PhotographFeatures):
    """The maps of photographs by CVNet, float32[s h w d]; see `cvnet.DenseFeatures`."""

    label, in_memory = "cvnet, maps", 16

    def features(self, value: Value) -> np.ndarray:
        """The maps."""
        return value["maps"]

    def scorer(self, pairs: PairCount) -> ScorePairs:
        """The scores of pairs by CVNet, which are kept beside the maps."""
        return PairScores(self.cache, self.queries, self.images, pairs)


class LocalSource(PhotographFeatures):
    """The local features of photographs by the network that is evaluated."""

    label, in_memory = "geometric, local features", 2048

    def features(self, value: Value) -> LocalFeatures:
        """Keypoints and their descriptors."""
        return LocalFeatures.of(value)


@dataclasses.dataclass(frozen=True, eq=False)
class KeypointSource:
    """The keypoints of photographs of any size; see `lightglue.KeypointSource`.

    Attributes:
        cache: makes and keeps them.
        weights: of their network.
        queries: photographs with their boxes.
        images: the database, and its distractors.
    """

    cache: FeatureCache
    weights: Weights
    queries: Sequence[Photograph]
    images: Sequence[Photograph]

    def at(self, side: int) -> Features:
        """Those of photographs that are shrunk to a longer side."""
        return _FittedKeypoints(
            self.weights, self.cache, Fitted(self.queries, side), Fitted(self.images, side)
        )


class _FittedKeypoints(PhotographFeatures):
    label, in_memory = "lightglue, keypoints", 1024

    def __init__(self, weights: Weights, *sources: Any):
        super().__init__(*sources)
        self._weights = weights

    def features(self, value: Value) -> Keypoints:
        """Keypoints and their descriptors."""
        return Keypoints.of(value, self._weights)


class Reranking:
    """Re-ranks what was found in datasets, by the methods of the config.

    Args:
        config: of the evaluation.
        weights: that are evaluated.
        plan: of the evaluation.
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
        plan: EvaluationPlan,
        workdir: pathlib.Path,
    ):
        self._weights, self._plan, self._folder = weights, plan, workdir / "rerank"
        self._features: Mapping[str, Callable[..., Any]] = {
            "dense": self._dense,
            "local": self._local,
            "keypoints": self._keypoints,
            "pairs": self._pairs,
        }
        # What the settings of methods that are left out are in this evaluation.
        self._defaults = {"rerank_top": config.rerank_top}
        chain = make_chain(config.rerank, config=self._defaults)
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
            self.settings["cvnet_weights"] = cvnet_weights.provenance
            self.settings["cvnet_weights_sha256"] = cvnet_weights.sha256
            self._maps = map_cache(cvnet_weights, self._folder / "maps", MAPS_BYTES)
        if "keypoints" in self._needs:
            self._matching = load_weights(weights_folder(config.lightglue_weights))
            check_matcher(self._matching)
            self.settings["lightglue_weights"] = self._matching.provenance
            self.settings["lightglue_weights_sha256"] = self._matching.sha256

        given = str(config.local_features)
        self._given_features = None
        if given and "local" in self._needs:
            if any(isinstance(method, GeometricVerification) for method in chain.methods):
                raise UserError(
                    "geometric takes the network's own features, and config.local_features names "
                    "others; use gv, or leave one of the two out"
                )
            self._given_features = open_given(pathlib.Path(given))
            self.settings["local_features"] = f"user-supplied, {given}"
        if "pairs" in self._needs:
            if not config.pair_scores:
                raise UserError(
                    f"config.rerank is {self.method}, but config.pair_scores is empty; name a CSV "
                    f"file {','.join(COLUMNS)}"
                )
            if len(plan.datasets) != 1:
                raise UserError(
                    f"config.pair_scores has the pairs of one dataset, and {len(plan.datasets)} "
                    "are evaluated; name one in config.datasets"
                )
            self._pair_scores = pathlib.Path(config.pair_scores)
            [dataset] = plan.datasets
            given = self._pairs(plan.queries(dataset), plan.searched(dataset))
            self.settings["pair_scores"] = f"user-supplied, SHA-256 {given.sha256}"

    def __call__(self, dataset: Dataset, found: Retrieval) -> dict[str, RerankedReport]:
        """The reports `blind` and `protocol`; the pairs that were scored are left in a file."""
        queries, images = self._plan.queries(dataset), self._plan.searched(dataset)
        chain = self._chain(dataset)
        text_of = dict(zip(chain.methods, map(str, chain.spelled), strict=True))
        scored: dict[str, list[ScoredPairs]] = {}

        def on_scored(method: Method, pairs: ScoredPairs) -> None:
            scored.setdefault(text_of[method], []).append(pairs)

        resources = Resources(
            keep=StageFolder(self._folder / "prepared"),
            features={kind: self.features(kind, queries, images) for kind in self._needs},
            on_scored=on_scored,
        )
        reports = evaluate_reranked(dataset.ground_truth, found, chain, resources)
        for text, several in scored.items():
            path = self._folder / dataset.name / f"{text}.csv"
            save_pairs(path, ScoredPairs.union(several))
        return reports

    def notes(self, dataset: Dataset) -> dict[str, Any]:
        """What a report says of the re-rankings of a dataset besides scores and costs."""
        return {"settings": dict(self.settings), "methods": self._chain(dataset).to_json()}

    def _chain(self, dataset: Dataset) -> Chain:
        return make_chain(self.method, dataset.name, self._defaults)

    def features(
        self, kind: str, queries: Sequence[Photograph], images: Sequence[Photograph]
    ) -> Any:
        """What `Resources` has of one kind that a method needs, of some queries and a database."""
        return self._features[kind](queries, images)

    def _dense(self, queries: Sequence[Photograph], images: Sequence[Photograph]) -> Features:
        return DenseSource(self._maps, queries, images)

    def _pairs(self, queries: Sequence[Photograph], images: Sequence[Photograph]) -> GivenPairs:
        return GivenPairs(self._pair_scores, len(queries), len(images))

    def _local(self, queries: Sequence[Photograph], images: Sequence[Photograph]) -> Features:
        if self._given_features is not None:
            return GivenFeatures(self._given_features, queries, images)
        folder = self._folder / "local"
        cache = local_feature_cache(self._weights, images, folder, LOCAL_FEATURES_BYTES)
        return LocalSource(cache, queries, images)

    def _keypoints(
        self, queries: Sequence[Photograph], images: Sequence[Photograph]
    ) -> KeypointSource:
        cache = keypoint_cache(self._matching, self._folder / "keypoints", KEYPOINTS_BYTES)
        return KeypointSource(cache, self._matching, queries, images)


def save_pairs(path: str | os.PathLike, scored: ScoredPairs) -> None:
    """Writes a CSV file `query,item,global,score` with a line for each pair.

    Raises:
        UserError: the file cannot be written.
    """
    with atomic_write(path) as temporary, temporary.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        columns = scored.global_scores.tolist(), scored.scores.tolist()
        for (query, item), *scores in zip(scored.pairs.tolist(), *columns, strict=True):
            # Nine digits tell all float32 numbers apart.
            writer.writerow((query, item, *(f"{score:.9g}" for score in scores)))
