"""Which networks there are: their names, sizes and switches, as plain values."""

import dataclasses
import re
from typing import Any, Literal, get_args, get_origin, get_type_hints

from senet_jax.system.errors import UserError, reason, shown


@dataclasses.dataclass(frozen=True)
class SelfSimilarityConfig:
    """The switches of the self-similarity module (Tables S3 to S5 of the supplement).

    The supplement names the alternatives and their results, not their details; what each means
    here is said in `models/self_similarity.py`.

    Attributes:
        similarity: `channelwise` keeps a similarity for each channel, `direct` sums over them.
        measure: `cosine` normalises the reduced map, `dot` does not.
        fusion: `sum` adds the structure to the visual map, `concat` stacks them.
        width: channels of the reduced map and of the encoder.
        window: side of the window of offsets; odd.
    """

    similarity: Literal["channelwise", "direct"] = "channelwise"
    measure: Literal["cosine", "dot"] = "cosine"
    fusion: Literal["sum", "concat"] = "sum"
    width: int = 256
    window: int = 7


@dataclasses.dataclass(frozen=True)
class Architecture:
    """A network, complete: what `model.json` says of it.

    Attributes:
        name: its name on the command line.
        depths: residual blocks of each of the four stages.
        stem_width: channels after the stem.
        stage_widths: channels after each stage; a bottleneck is a quarter as wide.
        stage_strides: stride of the first block of each stage.
        self_similarity: the module after the last stage, or None for the baseline.
        head: `gem` (generalised-mean pooling, power 3), `gem_learnable` (the power is a
            parameter), `classifier` (average pooling, as ImageNet trunks have it), or `average`
            (the same without the classifier's linear layer).
        outputs: the descriptor's width, the number of classes of a classifier, or the width of the
            last stage where nothing follows the average.
    """

    name: str
    depths: tuple[int, int, int, int]
    stem_width: int = 64
    stage_widths: tuple[int, int, int, int] = (256, 512, 1024, 2048)
    stage_strides: tuple[int, int, int, int] = (1, 2, 2, 2)
    self_similarity: SelfSimilarityConfig | None = SelfSimilarityConfig()
    head: Literal["gem", "gem_learnable", "classifier", "average"] = "gem"
    outputs: int = 2048

    @property
    def describes(self) -> bool:
        """Whether its output is a descriptor (and not the logits of classes, or features)."""
        return self.head in ("gem", "gem_learnable")

    def without_classifier(self) -> "Architecture":
        """The trunk alone, as checkpoints have it that lack the classifier."""
        return dataclasses.replace(self, head="average", outputs=self.stage_widths[-1])

    def to_json(self) -> dict[str, Any]:
        """The value that `from_json` reads."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> "Architecture":
        """Reads what `to_json` wrote.

        Raises:
            UserError: a field is missing, unknown or of the wrong kind.
        """
        try:
            module = value["self_similarity"]
            architecture = cls(
                **{
                    key: tuple(entry) if isinstance(entry, list) else entry
                    for key, entry in value.items()
                }
                | {"self_similarity": None if module is None else SelfSimilarityConfig(**module)}
            )
            known = {field.name for field in dataclasses.fields(cls)}
            if set(value) != known:
                raise TypeError(f"no {', '.join(sorted(known - set(value)))}")
            _check(architecture)
        except (TypeError, KeyError, AttributeError) as error:
            raise UserError(
                f"{shown(value)} does not describe a network ({reason(error)}); convert the "
                "weights again"
            ) from error
        return architecture


# The least and the most that a number of a network may be. Beyond them nothing is built: shapes
# would overflow, and hundreds of blocks take minutes to trace.
_LIMITS = {
    "depths": (1, 48),
    "stem_width": (1, 2**14),
    "stage_widths": (4, 2**14),
    "stage_strides": (1, 4),
    "outputs": (1, 2**20),
    "width": (1, 2**14),
    "window": (3, 31),
}
_MOST_BLOCKS = 50


def _check(architecture: Architecture) -> None:
    """Raises a `TypeError` unless a network can be built."""
    _check_fields(architecture)
    module = architecture.self_similarity
    if module is not None:
        _check_fields(module)
        if module.window % 2 == 0:
            raise TypeError(f"its window is {module.window}, an even number")
        if not architecture.describes:
            raise TypeError(f"its head {architecture.head} has no use for self-similarity")
    if not re.fullmatch(r"\w[\w.-]{0,63}", architecture.name, re.ASCII):
        raise TypeError("its name is not made of up to 64 letters, digits, `_`, `.` and `-`")
    if sum(architecture.depths) > _MOST_BLOCKS:
        raise TypeError(f"it has {sum(architecture.depths)} blocks, more than {_MOST_BLOCKS}")
    if architecture.head == "average" and architecture != architecture.without_classifier():
        raise TypeError(f"it has {architecture.outputs} outputs and no layer that makes them")


def _check_fields(value: Any) -> None:
    """Raises a `TypeError` unless each field of a dataclass holds what it may."""
    for name, kind in get_type_hints(type(value)).items():
        field = getattr(value, name)
        if not _is_of_kind(field, kind):
            raise TypeError(f"its {name} is {shown(field)}")
        if name in _LIMITS:
            least, most = _LIMITS[name]
            numbers = field if isinstance(field, tuple) else (field,)
            if not all(least <= number <= most for number in numbers):
                raise TypeError(f"its {name} is {shown(field)}, not {least} to {most}")


def _is_of_kind(value: Any, kind: Any) -> bool:
    options = get_args(kind)
    if get_origin(kind) is Literal:
        return isinstance(value, str) and value in options
    if get_origin(kind) is tuple:
        return (
            isinstance(value, tuple)
            and len(value) == len(options)
            and all(map(_is_of_kind, value, options))
        )
    if kind is int:
        return type(value) is int
    return isinstance(value, kind)


_DEPTHS = {50: (3, 4, 6, 3), 101: (3, 4, 23, 3), 152: (3, 8, 36, 3)}
_ABLATIONS = {
    "direct": SelfSimilarityConfig(similarity="direct"),
    "dot": SelfSimilarityConfig(measure="dot"),
    "concat": SelfSimilarityConfig(fusion="concat"),
    "baseline": None,
}
_TINY = Architecture(
    "tiny",
    depths=(1, 1, 1, 1),
    stem_width=16,
    stage_widths=(32, 64, 96, 128),
    stage_strides=(1, 2, 1, 1),
    self_similarity=SelfSimilarityConfig(width=16, window=5),
    outputs=128,
)


def _architectures() -> list[Architecture]:
    known = []
    for base in (*(Architecture(f"r{depth}", _DEPTHS[depth]) for depth in _DEPTHS), _TINY):
        known.append(base)
        for label, module in _ABLATIONS.items():
            sizes = base.self_similarity
            switches = module and dataclasses.replace(
                module, width=sizes.width, window=sizes.window
            )
            known.append(
                dataclasses.replace(base, name=f"{base.name}_{label}", self_similarity=switches)
            )
    for depth, depths in _DEPTHS.items():
        known.append(
            Architecture(
                f"resnet{depth}", depths, self_similarity=None, head="classifier", outputs=1000
            )
        )
    for depth in (50, 101):
        known.append(
            Architecture(
                f"cvnet_r{depth}", _DEPTHS[depth], self_similarity=None, head="gem_learnable"
            )
        )
    return known


ARCHITECTURES: dict[str, Architecture] = {known.name: known for known in _architectures()}
"""Every network by its name: SENet `r50`, `r101`, `r152` and `tiny`, each with its ablations
`_direct`, `_dot`, `_concat` and `_baseline`; the ImageNet trunks `resnet50|101|152`; CVNet-Global
`cvnet_r50`, `cvnet_r101`. The sizes of `tiny` are the project's own, for tests and the demo."""


def find_architecture(name: str) -> Architecture:
    """The network of that name.

    Raises:
        UserError: there is none.
    """
    if name not in ARCHITECTURES:
        raise UserError(f"no model is called {shown(name)}; there are {', '.join(ARCHITECTURES)}")
    return ARCHITECTURES[name]
