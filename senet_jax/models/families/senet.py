"""SENet: the trunk, the self-similarity module, generalised-mean pooling and a linear layer.

Its weights may have CVNet's re-ranker beside it, which looks at the same trunk; checkpoints keep
that under CVNet's names.
"""

import dataclasses
from typing import Any, Literal

from senet_jax.models.architecture import (
    DEPTHS,
    Architecture,
    SelfSimilarityConfig,
    ablations,
)
from senet_jax.models.checkpoint_keys import Layout, Renaming, layout_of_rank
from senet_jax.models.families.reranker import (
    RERANKER,
    RERANKER_MODULES,
    reranker_output,
    reranker_shapes,
)
from senet_jax.models.families.resnet import (
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
class SENetSettings(Architecture):
    """SENet, or with no self-similarity module the paper's baseline.

    Attributes:
        self_similarity: the module after the last stage, or None.
        head: generalised-mean pooling of power 3, and a linear layer.
    """

    self_similarity: SelfSimilarityConfig | None = dataclasses.field(
        default_factory=SelfSimilarityConfig
    )
    head: Literal["gem"] = "gem"

    def check(self) -> None:
        """Raises a `TypeError` unless a network can be built."""
        super().check()
        if self.self_similarity is not None:
            self.self_similarity.check()


SSM_MODULES: tuple[Renaming, ...] = (
    (r"ssm/reduce", "SSM.ch_reduction_encoder"),
    (r"ssm/encoder/conv_(\d)", r"SSM.SSE.conv_in.\1.0"),
    (r"ssm/encoder/bn_(\d)", r"SSM.SSE.conv_in.\1.1"),
    (r"ssm/encoder/expand", "SSM.SSE.conv1x1_out.0"),
    (r"ssm/encoder/expand_bn", "SSM.SSE.conv1x1_out.1"),
    (r"ssm/fuse_0", "SSM.FFN.0"),
    (r"ssm/fuse_1", "SSM.FFN.2"),
)
"""Paths within the self-similarity module here -> the authors' module names."""
# The convolutions over offsets are 3-D in PyTorch, over (1, u, v): [u v in out] <-> [out in 1 u v].
_OFFSET_CONV = Layout(
    lambda a: a.transpose(3, 2, 0, 1)[:, :, None], lambda a: a[:, :, 0].transpose(2, 3, 1, 0)
)


def layout_of_module(path: str, rank: int) -> Layout:
    """How the authors lay out a variable; see `Naming`."""
    over_offsets = rank == 4 and "/encoder/conv_" in path
    return _OFFSET_CONV if over_offsets else layout_of_rank(path, rank)


_AUTHORS = authors_naming(
    (*TRUNK_MODULES, *SSM_MODULES, *RERANKER_MODULES),
    layout_of_module,
    training_set="GLDv2-clean",
    licence="none given",
)


def _build(settings: SENetSettings, **options: Any) -> Any:
    from senet_jax.models.layers import LayerOptions  # Flax takes a second to import.
    from senet_jax.models.senet import SENet

    return SENet(settings, LayerOptions(**options))


_TINY = SENetSettings(
    "tiny",
    depths=(1, 1, 1, 1),
    stem_width=16,
    stage_widths=(32, 64, 96, 128),
    stage_strides=(1, 2, 1, 1),
    self_similarity=SelfSimilarityConfig(width=16, window=5),
    outputs=128,
)
# For pictures of 64 pixels: a position of its map of 8 x 8 sees 27 of them, the window 32 more.
_DEMO = dataclasses.replace(
    _TINY,
    name="demo",
    depths=(1, 0, 1, 0),
    stage_widths=(64, 64, 128, 128),
    stage_strides=(1, 1, 2, 1),
)


def _with_ablations(base: SENetSettings, sizes: SelfSimilarityConfig) -> list[SENetSettings]:
    """A network and its ablations, whose modules have the same sizes."""
    return [
        base,
        *(
            dataclasses.replace(base, name=f"{base.name}_{label}", self_similarity=module)
            for label, module in ablations(sizes).items()
        ),
    ]


FAMILY = Family(
    name="senet",
    settings=SENetSettings,
    build=_build,
    gives={
        "global": trunk_output(_build),
        "local": stage3_output(_build),
        "dense": reranker_output(_build),
    },
    allows=TRUNK_ALLOWS,
    models=tuple(
        settings
        for base in (
            *(SENetSettings(f"r{depth}", depths=DEPTHS[depth]) for depth in DEPTHS),
            _TINY,
            _DEMO,
        )
        if base.self_similarity is not None
        for settings in _with_ablations(base, base.self_similarity)
    ),
    namings=(_AUTHORS,),
    extras={RERANKER: reranker_shapes},
    fits=has_depths,
    random=random_variables,
    format_1_heads=("gem",),
)
