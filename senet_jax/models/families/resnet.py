"""ResNets as ImageNet classifiers, and what all families with such a trunk share.

Two kinds of checkpoints are known. `authors`: SENet's checkpoints and the pycls model zoo, whose
trunk it is. `torchvision`: the ResNets of torchvision and timm, which expect RGB where the others
expect BGR; the input axis of their stem's kernel is flipped on the way, so that the weights here
always take BGR.
"""

import dataclasses
import re
from collections.abc import Callable, Collection, Mapping
from typing import Any, Literal

from senet_jax.models.architecture import DEPTHS, Architecture
from senet_jax.models.checkpoint_keys import (
    CONV,
    Layout,
    Naming,
    Renaming,
    key_by_module,
    layout_of_rank,
    place_of_blocks,
    renamed,
)
from senet_jax.models.family import Allowance, Family, Output, descriptor_output, map_output


@dataclasses.dataclass(frozen=True, kw_only=True)
class ResNetSettings(Architecture):
    """A trunk with average pooling, as ImageNet classifiers have it.

    Attributes:
        self_similarity: there is none.
        head: `classifier` (a linear layer to the classes) or `average` (nothing, as checkpoints
            have it that lack the classifier).
        outputs: the number of classes, or the width of the last stage.
    """

    self_similarity: None = None
    head: Literal["classifier", "average"] = "classifier"
    outputs: int = 1000

    def check(self) -> None:
        """Raises a `TypeError` unless a network can be built."""
        super().check()
        if self.head == "average" and self.outputs != self.stage_widths[-1]:
            raise TypeError(f"it has {self.outputs} outputs and no layer that makes them")

    def without_classifier(self) -> "ResNetSettings":
        """The trunk alone, as checkpoints have it that lack the classifier."""
        return dataclasses.replace(self, head="average", outputs=self.stage_widths[-1])


TRUNK_MODULES: tuple[Renaming, ...] = ((r"trunk/(.*)", r"\1"), (r"fc", "head.fc"))
"""Module paths here -> the authors' module names."""
_CONV_NUMBER = {"a": 1, "b": 2, "c": 3}
# The authors' module names -> torchvision's and timm's.
_TORCHVISION_MODULES: tuple[Renaming, ...] = (
    (r"stem\.conv", "conv1"),
    (r"stem\.bn", "bn1"),
    (r"s(\d)\.b(\d+)\.f\.([abc])", lambda m: f"{_block(m)}.conv{_CONV_NUMBER[m[3]]}"),
    (r"s(\d)\.b(\d+)\.f\.([abc])_bn", lambda m: f"{_block(m)}.bn{_CONV_NUMBER[m[3]]}"),
    (r"s(\d)\.b(\d+)\.proj", lambda m: f"{_block(m)}.downsample.0"),
    (r"s(\d)\.b(\d+)\.bn", lambda m: f"{_block(m)}.downsample.1"),
    (r"head\.fc", "fc"),
)
_RGB_CONV = Layout(lambda a: CONV.to_torch(a)[:, ::-1], lambda a: CONV.from_torch(a[:, ::-1]))


def _block(match: re.Match[str]) -> str:
    return f"layer{match[1]}.{int(match[2]) - 1}"


# The heads and the trunks of both kinds of checkpoints.
_HEAD, _TRUNK = r"(SSM\.|(head\.)?fc\.weight$)", r"(stem|s\d|conv1|bn1|layer\d)\."
AUTHORS_BLOCKS, _TORCHVISION_BLOCKS = r"s\d\.b\d+\.", r"layer\d\.\d+\."


def authors_naming(
    renamings: tuple[Renaming, ...],
    layout: Callable[[str, int], Layout] = layout_of_rank,
    training_set: str = "",
    licence: str = "",
) -> Naming:
    """The authors' names for a network whose modules have these; see `Naming`."""
    place = place_of_blocks(
        AUTHORS_BLOCKS, beside=r"(stem|s\d|SSM|head)\.", head=_HEAD, trunk=_TRUNK
    )
    key = key_by_module(renamings)
    return Naming(
        *("authors", key, _is_of_authors, layout, place),
        training_set=training_set,
        licence=licence,
    )


def _is_of_authors(keys: Collection[str]) -> bool:
    return any(re.match(r"(stem|s\d)\.", key) for key in keys)


_AUTHORS = authors_naming(TRUNK_MODULES)


def torchvision_key(path: str) -> str | None:
    """The key of a variable of the trunk, or of a classifier, in torchvision's checkpoints."""
    module, _, leaf = (_AUTHORS.key(path) or "").rpartition(".")
    name = renamed(module, _TORCHVISION_MODULES)
    return None if name is None else f"{name}.{leaf}"


def _torchvision_layout(path: str, rank: int) -> Layout:
    is_stem = path == "params/trunk/stem/conv/kernel"
    return _RGB_CONV if is_stem else layout_of_rank(path, rank)


_TORCHVISION = Naming(
    "torchvision",
    torchvision_key,
    lambda keys: "conv1.weight" in keys or any(key.startswith("layer1.") for key in keys),
    _torchvision_layout,
    place_of_blocks(
        _TORCHVISION_BLOCKS, beside=r"(conv1|bn1|layer\d|fc)\.", head=_HEAD, trunk=_TRUNK
    ),
    note="stem flipped from RGB to BGR",
)


def depths_of(keys: Collection[str]) -> tuple[int, ...]:
    """How many residual blocks the keys of a checkpoint name in each of four stages."""
    pattern = re.compile(r"(?:.*\.)?(?:s|layer)(\d)\.b?(\d+)\.")
    blocks = {match.groups() for key in keys if (match := pattern.match(key))}
    return tuple(sum(stage == str(index) for stage, _ in blocks) for index in range(1, 5))


def has_depths(settings: Architecture, keys: Collection[str]) -> bool:
    """Whether a checkpoint has the residual blocks of a network."""
    return settings.depths == depths_of(keys)


def _with_classifier_of(
    settings: ResNetSettings, naming: Naming, shapes: Mapping[str, tuple[int, ...]]
) -> ResNetSettings:
    """A trunk with the classifier of a checkpoint: its number of classes, or none at all."""
    kernel, bias = (naming.key(f"params/fc/{leaf}") for leaf in ("kernel", "bias"))
    if kernel not in shapes and bias not in shapes:
        return settings.without_classifier()
    shape = shapes.get(bias or "", ())
    return dataclasses.replace(settings, outputs=shape[0]) if len(shape) == 1 else settings


def _build(settings: ResNetSettings, **options: Any) -> Any:
    from senet_jax.models.layers import LayerOptions  # Flax takes a second to import.
    from senet_jax.models.resnet import ResNetClassifier

    return ResNetClassifier(settings, LayerOptions(**options))


def random_variables(settings: Architecture, seed: int) -> Mapping[str, Any]:
    """Lively, centred random variables of a network; see `models.random_weights`."""
    from senet_jax.models import random_weights

    return random_weights.random_variables(settings, seed)


def trunk_output(build: Callable[..., Any]) -> Output:
    """The descriptors of networks that pool the last map of the trunk."""
    return descriptor_output(build, stride=lambda settings: settings.stride(4))


def stage3_output(build: Callable[..., Any]) -> Output:
    """The map after stage 3 of networks with the trunk."""
    return map_output(
        build,
        "s3",
        stride=lambda settings: settings.stride(3),
        channels=lambda settings: settings.stage_widths[2],
    )


TRUNK_ALLOWS: tuple[Allowance, ...] = ("masks", "transposing", "folding")

FAMILY = Family(
    name="resnet",
    settings=ResNetSettings,
    build=_build,
    gives={"local": stage3_output(_build)},
    allows=TRUNK_ALLOWS,
    models=tuple(ResNetSettings(f"resnet{depth}", depths=DEPTHS[depth]) for depth in DEPTHS),
    namings=(_AUTHORS, _TORCHVISION),
    fits=has_depths,
    adapted=_with_classifier_of,
    random=random_variables,
    note=lambda settings: "without a classifier" if settings.head == "average" else "",
    format_1_heads=("classifier", "average"),
)
