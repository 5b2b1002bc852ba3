"""Answers queries in an index that is opened once: describes, searches, re-ranks."""

import dataclasses
import functools
import itertools
import pathlib
import threading
from collections.abc import Mapping, Sequence

import numpy as np

from senet_jax.data.revisitop import Photograph
from senet_jax.features.cache import FeatureCache
from senet_jax.features.extract import extract_batches, plan_job
from senet_jax.features.few_shapes import in_few_shapes
from senet_jax.features.local_features import LocalFeatures
from senet_jax.features.runner import Describer
from senet_jax.features.scales import scales_of
from senet_jax.features.whitening import local_feature_cache
from senet_jax.index.find import Hit, find
from senet_jax.index.photographs import ShrunkPhotograph
from senet_jax.index.store import Index, open_index
from senet_jax.rerank.method import DatabaseStage, Resources, in_memory
from senet_jax.rerank.methods import Chain, make_chain
from senet_jax.rerank.retrieval import Retrieval, read_items
from senet_jax.search.ranked_list import NO_MORE, RankedList

RERANKED = 1000
"""How many rows of a list a re-ranking is given, as in evaluations."""
LOCAL = "local"
"""The folder of an index in which the local features of its photographs are kept."""
LOCAL_FEATURES_BYTES = 4 * 2**30


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
                features=self._features(photographs) if chain.needs else {},
            )
            reranked = chain.prepare(database, resources)(retrieval).ranked
        return [
            self._answers(reranked.items(query), descriptors[query], found[query], top)
            for query in range(len(rows))
        ]

    def local_features(self, photographs: Sequence[Photograph]) -> list[LocalFeatures]:
        """The local features of queries, which are not kept."""
        with self._reranking:
            return self._local_features(photographs)

    def local_features_of(self, row: int) -> LocalFeatures:
        """Those of a photograph of the index, which are kept in its folder."""
        with self._reranking:
            return LocalFeatures.of(self._local[self.photograph(row)])

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

    def _features(self, photographs: Sequence[Photograph]) -> dict[str, "IndexedFeatures"]:
        return {"local": IndexedFeatures(self, self._local, self._local_features(photographs))}

    def _local_features(self, photographs: Sequence[Photograph]) -> list[LocalFeatures]:
        return [LocalFeatures.of(value) for value in self._local.compute(photographs)]

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


@dataclasses.dataclass(frozen=True, eq=False)
class IndexedFeatures:
    """The local features of some queries and of all photographs of an index, see `Features`.

    Attributes:
        searcher: knows the photographs.
        cache: makes and keeps those of the index.
        queries: those of the queries.
    """

    searcher: Searcher
    cache: FeatureCache
    queries: Sequence[LocalFeatures]

    def prepare(self, pairs: np.ndarray) -> None:
        """Makes those of the items of pairs, in batches."""
        rows = dict.fromkeys(pairs[:, 1].tolist())
        self.cache.fill([self.searcher.photograph(row) for row in rows], "local features")

    def query(self, index: int) -> LocalFeatures:
        """Those of a query."""
        return self.queries[index]

    def item(self, index: int) -> LocalFeatures:
        """Those of a row of the index."""
        return LocalFeatures.of(self.cache[self.searcher.photograph(index)])


def read_chain(text: str) -> Chain:
    """A chain of re-ranking methods that can work on an index, such as `alpha_qe,geometric`.

    Raises:
        UserError: the text is wrong, a method lacks a package, or it needs another network.
    """
    chain = make_chain(text)
    chain.check_features(("local",))
    return chain
