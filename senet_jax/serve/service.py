"""What a server answers: searches, matched points, and pictures."""

import dataclasses
import threading
import time
from collections.abc import Sequence

import numpy as np

from senet_jax.data.transforms import box_slices
from senet_jax.index.photographs import Box
from senet_jax.index.searcher import Answer, Searcher, read_chain
from senet_jax.rerank.matches import Matches
from senet_jax.rerank.methods import Chain
from senet_jax.rerank.pairwise import PairwiseMethod
from senet_jax.rerank.verification import GeometricVerification
from senet_jax.serve.kept import Kept
from senet_jax.serve.photographs import Known, Photographs
from senet_jax.serve.similarity import SimilarityPictures

MOST_RESULTS = 200
DESCRIPTORS_KEPT = 256
"""So that a query is described once, though it is searched with and without re-ranking."""


@dataclasses.dataclass(frozen=True, eq=False)
class Found:
    """What a search has found.

    Attributes:
        answers: the photographs, best first.
        seconds: what the parts of it took: `describe`, `search`.
    """

    answers: Sequence[Answer]
    seconds: dict[str, float]


class Service:
    """Answers questions about photographs; any number of threads may ask.

    Args:
        searcher: of the index.
        rerank: the re-ranking that a search may ask for, see `read_chain`.

    Attributes:
        searcher: of the index.
        photographs: those that may be asked about.
        chain: of the re-ranking.

    Raises:
        UserError: the re-ranking is wrong, or weights that it takes are not there.
    """

    def __init__(self, searcher: Searcher, rerank: str):
        self.searcher, self.photographs = searcher, Photographs(searcher)
        self.chain: Chain = read_chain(rerank)
        searcher.check(self.chain)
        self._descriptors: Kept[np.ndarray] = Kept(DESCRIPTORS_KEPT, len)
        self._similarity = SimilarityPictures(searcher.weights)
        self._drawing = threading.Lock()

    def search(self, query: Known, box: Box | None, top: int, rerank: bool) -> Found:
        """Finds what is most similar to a photograph, or to a part of it.

        Raises:
            UserError: the photograph cannot be read, or the box is none of it.
        """
        seconds, start = {}, time.monotonic()
        photographs = [query.part(box)]
        descriptors = self._descriptors.made(
            (query.id, box), lambda: self.searcher.describe(photographs)
        )
        seconds["describe"] = time.monotonic() - start
        start = time.monotonic()
        if rerank:
            [answers] = self.searcher.rerank(photographs, descriptors, top, self.chain)
        else:
            [answers] = self.searcher.search(descriptors, top)
        seconds["search"] = time.monotonic() - start
        return Found(answers, seconds)

    def matches(self, query: Known, box: Box | None, item: Known) -> Matches:
        """The points that a photograph, or a part of it, has in common with one of the index.

        Raises:
            UserError: one of them cannot be read, or the box is none of it.
        """
        other = item.photograph if item.row is None else None
        return self.searcher.matches(self._matcher, query.part(box), other, item.row)

    @property
    def _matcher(self) -> PairwiseMethod:
        """The last method of the chain that compares pairs."""
        local = [m for m in self.chain.methods if isinstance(m, PairwiseMethod)]
        return local[-1] if local else GeometricVerification()

    def similarity(self, query: Known, box: Box | None, item: Known) -> tuple[bytes, bytes]:
        """Where two photographs are alike, as two JPEGs: the query's part, and the item.

        Raises:
            UserError: one of them cannot be read, or the box is none of it.
        """
        with self._drawing:
            image = query.photograph.whole()
            if box is not None:
                image = image[box_slices(box, *image.shape[:2])]
            return self._similarity(image, item.photograph.whole())
