"""The neighbours of every item of a database: exactly, or as many of them as a user asks for.

Exact search takes as many dot products as the square of the database's size, hours for a million.
Inverted lists take some hundredths of them. How many lists have to be probed is found out on a
sample of rows, whose mutual neighbours are searched exactly: of two items that are among each
other's nearest, each finds the other if it probes its list, and only then.
"""

import dataclasses
import math
import sys
from collections.abc import Iterator
from typing import Any

import numpy as np

from senet_jax.rerank.retrieval import Retrieval, shortlists, similarities
from senet_jax.search.database import BlockedDatabase, read_items
from senet_jax.search.inverted_lists import InvertedLists, import_faiss
from senet_jax.search.ranked_list import NO_MORE, FoundLists, RankedList
from senet_jax.system.progress import Progress, clear
from senet_jax.system.settings import setting

BATCH_ROWS = 1024
"""How many rows ask at a time: more take memory, fewer read the database more often."""
SAMPLED_ROWS = 4096
"""How many rows are searched exactly to learn how many lists have to be probed."""
_LOOKED_AT = 4
"""How many neighbours of a sampled row are searched exactly as well."""
SMALL_DATABASE = 4 * SAMPLED_ROWS
"""Up to this size all rows are searched exactly: nothing would be saved."""
MOST_PROBED = 0.25
"""Of the lists: where more of them have to be probed, exact search is not much slower."""


def recall_setting() -> Any:
    """The setting of methods that take the neighbours of every item."""
    return setting(
        1.0,
        "the share of mutual neighbours that has to be found; below 1 by faiss, in far less time "
        f"where there are more than {SMALL_DATABASE:,} rows",
        at_least=0.5,
        at_most=1,
    )


def check_recall(recall: float) -> None:
    """Checks that there is what a recall takes, before any work is done.

    Raises:
        UserError: it is below 1 and faiss is not installed.
    """
    if recall < 1:
        import_faiss()


@dataclasses.dataclass(frozen=True, eq=False)
class Neighbours:
    """Some rows of a database and their nearest others.

    Attributes:
        asked: the rows and their lists int[b m].
        similarities: float32[b m]; NaN where a list has ended, and for items without a rank.
    """

    asked: Retrieval
    similarities: np.ndarray


def nearest_others(
    database: BlockedDatabase, count: int, label: str, recall: float = 1.0
) -> Iterator[Neighbours]:
    """Searches the database for each of its own items, without finding the item itself.

    An item without a rank by score asks with a row of zeros, or finds nothing.

    Args:
        database: what asks and what is searched.
        count: how many neighbours to find; of a smaller database, all.
        label: of the line of progress.
        recall: the share of the mutual neighbours of a sample of rows that is found; with 1 the
            search is exact. What it comes to is printed.

    Yields:
        The rows that ask, in their order, and their lists int[b min(count, n - 1)].

    Raises:
        UserError: faiss is needed and not installed.
    """
    if recall < 1 and database.size > SMALL_DATABASE:
        found = _by_lists(database, count, label, recall)
        if found is not None:
            yield from _others_found(database, found, count)
            return
    for items, ranked in _exactly(database, np.arange(database.size), count, label):
        asked = Retrieval(_rows(database, items), database, ranked)
        products = np.full(ranked.ranks.shape, np.nan, np.float32)
        for shortlist in shortlists(asked, asked.length):
            # Equal rows have equal products of each pair alone, and not those of matrices.
            of_pairs = similarities(shortlist.queries, shortlist.descriptors)
            products[shortlist.rows] = np.where(shortlist.are_ranked, of_pairs, np.float32(np.nan))
        yield Neighbours(asked, products)


def _exactly(
    database: BlockedDatabase, items: np.ndarray, count: int, label: str
) -> Iterator[tuple[np.ndarray, RankedList]]:
    """Batches of items, and their nearest others int32[b min(count, n - 1)]."""
    from senet_jax.search.exact import top_k

    progress = Progress(label, len(items), "rows")
    for batch in _batches(items):
        ranks = top_k(_rows(database, batch), database, count + 1).ranks
        order = _order_of_others(ranks, batch, min(count, database.size - 1))
        yield batch, RankedList(np.take_along_axis(ranks, order, axis=1), database.size)
        progress.advance(len(batch))


def _by_lists(
    database: BlockedDatabase, count: int, label: str, recall: float
) -> FoundLists | None:
    """The nearest items of all, the items themselves among them: int32[n count + 1].

    None where the recall takes so many probes that exact search is not much slower, and where the
    sample has no mutual neighbours.
    """
    database = dataclasses.replace(database, share=(0, 1))  # Each process does everything.
    pairs = mutual_sample(database, count)
    if not len(pairs):
        return None
    lists = InvertedLists.learned(database)
    needed = _needed_probes(lists, pairs)
    # By two standard errors of the sample more than is asked for.
    share = min(1, recall + 2 * math.sqrt(recall * (1 - recall) / len(pairs)))
    probes = int(needed[math.ceil(share * len(pairs)) - 1])
    is_worth_it = probes <= MOST_PROBED * len(lists.centroids)
    if not Progress.quiet:
        reached = 100 * float((needed <= probes).mean())
        asked = f"recall={recall:g} is asked for"
        instead = "" if is_worth_it else ": all rows are searched exactly"
        clear()
        print(
            f"{label}: {probes:,} of {len(lists.centroids):,} lists find {reached:.1f} % of "
            f"{len(pairs):,} mutual neighbours of a sample, {asked}{instead}",
            file=sys.stderr,
            flush=True,
        )
    if not is_worth_it:
        return None
    progress = Progress(label, database.size - len(set(database.unranked)), "rows")
    return lists.nearest(probes, count + 1, progress.advance)


def _others_found(database: BlockedDatabase, found: FoundLists, count: int) -> Iterator[Neighbours]:
    """What was found, a batch at a time and without the items themselves."""
    for batch in _batches(np.arange(database.size)):
        ranks, products = found.ranked.ranks[batch], found.similarities[batch]
        order = _order_of_others(ranks, batch, min(count, database.size - 1))
        ranks, products = (np.take_along_axis(each, order, axis=1) for each in (ranks, products))
        ranked = RankedList(ranks, database.size)
        yield Neighbours(Retrieval(_rows(database, batch), database, ranked), products)


def _order_of_others(ranks: np.ndarray, items: np.ndarray, count: int) -> np.ndarray:
    """Where in lists of one item more than is wanted the others stand: int[b count].

    Of many equal rows an item may not find itself: its last neighbour goes instead.
    """
    return np.argsort(ranks == items[:, None], axis=1, kind="stable")[:, :count]


def mutual_sample(database: BlockedDatabase, count: int, seed: int = 0) -> np.ndarray:
    """Mutual neighbours of random rows, by exact search.

    Of each row only a few neighbours are looked at: the pairs of one row are alike, and many rows
    tell more than many pairs.

    Args:
        database: whose items they are.
        count: how many nearest others of an item count.
        seed: of the choice.

    Returns:
        int[m 2], a row of the sample and another.
    """
    rng = np.random.default_rng(seed)
    ranked = np.setdiff1d(np.arange(database.size), list(database.unranked))
    sampled = rng.permutation(ranked)[: SAMPLED_ROWS // (1 + _LOOKED_AT)]
    lists = _all_lists(database, sampled, count)
    chosen = rng.permuted(lists, axis=1)[:, :_LOOKED_AT]
    pairs = np.stack([np.repeat(sampled, chosen.shape[1]), chosen.ravel()], axis=1)
    pairs = pairs[np.isin(pairs[:, 1], ranked)]
    others = np.unique(pairs[:, 1])
    lists = _all_lists(database, others, count)
    are_mutual = lists[np.searchsorted(others, pairs[:, 1])] == pairs[:, :1]
    return pairs[are_mutual.any(axis=1)]


def _all_lists(database: BlockedDatabase, items: np.ndarray, count: int) -> np.ndarray:
    found = _exactly(database, items, count, "searching a sample exactly")
    width = max(min(count, database.size - 1), 0)
    return np.concatenate([np.zeros((0, width), np.int32), *(each.ranks for _, each in found)])


def _needed_probes(lists: InvertedLists, pairs: np.ndarray) -> np.ndarray:
    """How many probes it takes that both of a pair find each other: int[m], ascending.

    Args:
        lists: that are probed.
        pairs: int[m 2], mutual neighbours.
    """
    items, slots = np.unique(pairs, return_inverse=True)
    similarities = read_items(lists.database, items) @ lists.centroids.T
    own = similarities.argmax(axis=1)
    needed = np.zeros(len(pairs), int)
    first, second = slots.reshape(-1, 2).T
    for asking, asked in ((first, second), (second, first)):
        of_asking = similarities[asking]
        of_list = np.take_along_axis(of_asking, own[asked][:, None], axis=1)
        needed = np.maximum(needed, 1 + (of_asking > of_list).sum(axis=1))
    return np.sort(needed)


def _batches(items: np.ndarray) -> list[np.ndarray]:
    return [items[start : start + BATCH_ROWS] for start in range(0, len(items), BATCH_ROWS)]


def _rows(database: BlockedDatabase, items: np.ndarray) -> np.ndarray:
    """float32[b d], zeros for items without a rank by score."""
    are_ranked = ~np.isin(items, list(database.unranked))
    return read_items(database, np.where(are_ranked, items, NO_MORE))
