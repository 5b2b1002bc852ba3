"""The sizes and switches of the networks with a ResNet trunk, as plain values."""

import dataclasses
import math
from typing import ClassVar, Literal

from senet_jax.models.settings import Settings


@dataclasses.dataclass(frozen=True)
class SelfSimilarityConfig:
    """The switches of the self-similarity module (Tables S3 to S5 of the supplement).

    The supplement names the alternatives and their results, not their details; what each means
    here is said in `models/self_similarity.py`.

    Attributes:
        similarity: `channelwise` keeps a similarity for each channel, `direct` sums over them;
            `none` leaves the self-similarity out and keeps the layers that would fuse it, a control
            that the paper lacks.
        measure: `cosine` normalises the reduced map, `dot` does not.
        fusion: `sum` adds the structure to the visual map, `concat` stacks them.
        width: channels of the reduced map and of the encoder.
        window: side of the window of offsets; odd.
    """

    similarity: Literal["channelwise", "direct", "none"] = "channelwise"
    measure: Literal["cosine", "dot"] = "cosine"
    fusion: Literal["sum", "concat"] = "sum"
    width: int = 256
    window: int = 7

    LIMITS: ClassVar = {"width": (1, 2**14), "window": (3, 31)}
    """For the `LIMITS` of the settings of a network with a module; see `Settings`."""

    def check(self) -> None:
        """Raises a `TypeError` unless a module can be built."""
        if self.window % 2 == 0:
            raise TypeError(f"its window is {self.window}, an even number")
        if (self.similarity, self.fusion) == ("none", "concat"):
            raise TypeError("its fusion concatenates, and its similarity none leaves nothing to")


_ABLATIONS = {
    "direct": SelfSimilarityConfig(similarity="direct"),
    "dot": SelfSimilarityConfig(measure="dot"),
    "concat": SelfSimilarityConfig(fusion="concat"),
    "fusion": SelfSimilarityConfig(similarity="none"),
    "baseline": None,
}


def ablations(sizes: SelfSimilarityConfig) -> dict[str, SelfSimilarityConfig | None]:
    """What there may be in place of the paper's module, by the end of a network's name.

    Args:
        sizes: whose sizes the others have.
    """
    return {
        label: module and dataclasses.replace(module, width=sizes.width, window=sizes.window)
        for label, module in _ABLATIONS.items()
    }


# Beyond these nothing is built: shapes would overflow, and hundreds of blocks take minutes to
# trace.
_LIMITS = {
    **Settings.LIMITS,
    "depths": (0, 48),
    "stem_width": (1, 2**14),
    "stage_widths": (4, 2**14),
    "stage_strides": (1, 4),
    **SelfSimilarityConfig.LIMITS,
}
_MOST_BLOCKS = 50


@dataclasses.dataclass(frozen=True, kw_only=True)
class Architecture(Settings):
    """A network with a ResNet trunk, complete; each family narrows what its networks may have.

    Attributes:
        depths: residual blocks of each of the four stages; one without any hands on what it gets,
            but the third has some, as second stages look at its map.
        stem_width: channels after the stem.
        stage_widths: channels after each stage; a bottleneck is a quarter as wide.
        stage_strides: stride of the first block of each stage.
        self_similarity: the module after the last stage, or None.
        head: what follows.
        outputs: the descriptor's width, the number of classes of a classifier, or the width of the
            last stage where nothing follows the average.
    """

    LIMITS: ClassVar = _LIMITS

    depths: tuple[int, int, int, int]
    stem_width: int = 64
    stage_widths: tuple[int, int, int, int] = (256, 512, 1024, 2048)
    stage_strides: tuple[int, int, int, int] = (1, 2, 2, 2)
    self_similarity: SelfSimilarityConfig | None = None
    head: str
    outputs: int = 2048

    def check(self) -> None:
        """Raises a `TypeError` unless a network can be built."""
        super().check()
        if sum(self.depths) > _MOST_BLOCKS:
            raise TypeError(f"it has {sum(self.depths)} blocks, more than {_MOST_BLOCKS}")
        if not self.depths[2]:
            raise TypeError("its third stage has no block")
        before = (self.stem_width, *self.stage_widths)
        for stage, (depth, stride) in enumerate(zip(self.depths, self.stage_strides, strict=True)):
            if not depth and (stride, before[stage + 1]) != (1, before[stage]):
                raise TypeError(f"its stage {stage + 1} has no block to change a map with")

    def stride(self, stage: int) -> int:
        """How many pixels of an image, along a side, are one position after a stage (1 to 4)."""
        return 4 * math.prod(self.stage_strides[:stage])


DEPTHS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
"""The residual blocks of each stage of the ResNets that there are checkpoints of."""
