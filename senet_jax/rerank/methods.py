"""The re-ranking methods by name, with the paper's settings, and chains of them."""

import dataclasses
import functools
from collections.abc import Callable, Iterable, Mapping

import numpy as np
import scipy.sparse

from senet_jax.rerank.cvnet import CVNetRerank
from senet_jax.rerank.diffusion import Diffusion
from senet_jax.rerank.graph import mutual_graph
from senet_jax.rerank.pairwise import PairwiseRerank, ScoredPairs, ScorePairs
from senet_jax.rerank.query_expansion import (
    DatabaseAugmentation,
    DiscriminativeQueryExpansion,
    QueryExpansion,
    in_memory,
)
from senet_jax.rerank.refinement import Refinement
from senet_jax.rerank.retrieval import Reranker, Retrieval
from senet_jax.search.database import BlockedDatabase
from senet_jax.system.errors import UserError, shown


@dataclasses.dataclass(frozen=True)
class Preset:
    """How a dataset's queries are expanded."""

    neighbours: int
    alpha: float


PRESETS: Mapping[str, Preset] = {
    "roxford5k": Preset(neighbours=5, alpha=2.0),
    "rparis6k": Preset(neighbours=20, alpha=1.0),
}
"""Source: the paper's supplement, section S1.2; the same with a million distractors."""

OTHER_DATASETS = PRESETS["roxford5k"]
"""Our choice: the paper has no value for another dataset."""


@dataclasses.dataclass(frozen=True)
class Circumstances:
    """What methods are made for, and what they may use.

    Attributes:
        dataset: whose preset counts.
        top: the length of shortlists, None for each method's own.
        graph_of: see `Diffusion`.
        keep: see `DatabaseAugmentation`.
        score_pairs: what scores the pairs of each pairwise method; empty where there are no
            photographs to look at.
        pairs_top: how many items of a list a pairwise method looks at.
        on_scored: takes the method and the pairs that it scored.
    """

    dataset: str = ""
    top: int | None = None
    graph_of: Callable[[BlockedDatabase, int], scipy.sparse.csr_array] = mutual_graph
    keep: Callable[[Iterable[np.ndarray], tuple[int, int]], np.ndarray] = in_memory
    score_pairs: Mapping[str, ScorePairs] = dataclasses.field(default_factory=dict)
    pairs_top: int = 100
    on_scored: Callable[[str, ScoredPairs], None] = lambda method, scored: None

    @property
    def preset(self) -> Preset:
        """The dataset's."""
        return PRESETS.get(self.dataset, OTHER_DATASETS)


CVNET, GEOMETRIC = "cvnet", "geometric"
PAIRWISE: Mapping[str, type[PairwiseRerank]] = {CVNET: CVNetRerank, GEOMETRIC: PairwiseRerank}
"""The methods that look at photographs."""


def _pairwise(method: str, circumstances: Circumstances) -> PairwiseRerank:
    if method not in circumstances.score_pairs:
        raise UserError(
            f"{method} looks at photographs, and there are none here; run it in an evaluation, "
            f"with --config.rerank={method}"
        )
    return PAIRWISE[method](
        circumstances.score_pairs[method],
        circumstances.pairs_top,
        functools.partial(circumstances.on_scored, method),
    )


METHODS: Mapping[str, Callable[[Circumstances], Reranker]] = {
    "aqe": lambda c: QueryExpansion(c.preset.neighbours, 0.0),
    "alpha_qe": lambda c: QueryExpansion(c.preset.neighbours, c.preset.alpha),
    "dqe": lambda c: DiscriminativeQueryExpansion(c.preset.neighbours),
    "dba": lambda c: DatabaseAugmentation(c.preset.neighbours, c.preset.alpha, c.keep),
    "refinement": lambda c: Refinement() if c.top is None else Refinement(c.top),
    "diffusion": lambda c: Diffusion(None, c.graph_of),
    "truncated_diffusion": lambda c: Diffusion(1000 if c.top is None else c.top, c.graph_of),
    **{name: functools.partial(_pairwise, name) for name in PAIRWISE},
}


def make_reranker(names: str, circumstances: Circumstances) -> Reranker:
    """The chain of the methods that a string names, `dba,alpha_qe` for instance.

    Raises:
        UserError: a name is not known, or a method cannot be made.
    """
    unknown = [name for name in names.split(",") if name not in METHODS]
    if unknown:
        raise UserError(
            f"no re-ranking method {shown(unknown[0])}; choose from {', '.join(METHODS)} and join "
            "several by commas"
        )
    methods = [METHODS[name](circumstances) for name in names.split(",")]

    def rerank(retrieval: Retrieval) -> Retrieval:
        return functools.reduce(lambda found, method: method(found), methods, retrieval)

    return rerank
