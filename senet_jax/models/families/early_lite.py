"""The early stages of EfficientNet-Lite0, with SENet's head on maps that see little of an image.

The trunk is that of `lite0`, up to a stage. A layer of 1x1 makes its maps narrower, and the rest is
SENet's: the self-similarity module, generalised-mean pooling and a linear layer.
"""

import dataclasses
from typing import Any, ClassVar

from senet_jax.models.architecture import SelfSimilarityConfig, ablations
from senet_jax.models.checkpoint_keys import Naming, key_by_module, place_of_blocks
from senet_jax.models.families import lite0
from senet_jax.models.families.senet import layout_of_module
from senet_jax.models.family import Family, descriptor_output


@dataclasses.dataclass(frozen=True, kw_only=True)
class EarlyLiteSettings(lite0.EfficientNetLiteSettings):
    """The sizes of a network.

    Attributes:
        stages: how many of the trunk's stages there are.
        head: see `lite0.Head`.
        outputs: channels of the maps that the head is on, and of the descriptor.
    """

    LIMITS: ClassVar = {
        **lite0.EfficientNetLiteSettings.LIMITS,
        "stages": (1, len(lite0.STAGES) - 1),
    }

    stages: int = 5
    head: lite0.Head = "linear"
    outputs: int = 128


def _build(settings: EarlyLiteSettings, **options: Any) -> Any:
    from senet_jax.models.efficientnet_lite import EarlyLite  # Flax takes a second.
    from senet_jax.models.layers import LayerOptions

    return EarlyLite(settings, LayerOptions(**options))


# A window of 5 reaches over 32 pixels to each side.
_MODULE = SelfSimilarityConfig(width=16, window=5)
_HEADS = {"channel_wise": _MODULE, **ablations(_MODULE)}

FAMILY = Family(
    name="early_efficientnet_lite",
    settings=EarlyLiteSettings,
    build=_build,
    gives={
        "global": descriptor_output(
            _build,
            stride=lambda settings: lite0.stride_of(settings.stages),
            first=lambda settings: lite0.first_of(settings.stages),
        )
    },
    allows=lite0.FAMILY.allows,
    trunk_maps=lambda settings: lite0.maps_after(settings.stages),
    models=tuple(
        EarlyLiteSettings(name=f"early_lite0_{label}", self_similarity=module)
        for label, module in _HEADS.items()
    ),
    preprocessing=lite0.FAMILY.preprocessing,
    namings=(
        Naming(
            "early_efficientnet_lite",
            key_by_module(
                (
                    *lite0.MODULES,
                    (r"neck/conv", "head.neck.0"),
                    (r"neck/bn", "head.neck.1"),
                )
            ),
            lambda keys: lite0.NECK in keys,
            layout_of_module,
            place=place_of_blocks(
                r"_blocks\.\d+\.", head=r"(SSM|head)\.", trunk=r"_(conv_stem|bn0|blocks)\."
            ),
        ),
    ),
)
