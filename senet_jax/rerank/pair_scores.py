"""CVNet's scores of pairs of photographs, many in few programs, and none of them twice."""

import collections
import functools
import itertools
import os
import pathlib
import zlib
from collections.abc import Collection, Iterable, Sequence

import jax
import numpy as np

from senet_jax.data.revisitop import Photograph
from senet_jax.data.sizes import photograph_sizes
from senet_jax.features.plan import join_groups
from senet_jax.models.cvnet import PairRegion, Reranker
from senet_jax.rerank.maps import MapCache, Size
from senet_jax.rerank.pairs import PairCount
from senet_jax.system.files import written_whole
from senet_jax.system.progress import Progress

# Maps are padded to multiples, so that few programs are compiled.
MAP_MULTIPLE = 8
# On two CPU cores so many pairs of positions take as long as compiling one program.
PROGRAM_POSITIONS = 50_000_000
# Of how many pairs of positions the correlations are held at once. A pair of large photographs has
# ten million; two CPU cores are filled by far less.
CPU_POSITIONS, ACCELERATOR_POSITIONS = 2**18, 2**26
# Maps of a large photograph take 9 MB.
MAPS_IN_MEMORY = 16

JOURNAL = "scores.csv"

Pair = tuple[Photograph, Photograph]
Key = tuple[str, str]
"""Of the maps of a pair."""


class PairScores:
    """Scores pairs of a query and an item of a database.

    Every score is written down beside the maps at once, under what the maps are known by, and is
    read from there the next time: work that was ended goes on where it was.

    Args:
        cache: the maps, and with them the network.
        queries: photographs with their boxes.
        images: the database, and its distractors.
        count: counts the pairs.
    """

    def __init__(
        self,
        cache: MapCache,
        queries: Sequence[Photograph],
        images: Sequence[Photograph],
        count: PairCount,
    ):
        self._cache, self._queries, self._images = cache, queries, images
        self._count = count

    def __call__(self, pairs: np.ndarray) -> np.ndarray:
        """The probability that both of a pair show the same: int64[p 2] -> float32[p].

        Raises:
            UnreadableImage: a photograph cannot be read.
            UserError: a box is not in its image, or the folder of the maps cannot be written.
        """
        photographs = [(self._queries[query], self._images[item]) for query, item in pairs.tolist()]
        keys = [(self._cache.key(query), self._cache.key(item)) for query, item in photographs]
        journal = _Journal(self._cache.folder / JOURNAL)
        pairs_of = dict(zip(keys, photographs, strict=True))
        missing = pairs_of.keys() - journal.scores.keys()
        self._count.compared += len(keys)
        self._count.computed += len(missing)
        if missing:
            self._score(pairs_of, missing, journal)
        return np.array([journal.scores[key] for key in keys], np.float32)

    def _map_sizes(self, pairs: Iterable[Pair]) -> dict[Photograph, Size]:
        photographs = list(dict.fromkeys(itertools.chain(*pairs)))
        sizes, _ = photograph_sizes(
            photographs, label="cvnet", skip_unreadable=False, by_header=False
        )
        return {
            photograph: self._cache.network.map_size(tuple(size))
            for photograph, size in zip(photographs, sizes.tolist(), strict=True)
        }

    def _score(
        self, pairs_of: dict[Key, Pair], missing: Collection[Key], journal: "_Journal"
    ) -> None:
        """Scores those of the pairs that are missing, in the programs that are planned for all.

        So work that was ended has the same scores, to the bit, as work that was not.
        """
        size_of = self._map_sizes(pairs_of.values())
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
        self._make_maps({p: size_of[p] for p in of_missing}, len(missing), len(groups))

        @functools.lru_cache(MAPS_IN_MEMORY)
        def padded_maps(photograph: Photograph, *shape: int) -> np.ndarray:
            maps = self._cache[photograph]
            room = np.subtract(shape, maps.shape[1:3])
            return np.pad(maps, ((0, 0), (0, room[0]), (0, room[1]), (0, 0)))

        progress = Progress("cvnet, scores", len(missing), "pairs")
        for shape, group in groups.items():
            capacity = capacity_of[shape]
            for start in range(0, len(group), capacity):
                batch = group[start : start + capacity]
                # The last batch of a program is filled up.
                full = [*batch, *batch[:1] * (capacity - len(batch))]
                scores = _scores(
                    self._cache.network.reranker,
                    np.stack([padded_maps(query, *shape[:2]) for _, query, _ in full]),
                    np.stack([padded_maps(item, *shape[2:]) for _, _, item in full]),
                    np.array([size_of[q] + size_of[i] for _, q, i in full], np.int32),
                )
                journal.add([key for key, _, _ in batch], np.asarray(scores)[: len(batch)])
                progress.advance(len(batch))

    def _make_maps(self, size_of: dict[Photograph, Size], pairs: int, programs: int) -> None:
        needed = sum(self._cache.bytes_of_maps(size) for size in size_of.values())
        limit = self._cache.limit_bytes
        print(
            f"cvnet: {pairs:,} pairs in {programs} programs; the maps of {len(size_of):,} images "
            f"are {needed / 2**30:.2f} GiB, and {self._cache.folder} holds {limit / 2**30:.2f}"
            + ("" if needed <= limit else ": SOME WILL BE COMPUTED MORE THAN ONCE")
        )
        if needed <= limit:
            missing = [photograph for photograph in size_of if photograph not in self._cache]
            progress = Progress("cvnet, maps", len(missing), "images")
            for photograph in missing:
                self._cache.make(photograph)
                progress.advance()


@jax.jit
def _scores(params: dict, queries: jax.Array, keys: jax.Array, sizes: jax.Array) -> jax.Array:
    # Accelerators multiply in fewer bits unless they are told not to.
    with jax.default_matmul_precision("highest"):
        region = PairRegion(sizes)
        return Reranker().apply({"params": params}, queries, keys, region, method="scores")


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


class _Journal:
    """Scores by the keys of both maps, one line each with its CRC-32; broken lines are cut out."""

    def __init__(self, path: pathlib.Path):
        self._path = path
        self.scores: dict[Key, float] = {}
        lines = path.read_bytes().splitlines(keepends=True) if path.exists() else []
        whole = [line for line in lines if self._take(line)]
        if whole != lines:
            broken = f"{len(lines) - len(whole)} of {len(lines)}"
            print(f"{path}: {broken} lines are broken; their pairs are scored anew")
            with written_whole(path) as temporary:
                temporary.write_bytes(b"".join(whole))

    def _take(self, line: bytes) -> bool:
        """Takes the score of a line, if it is whole."""
        content, comma, checksum = line.rpartition(b",")
        if not comma or checksum != b"%08x\n" % zlib.crc32(content):
            return False
        query, item, score = content.decode().split(",")
        self.scores[query, item] = float(score)
        return True

    def add(self, keys: Sequence[Key], scores: np.ndarray) -> None:
        """Writes scores down."""
        lines = []
        for (query, item), score in zip(keys, scores.tolist(), strict=True):
            self.scores[query, item] = score
            content = f"{query},{item},{score:.9g}"
            lines.append(f"{content},{zlib.crc32(content.encode()):08x}\n")
        with self._path.open("a") as file:
            file.writelines(lines)
            file.flush()
            os.fsync(file.fileno())
