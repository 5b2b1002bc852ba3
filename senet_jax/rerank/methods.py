"""The re-ranking methods by name, and chains of them."""

import dataclasses
import functools
from collections.abc import Container, Mapping
from typing import Any

from senet_jax.rerank.cvnet import CVNetRerank
from senet_jax.rerank.diffusion import Diffusion, TruncatedDiffusion
from senet_jax.rerank.given import GivenScores
from senet_jax.rerank.gv import AffineVerification
from senet_jax.rerank.lightglue import LightGlueMatching
from senet_jax.rerank.method import Method, Prepared, Reranker, Resources
from senet_jax.rerank.query_expansion import (
    AverageQueryExpansion,
    DatabaseAugmentation,
    DiscriminativeQueryExpansion,
    QueryExpansion,
)
from senet_jax.rerank.refinement import Refinement
from senet_jax.rerank.retrieval import Retrieval
from senet_jax.rerank.verification import GeometricVerification
from senet_jax.search.database import BlockedDatabase
from senet_jax.system.errors import UserError
from senet_jax.system.settings import settings_of
from senet_jax.system.spelling import Spelled, parse_spelled, settings_help, spelled

METHODS: dict[str, type[Method]] = {
    "aqe": AverageQueryExpansion,
    "alpha_qe": QueryExpansion,
    "dqe": DiscriminativeQueryExpansion,
    "dba": DatabaseAugmentation,
    "refinement": Refinement,
    "diffusion": Diffusion,
    "truncated_diffusion": TruncatedDiffusion,
    "cvnet": CVNetRerank,
    "geometric": GeometricVerification,
    "lightglue": LightGlueMatching,
    "gv": AffineVerification,
    "pairs": GivenScores,
}
"""A method from elsewhere is added here: `METHODS["name"] = Class`."""


@dataclasses.dataclass(frozen=True)
class Chain(Reranker):
    """Methods one after the other, each on what the one before it has found.

    Attributes:
        spelled: the methods as they are written.
        methods: the methods, with all of their settings.
    """

    spelled: tuple[Spelled, ...]
    methods: tuple[Method, ...]

    def __str__(self) -> str:
        """The method string."""
        return ",".join(map(str, self.spelled))

    def to_json(self) -> list[dict[str, Any]]:
        """Each method with all of its settings and its rule of ties, for reports."""
        return [
            {"method": text.name, "settings": dataclasses.asdict(method), "ties": method.ties}
            for text, method in zip(self.spelled, self.methods, strict=True)
        ]

    @property
    def needs(self) -> set[str]:
        """The kinds of features that the methods take."""
        return {method.needs for method in self.methods if method.needs}

    def check_features(self, kinds: Container[str]) -> None:
        """Checks that there are features for all methods, before any work is done.

        Args:
            kinds: of the features that there are.

        Raises:
            UserError: a method takes others.
        """
        for text, method in zip(self.spelled, self.methods, strict=True):
            if method.needs and method.needs not in kinds:
                raise UserError(
                    f"{text.name} looks at photographs (features of the kind {method.needs}), and "
                    f"there are none here; run it in an evaluation, with --config.rerank='{text}'"
                )

    def prepare(self, database: BlockedDatabase, resources: Resources) -> Prepared:
        """Does the database stages, each on the database that the one before it has left."""
        self.check_features(resources.features)
        stages: list[Prepared] = []
        for method in self.methods:
            stages.append(method.prepare(stages[-1].database if stages else database, resources))

        def rerank(retrieval: Retrieval) -> Retrieval:
            return functools.reduce(lambda found, stage: stage(found), stages, retrieval)

        return Prepared(database, stages[-1].database, rerank)


def make_chain(text: str, dataset: str = "", config: Mapping[str, Any] | None = None) -> Chain:
    """The methods that a string names, such as `dba(neighbours=10),alpha_qe`.

    A setting that the string leaves out has the dataset's or the config's default.

    Args:
        text: see `parse_spelled`.
        dataset: whose defaults count; another one than those of the paper has the general ones.
        config: of an evaluation, which has some of the defaults.

    Raises:
        UserError: the string is wrong, or a method lacks a package.
    """
    found = parse_spelled(text, METHODS, "re-ranking method")
    return Chain(tuple(found), tuple(_build(each, dataset, config or {}) for each in found))


def _build(text: Spelled, dataset: str, config: Mapping[str, Any]) -> Method:
    method = METHODS[text.name]
    defaults = {each.name: each.default_for(dataset, config) for each in settings_of(method)}
    return method(**defaults | dict(text.given))


def method_text(method: Method) -> str:
    """The string of a method that gives it again, whatever the dataset."""
    [name] = [name for name, kind in METHODS.items() if kind is type(method)]
    return str(spelled(name, method))


def datasets_with_defaults() -> list[str]:
    """The datasets for which a setting has a default of its own."""
    found = (each for method in METHODS.values() for each in settings_of(method))
    return list(dict.fromkeys(name for each in found for name in each.described.by_dataset))


def methods_help() -> str:
    """Every method with its settings, for `--help`."""
    return settings_help(
        METHODS, lambda name: "In evaluations only." if METHODS[name].needs else ""
    )
