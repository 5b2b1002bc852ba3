"""CVNet: a trunk whose pooling power is learned, and a re-ranker, which its weights may lack.

Its checkpoints keep the network as `encoder_q.`, under the names of SENet's authors, with the
re-ranker beside it; a bare network under those names is read as well.
"""

import dataclasses
from collections.abc import Collection, Mapping
from typing import Any, Literal

from senet_jax.models.architecture import DEPTHS, Architecture
from senet_jax.models.checkpoint_keys import Naming, Place, Renaming, key_by_module
from senet_jax.models.families.reranker import (
    RERANKER,
    RERANKER_MODULES,
    reranker_output,
    reranker_shapes,
)
from senet_jax.models.families.resnet import (
    AUTHORS_BLOCKS,
    TRUNK_ALLOWS,
    TRUNK_MODULES,
    authors_naming,
    has_depths,
    random_variables,
    stage3_output,
    trunk_output,
)
from senet_jax.models.family import Family


@dataclasses.dataclass(frozen=True, kw_only=True)
class CVNetSettings(Architecture):
    """CVNet-Global, and the re-ranker of its trunk.

    Attributes:
        self_similarity: there is none.
        head: generalised-mean pooling whose power is a parameter, and a linear layer.
    """

    self_similarity: None = None
    head: Literal["gem_learnable"] = "gem_learnable"


_MODULES: tuple[Renaming, ...] = (*TRUNK_MODULES, (r"pool", "head.pool"))
_ENCODER = "encoder_q."


_encoder_key = key_by_module(_MODULES, prefix=_ENCODER)
_reranker_key = key_by_module(RERANKER_MODULES)


def _prefix(before_blocks: str, names: Collection[str]) -> str | None:
    """The encoder's prefix is part of the names where there is more of CVNet than an encoder."""
    outer = before_blocks.removesuffix(_ENCODER)
    modules = (f"{before_blocks}head.pool.", f"{outer}conv2ds.", f"{outer}cv_learner.")
    is_cvnet = outer != before_blocks and any(name.startswith(modules) for name in names)
    return outer if is_cvnet else None


_CVNET = Naming(
    "cvnet",
    lambda path: _encoder_key(path) or _reranker_key(path),
    lambda keys: any(key.startswith(_ENCODER) for key in keys),
    place=Place(AUTHORS_BLOCKS, _prefix),
    training_set="GLDv2-clean",
    licence="none given",
)


def _build(settings: CVNetSettings, **options: Any) -> Any:
    from senet_jax.models.cvnet import CVNetGlobal
    from senet_jax.models.layers import LayerOptions  # Flax takes a second to import.

    return CVNetGlobal(settings, LayerOptions(**options))


def _random(settings: CVNetSettings, seed: int) -> Mapping[str, Any]:
    from senet_jax.models.random_weights import random_reranker

    variables = random_variables(settings, seed)
    reranker = random_reranker(settings, variables, seed)
    return {**variables, "params": {**variables["params"], RERANKER: reranker}}


FAMILY = Family(
    name="cvnet",
    settings=CVNetSettings,
    build=_build,
    gives={
        "global": trunk_output(_build),
        "local": stage3_output(_build),
        "dense": reranker_output(_build),
    },
    allows=TRUNK_ALLOWS,
    models=tuple(CVNetSettings(f"cvnet_r{depth}", depths=DEPTHS[depth]) for depth in (50, 101)),
    namings=(_CVNET, authors_naming(_MODULES, training_set="GLDv2-clean", licence="none given")),
    extras={RERANKER: reranker_shapes},
    fits=has_depths,
    random=_random,
    format_1_heads=("gem_learnable",),
)
