"""The first items of ranked lists, found beside whatever else goes through a database's blocks."""

import jax
import numpy as np

from senet_jax.search.database import BlockedDatabase
from senet_jax.search.ranked_list import FoundLists, RankedList
from senet_jax.search.scores import gathered

_AFTER_ALL_ITEMS = np.iinfo(np.int32).max


class BestItems:
    """Collects each query's best items from the scores of blocks; see `scores_of_blocks`.

    Only what scores higher than the last of a full list is looked at, so that all but the first
    blocks take little time: less than a hundredth of the product that made their scores.

    Args:
        query_count: how many queries there are.
        length: how many items of each are kept, at least 1.
    """

    def __init__(self, query_count: int, length: int):
        self._length = length
        nothing = np.zeros(0, np.float32), np.zeros(0, np.int32)
        # For each query arrays of scores and items; the first ones are sorted, best first.
        self._found = [[nothing] for _ in range(query_count)]
        self._lowest = np.full((query_count, 1), -np.inf, np.float32)

    def add(self, start: int, scores: jax.Array) -> None:
        """Takes the next block; items have to come in ascending order.

        Args:
            start: the block's first item.
            scores: float32[q b], -inf for rows that are not ranked by score.
        """
        of_block = np.asarray(scores)
        is_higher = of_block > self._lowest
        for query in np.flatnonzero(is_higher.any(axis=1)).tolist():
            rows = np.flatnonzero(is_higher[query])
            found = self._found[query]
            found.append((of_block[query, rows], (start + rows).astype(np.int32)))
            if sum(len(items) for _, items in found[1:]) >= self._length:
                self._sort(query)

    def lists(self, database: BlockedDatabase) -> FoundLists:
        """The lists, once all blocks were taken; where several processes share them, of all.

        Among equals the lower index is first. Items without a rank of their own come last, by their
        index.

        Args:
            database: whose blocks they were.

        Returns:
            Ranks int32[q min(length, n)].
        """
        shape = len(self._found), self._length
        scores = np.full(shape, -np.inf, np.float32)
        items = np.full(shape, _AFTER_ALL_ITEMS, np.int32)
        for query in range(len(self._found)):
            self._sort(query)
            [(of_query, found)] = self._found[query]
            scores[query, : len(of_query)], items[query, : len(found)] = of_query, found
        scores, items = (
            np.concatenate(gathered(part, database), axis=1) for part in (scores, items)
        )
        order = np.lexsort((items, -scores))[:, : min(self._length, database.size)]
        scores, items = (np.take_along_axis(part, order, axis=1) for part in (scores, items))
        unranked = np.unique(np.array([*database.unranked], np.int32))
        ranked_by_score = database.size - len(unranked)
        items[:, ranked_by_score:] = unranked[: max(items.shape[1] - ranked_by_score, 0)]
        scores[:, ranked_by_score:] = np.nan
        return FoundLists(RankedList(items, database.size), scores)

    def _sort(self, query: int) -> None:
        """Sorts what was found for a query and drops what is beyond the length."""
        scores, items = (np.concatenate(parts) for parts in zip(*self._found[query], strict=True))
        order = np.argsort(-scores, kind="stable")[: self._length]
        self._found[query] = [(scores[order], items[order])]
        if len(order) == self._length:
            self._lowest[query] = scores[order[-1]]
