"""Query expansion: a query learns from what it found, and asks again.

Sources: Chum et al., "Total Recall" (ICCV 2007), average query expansion; Radenović et al.,
"Fine-tuning CNN Image Retrieval with No Human Annotation" (TPAMI 2019), section 3.4, its weights
similarity^alpha; Arandjelović and Zisserman, "Three things everyone should know to improve object
retrieval" (CVPR 2012), section 3, discriminative query expansion; Turcot and Lowe, "Better matching
with fewer features" (ICCV Workshops 2009), database-side augmentation.
"""

import dataclasses
import functools
from collections.abc import Iterator
from typing import Any, ClassVar

import numpy as np

from senet_jax.rerank.method import FOUND_ANEW, DatabaseStage, Method, Prepared, Resources
from senet_jax.rerank.neighbours import check_recall, nearest_others, recall_setting
from senet_jax.rerank.retrieval import (
    Retrieval,
    search,
    shortlists,
)
from senet_jax.search.database import BlockedDatabase, read_items
from senet_jax.system.optional import optional_import
from senet_jax.system.progress import Progress
from senet_jax.system.settings import setting

# Source: the paper's supplement, section S1.2; the same with a million distractors. That other
# datasets have the first of each is our choice: the paper has no value for them.
_NEIGHBOURS = {"roxford5k": 5, "rparis6k": 20}
_ALPHAS = {"roxford5k": 2.0, "rparis6k": 1.0}


def _neighbours(meaning: str):
    return setting(
        _NEIGHBOURS["roxford5k"],
        meaning,
        at_least=0,
        at_most=10_000,
        by_dataset=_NEIGHBOURS,
    )


def _alpha():
    return setting(
        _ALPHAS["roxford5k"],
        "a neighbour's weight is its similarity to this power",
        at_least=0,
        at_most=100,
        by_dataset=_ALPHAS,
    )


def expanded_queries(retrieval: Retrieval, neighbours: int, alpha: float) -> np.ndarray:
    """The unit sums of each query and its nearest items, weighted by similarity^alpha.

    The query has the weight 1, a negative similarity counts as 0. With alpha 0 every neighbour has
    the weight 1, whatever its similarity. Without neighbours the queries stay as they are.

    Args:
        retrieval: the queries and their lists.
        neighbours: how many items of a list enter; of a shorter one, all.
        alpha: at least 0.

    Returns:
        float32[q d].
    """
    if neighbours == 0:
        return retrieval.queries
    from senet_jax.rerank.unit_sums import unit_sums

    expanded = np.empty_like(retrieval.queries)
    for shortlist in shortlists(retrieval, neighbours):
        expanded[shortlist.rows] = unit_sums(
            shortlist.queries, shortlist.descriptors, np.float32(alpha)
        )
    return expanded


@dataclasses.dataclass(frozen=True)
class QueryExpansion(Method):
    """Query expansion weighted by similarity^alpha.

    It searches again with the `expanded_queries`, if there are to be neighbours.
    """

    neighbours: int = _neighbours("how many of the first items of its list a query learns from")
    alpha: float = _alpha()
    ties: ClassVar[str] = FOUND_ANEW

    def rerank(self, retrieval: Retrieval) -> Retrieval:
        """New queries and what they find."""
        if self.neighbours == 0:
            return retrieval
        queries = expanded_queries(retrieval, self.neighbours, self.alpha)
        return search(queries, retrieval.database, retrieval.length)


@dataclasses.dataclass(frozen=True)
class AverageQueryExpansion(Method):
    """Average query expansion, where every neighbour has the same weight."""

    neighbours: int = _neighbours("how many of the first items of its list a query learns from")
    ties: ClassVar[str] = FOUND_ANEW

    def rerank(self, retrieval: Retrieval) -> Retrieval:
        """New queries and what they find."""
        return QueryExpansion(self.neighbours, 0.0).rerank(retrieval)


def augmented_rows(
    database: BlockedDatabase, neighbours: int, alpha: float, recall: float = 1.0
) -> Iterator[np.ndarray]:
    """Every descriptor of a database expanded by its nearest others, a batch of rows at a time.

    See `expanded_queries`; the item itself has the weight 1 and is not among its neighbours. In
    memory there is only one batch, and all lists where the recall is below 1; see `nearest_others`.

    Yields:
        float32[b d], in the order of the items.
    """
    for found in nearest_others(database, neighbours, "augmenting the database", recall):
        yield expanded_queries(found.asked, neighbours, alpha)


@dataclasses.dataclass(frozen=True)
class DatabaseAugmentation(Method):
    """Database-side augmentation: every descriptor expanded by its neighbours.

    It searches the `augmented_rows` with the same queries, if there are to be neighbours.
    """

    neighbours: int = _neighbours("how many other items a descriptor learns from")
    alpha: float = _alpha()
    recall: float = recall_setting()
    ties: ClassVar[str] = FOUND_ANEW

    def __post_init__(self):
        super().__post_init__()
        check_recall(self.recall)

    def prepare(self, database: BlockedDatabase, resources: Resources) -> Prepared:
        """Augments the database."""
        if self.neighbours == 0 or database.size == 0:
            return Prepared(database, database, lambda retrieval: retrieval)

        settings = dataclasses.asdict(self)

        def pieces() -> Iterator[dict[str, np.ndarray]]:
            for rows in augmented_rows(database, **settings):
                yield {"rows": rows}

        stage = DatabaseStage("dba", settings, database, pieces)
        augmented = dataclasses.replace(database, parts=(resources.keep(stage)["rows"],))
        return Prepared(database, augmented, functools.partial(_search_in, augmented))


def _search_in(database: BlockedDatabase, retrieval: Retrieval) -> Retrieval:
    return search(retrieval.queries, database, retrieval.length)


@dataclasses.dataclass(frozen=True)
class DiscriminativeQueryExpansion(Method):
    """Discriminative query expansion, by a linear SVM (scikit-learn).

    It searches again with the normal between the first and last items of a list. The query counts
    among the first. A query whose list has nothing beyond its positives stays as it is. The numbers
    are ours: the paper takes verified items and 200 negatives of long lists.

    Raises:
        UserError: scikit-learn is not installed.
    """

    positives: int = _neighbours("how many of the first items of its list a query is like")
    negatives: int = setting(
        50, "how many of the last items it is unlike", at_least=0, at_most=10_000
    )
    ties: ClassVar[str] = FOUND_ANEW

    def __post_init__(self):
        super().__post_init__()
        _import_linear_svm()  # Now, and not after the methods that come before this one.

    def rerank(self, retrieval: Retrieval) -> Retrieval:
        """New queries and what they find."""
        from senet_jax.rerank.unit_sums import unit

        # In the primal form the solver draws no random numbers.
        svm = _import_linear_svm()(dual=False)
        queries = retrieval.queries.copy()
        progress = Progress("separating", len(queries), "queries")
        for query in range(len(queries)):
            items = retrieval.ranked.items(query)
            items = items[~np.isin(items, list(retrieval.database.unranked))]
            positives, others = np.split(items, [self.positives])
            negatives = others[len(others) - min(self.negatives, len(others)) :]
            if negatives.size:
                descriptors = read_items(retrieval.database, np.append(positives, negatives))
                samples = np.concatenate([queries[query : query + 1], descriptors])
                svm.fit(samples, np.arange(len(samples)) <= len(positives))
                queries[query] = unit(svm.coef_[0])
            progress.advance()
        return search(queries, retrieval.database, retrieval.length)


def _import_linear_svm() -> Any:
    with optional_import("dqe", "discriminative query expansions"):
        from sklearn.svm import LinearSVC
    return LinearSVC
