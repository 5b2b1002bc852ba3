"""CVNet's scores of pairs of photographs, many in few programs, and none of them twice."""

import collections
import functools
import itertools
import os
import time
from collections.abc import Collection, Sequence
from typing import cast

import jax
import numpy as np

from senet_jax.data.revisitop import Photograph
from senet_jax.features.cache import FeatureCache
from senet_jax.features.networks import DenseNetwork, map_size
from senet_jax.features.origin import origin_of_features
from senet_jax.features.plan import join_groups
from senet_jax.features.runner import Runner
from senet_jax.models.cvnet import PairRegion, Reranker, reranker_params
from senet_jax.rerank.journal import Journal, Key
from senet_jax.rerank.pairs import PairCount
from senet_jax.system.progress import Progress
from senet_jax.weights import Weights

# Maps are padded to multiples, so that few programs are compiled.
MAP_MULTIPLE = 2
# On two CPU cores twice as many pairs of positions take as long as compiling one program, but a
# program is kept for later runs.
PROGRAM_POSITIONS = 25_000_000
# Of how many pairs of positions the correlations are held at once. A pair of large photographs has
# ten million; two CPU cores are filled by far less.
CPU_POSITIONS, ACCELERATOR_POSITIONS = 2**18, 2**26
# Maps of a large photograph take 9 MB.
MAPS_IN_MEMORY = 16

METHOD, LABEL = "cvnet", "cvnet, maps"

Pair = tuple[Photograph, Photograph]


def map_cache(weights: Weights, folder: str | os.PathLike, limit_bytes: int) -> FeatureCache:
    """The maps that CVNet-Rerank compares; see `FeatureCache`.

    Raises:
        UserError: the weights have no re-ranker.
    """
    network = DenseNetwork(weights.architecture, weights.preprocessing)
    variables = weights.variables(network.output.extras)
    origin = origin_of_features(weights, network.settings())
    return FeatureCache(Runner(network, variables), origin, folder, limit_bytes)


class PairScores:
    """Scores pairs of a query and an item of a database.

    Every score is written beside the maps as soon as it is computed, under the keys of both maps,
    and is read from there the next time: work that was ended resumes.

    Args:
        cache: the maps, see `map_cache`.
        queries: photographs with their boxes.
        images: the database, and its distractors.
        count: counts the pairs.
    """

    def __init__(
        self,
        cache: FeatureCache,
        queries: Sequence[Photograph],
        images: Sequence[Photograph],
        count: PairCount,
    ):
        self._cache, self._queries, self._images = cache, queries, images
        self._count = count
        reranker = reranker_params(cache.runner.variables)
        self._reranker = jax.device_put(reranker, jax.local_devices()[0])

    def __call__(self, pairs: np.ndarray) -> np.ndarray:
        """The probability that both of a pair show the same: int64[p 2] -> float32[p].

        Raises:
            UnreadableImage: a photograph cannot be read.
            UserError: a box is not in its image, or the folder of the maps cannot be written.
        """
        photographs = [(self._queries[query], self._images[item]) for query, item in pairs.tolist()]
        keys = [(self._cache.key(query), self._cache.key(item)) for query, item in photographs]
        journal = Journal.of(self._cache.folder, METHOD, {})
        missing = self._count.lookup(keys, journal)
        if missing:
            self._score(dict(zip(keys, photographs, strict=True)), missing, journal)
        return np.array([journal.known[key].score for key in keys], np.float32)

    def _score(self, pairs_of: dict[Key, Pair], missing: Collection[Key], journal: Journal) -> None:
        """Scores those of the pairs that are missing, in the programs that are planned for all.

        So work that was ended has the same scores, to the bit, as work that was not.
        """
        cache, stride = self._cache, self._cache.runner.network.stride
        begun = time.monotonic()
        photographs = list(dict.fromkeys(itertools.chain(*pairs_of.values())))
        cache.plan(photographs, LABEL)
        size_of = {p: map_size(cache.size(p), stride) for p in photographs}
        sizes_of_pairs = np.array([size_of[q] + size_of[i] for q, i in pairs_of.values()])
        shapes = [tuple(shape) for shape in pair_shapes(sizes_of_pairs).tolist()]
        capacity_of = {
            shape: _capacity(count, shape) for shape, count in collections.Counter(shapes).items()
        }
        groups: dict[tuple[int, ...], list] = {}
        for shape, (key, pair) in zip(shapes, pairs_of.items(), strict=True):
            if key in missing:
                groups.setdefault(shape, []).append((key, *pair))
        of_missing = dict.fromkeys(
            photograph for group in groups.values() for _, *pair in group for photograph in pair
        )
        print(f"cvnet: {len(missing):,} pairs in {len(groups)} programs")
        cache.fill(list(of_missing), LABEL)
        self._count.feature_seconds += time.monotonic() - begun

        @functools.lru_cache(MAPS_IN_MEMORY)
        def padded_maps(photograph: Photograph, *shape: int) -> np.ndarray:
            maps = cache[photograph]["maps"]
            room = np.subtract(shape, maps.shape[1:3])
            return np.pad(maps, ((0, 0), (0, room[0]), (0, room[1]), (0, 0)))

        progress = Progress("cvnet, scores", len(missing), "pairs")
        for shape, group in groups.items():
            capacity = capacity_of[shape]
            for start in range(0, len(group), capacity):
                begun = time.monotonic()
                batch = group[start : start + capacity]
                # The last batch of a program is filled up.
                full = [*batch, *batch[:1] * (capacity - len(batch))]
                scores = _scores(
                    self._reranker,
                    np.stack([padded_maps(query, *shape[:2]) for _, query, _ in full]),
                    np.stack([padded_maps(item, *shape[2:]) for _, _, item in full]),
                    np.array([size_of[q] + size_of[i] for _, q, i in full], np.int32),
                )
                found = np.asarray(scores)[: len(batch)]
                journal.add([key for key, _, _ in batch], found, time.monotonic() - begun)
                progress.advance(len(batch))


@jax.jit
def _scores(params: dict, queries: jax.Array, keys: jax.Array, sizes: jax.Array) -> jax.Array:
    # Accelerators multiply in fewer bits unless they are told not to.
    with jax.default_matmul_precision("highest"):
        region, reranker = PairRegion(sizes), Reranker(fast=jax.default_backend() == "cpu")
        scores = reranker.apply({"params": params}, queries, keys, region, method="scores")
    return cast(jax.Array, scores)


def pair_shapes(sizes: np.ndarray) -> np.ndarray:
    """To what the maps of pairs are padded, so that few shapes are left.

    int64[p 4], height and width of the query's map, then of the item's -> int64[p 4].
    """
    rounded = -(-sizes // MAP_MULTIPLE) * MAP_MULTIPLE
    distinct, shape_of, counts = np.unique(rounded, axis=0, return_inverse=True, return_counts=True)
    joined_of, joined = join_groups(
        distinct, counts, lambda shapes: shapes.prod(axis=-1), lambda groups: PROGRAM_POSITIONS
    )
    return joined[joined_of[shape_of]]


def _capacity(count: int, shape: tuple[int, ...]) -> int:
    """How many of `count` pairs a program takes: as few as give no more batches than need be."""
    on_cpu = jax.default_backend() == "cpu"
    positions = CPU_POSITIONS if on_cpu else ACCELERATOR_POSITIONS
    most = max(1, positions // int(np.prod(shape)))
    return -(-count // -(-count // most))
