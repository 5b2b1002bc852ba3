"""Answers queries in an index that is opened once: describes, searches, re-ranks."""

import dataclasses
import functools
import itertools
import pathlib
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from senet_jax.convert.sources import weights_folder
from senet_jax.data.revisitop import Photograph
from senet_jax.features.cache import FeatureCache
from senet_jax.features.extract import extract_batches, plan_job
from senet_jax.features.few_shapes import in_few_shapes
from senet_jax.features.keypoints import Fitted, Keypoints, fitted, keypoint_cache
from senet_jax.features.local_features import LocalFeatures
from senet_jax.features.networks import Value
from senet_jax.features.runner import Describer
from senet_jax.features.scales import scales_of
from senet_jax.features.whitening import local_feature_cache
from senet_jax.index.find import Hit, find
from senet_jax.index.photographs import ShrunkPhotograph
from senet_jax.index.store import Index, open_index
from senet_jax.rerank.lightglue import check_matcher
from senet_jax.rerank.matches import Matches
from senet_jax.rerank.method import DatabaseStage, Resources, in_memory
from senet_jax.rerank.methods import Chain, make_chain
from senet_jax.rerank.pairs import Features
from senet_jax.rerank.pairwise import PairwiseMethod
from senet_jax.rerank.retrieval import Retrieval, read_items
from senet_jax.search.ranked_list import NO_MORE, RankedList
from senet_jax.weights import Weights, load_weights

RERANKED = 1000
"""How many rows of a list a re-ranking is given, as in evaluations."""
LOCAL = "local"
"""The folder of an index in which the local features of its photographs are kept."""
KEYPOINTS = "keypoints"
"""The folder of an index in which their keypoints are kept."""
LOCAL_FEATURES_BYTES = KEYPOINTS_BYTES = 4 * 2**30
KEYPOINT_WEIGHTS = "pretrained:disk"


@dataclasses.dataclass(frozen=True)
class Answer:
    """A photograph that was found.

    Attributes:
        path: its file, in full.
        score: the dot product with the query, of unit descriptors the cosine.
        rank_before: its rank before a re-ranking, from 1; None where it was not among the first
            `RERANKED`, or where nothing was re-ranked.
    """

    path: str
    score: float
    rank_before: int | None = None


class Searcher:
    """An index with the network by which it is made; any number of threads may ask it.

    One thread at a time describes, and one re-ranks, each with all cores.

    Args:
        index: what is searched, as it is now.

    Attributes:
        index: the index.
        weights: of the network.

    Raises:
        UserError: the weights are gone, or were exchanged.
    """

    def __init__(self, index: Index):
        self.index, self.weights = index, index.load_weights()
        self._describer = Describer.of(self.weights)
        self._describing, self._reranking = threading.Lock(), threading.Lock()
        self._stages: dict[str, list[Mapping[str, np.ndarray]]] = {}

    @classmethod
    def open(cls, folder: pathlib.Path) -> "Searcher":
        """Opens the index in a folder; see `open_index`."""
        return cls(open_index(folder))

    def describe(self, photographs: Sequence[Photograph]) -> np.ndarray:
        """The descriptors of queries, as the index is asked for them: float32[q d].

        Raises:
            UserError: one cannot be read, or its box is none of it.
        """
        options = {"label": "queries", "skip_unreadable": False}
        descriptors = np.zeros((len(photographs), self._describer.width), np.float32)
        scales = scales_of(self.weights.architecture)
        with self._describing:
            job = plan_job(self._describer, photographs, scales, **options)
            job = in_few_shapes(job, self._describer)
            for extracted in extract_batches(self._describer, job, job.plan.batches):
                rows = list(extracted.rows)
                descriptors[rows] = extracted.descriptors(self._describer.width)
        return self.index.asked(descriptors)

    def search(self, descriptors: np.ndarray, top: int) -> list[list[Answer]]:
        """The photographs that are most similar to queries, best first.

        Args:
            descriptors: float32[q d], see `describe`.
            top: how many to find for each.
        """
        return [
            [Answer(hit.path, hit.score) for hit in hits]
            for hits in find(self.index, descriptors, top)
        ]

    def check(self, chain: Chain) -> None:
        """Loads what a re-ranking takes besides the index, before there is a query.

        Raises:
            UserError: weights that it takes are not there.
        """
        if "keypoints" in chain.needs:
            check_matcher(self._matching)

    def rerank(
        self,
        photographs: Sequence[Photograph],
        descriptors: np.ndarray,
        top: int,
        chain: Chain,
    ) -> list[list[Answer]]:
        """Searches, and brings what is found into the order of a re-ranking.

        Args:
            photographs: the queries.
            descriptors: theirs, float32[q d].
            top: how many to find for each.
            chain: see `read_chain`.

        Raises:
            UserError: a photograph cannot be read, or a method cannot work on the index.
        """
        found = find(self.index, descriptors, max(top, RERANKED))
        rows = [list(dict.fromkeys(self._row_of[hit.path] for hit in hits)) for hits in found]
        ranks = np.full((len(rows), max(map(len, rows))), NO_MORE)
        for query, of_query in enumerate(rows):
            ranks[query, : len(of_query)] = of_query
        database = self.index.database
        retrieval = Retrieval(descriptors, database, RankedList(ranks, database.size))
        with self._reranking:
            calls = itertools.count()
            resources = Resources(
                keep=lambda stage: self._kept(str(chain), next(calls), stage),
                features={kind: self._sources[kind](photographs) for kind in chain.needs},
            )
            reranked = chain.prepare(database, resources)(retrieval).ranked
        return [
            self._answers(reranked.items(query), descriptors[query], found[query], top)
            for query in range(len(rows))
        ]

    def matches(
        self, method: PairwiseMethod, query: Photograph, item: Photograph | None, row: int | None
    ) -> Matches:
        """The points that a photograph has in common with another, or with one of the index.

        Args:
            method: finds them.
            query: a photograph.
            item: another, where it is none of the index.
            row: of one of the index, whose features are kept in its folder.

        Raises:
            UserError: one cannot be read, or the method finds no points.
        """
        photographs = [query] if item is None else [query, item]
        with self._reranking:
            features = method.features(self._sources[method.needs](photographs))
            of_item = features.query(1) if row is None else features.item(row)
            return method.matches(features.query(0), of_item)

    def photograph(self, row: int) -> ShrunkPhotograph:
        """The photograph of a row of the descriptors.

        Raises:
            KeyError: there is none any more.
        """
        return self._shrunk(self.index.paths_of_row[row][0])

    def _shrunk(self, path: str) -> ShrunkPhotograph:
        folder = self.index.listing.folder
        return ShrunkPhotograph(folder, str(pathlib.PurePath(path).relative_to(folder)))

    @functools.cached_property
    def _row_of(self) -> Mapping[str, int]:
        return {path: row for row, paths in self.index.paths_of_row.items() for path in paths}

    @functools.cached_property
    def _local(self) -> FeatureCache:
        photographs = [self.photograph(row) for row in sorted(self.index.paths_of_row)]
        return local_feature_cache(
            self.weights,
            photographs,
            self.index.folder / LOCAL,
            LOCAL_FEATURES_BYTES,
            few_shapes=True,
        )

    @functools.cached_property
    def _matching(self) -> Weights:
        return load_weights(weights_folder(KEYPOINT_WEIGHTS))

    @functools.cached_property
    def _keypoints(self) -> FeatureCache:
        folder = self.index.folder / KEYPOINTS
        return keypoint_cache(self._matching, folder, KEYPOINTS_BYTES, few_shapes=True)

    @functools.cached_property
    def _sources(self) -> Mapping[str, Callable[[Sequence[Photograph]], Any]]:
        """What methods take, by kind, of queries."""
        return {
            "local": lambda queries: IndexedFeatures(
                self._local, queries, self.photograph, LocalFeatures.of
            ),
            "keypoints": lambda queries: IndexedKeypoints(
                self._keypoints, self._matching, self, queries
            ),
        }

    def _kept(self, chain: str, call: int, stage: DatabaseStage) -> Mapping[str, np.ndarray]:
        """The arrays of a stage; a chain asks for its stages in one order."""
        stages = self._stages.setdefault(chain, [])
        if call == len(stages):
            stages.append(in_memory(stage))
        return stages[call]

    def _answers(
        self, rows: np.ndarray, descriptor: np.ndarray, found: Sequence[Hit], top: int
    ) -> list[Answer]:
        before = {hit.path: rank for rank, hit in enumerate(found, 1)}
        rows = rows[:top]
        scores = read_items(self.index.database, rows) @ descriptor
        return [
            Answer(path, score, before.get(path))
            for row, score in zip(rows.tolist(), scores.tolist(), strict=True)
            for path in self.index.paths_of_row.get(row, ())
        ][:top]


class IndexedFeatures(Features):
    """The features of some queries and of all photographs of an index.

    Args:
        cache: makes them, and keeps those of the index.
        queries: the queries, whose features are not kept.
        photograph: of a row of the index.
        read: what methods take, of what the cache has.
    """

    def __init__(
        self,
        cache: FeatureCache,
        queries: Sequence[Photograph],
        photograph: Callable[[int], Photograph],
        read: Callable[[Value], Any],
    ):
        self._cache, self._photograph, self._read = cache, photograph, read
        self._queries = [read(value) for value in cache.compute(queries)]

    def prepare(self, pairs: np.ndarray) -> None:
        """Makes those of the items of pairs, in batches."""
        rows = dict.fromkeys(pairs[:, 1].tolist())
        self._cache.fill([self._photograph(row) for row in rows], "features")

    def query(self, index: int) -> Any:
        """Those of a query."""
        return self._queries[index]

    def item(self, index: int) -> Any:
        """Those of a row of the index."""
        return self._read(self._cache[self._photograph(index)])


@dataclasses.dataclass(frozen=True, eq=False)
class IndexedKeypoints:
    """The keypoints of some queries and of an index; see `lightglue.KeypointSource`.

    Attributes:
        cache: makes them, and keeps those of the index.
        weights: of their network.
        searcher: knows the photographs.
        queries: the queries.
    """

    cache: FeatureCache
    weights: Weights
    searcher: Searcher
    queries: Sequence[Photograph]

    def at(self, side: int) -> Features:
        """Those of photographs that are shrunk to a longer side."""
        return IndexedFeatures(
            self.cache,
            Fitted(self.queries, side),
            lambda row: fitted(self.searcher.photograph(row), side),
            functools.partial(Keypoints.of, weights=self.weights),
        )


def read_chain(text: str) -> Chain:
    """A chain of re-ranking methods that can work on an index, such as `alpha_qe,geometric`.

    Raises:
        UserError: the text is wrong, a method lacks a package, or it needs another network.
    """
    chain = make_chain(text)
    chain.check_features(("local", "keypoints"))
    return chain
