"""Which networks there are: their names, sizes and switches, as plain values."""

import dataclasses
from typing import Any, Literal, get_args, get_origin, get_type_hints

from senet_jax.errors import UserError, shown


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
            parameter), or `classifier` (average pooling, as ImageNet trunks have it).
        outputs: the descriptor's width, or the number of classes of a classifier.
    """

    name: str
    depths: tuple[int, int, int, int]
    stem_width: int = 64
    stage_widths: tuple[int, int, int, int] = (256, 512, 1024, 2048)
    stage_strides: tuple[int, int, int, int] = (1, 2, 2, 2)
    self_similarity: SelfSimilarityConfig | None = SelfSimilarityConfig()
    head: Literal["gem", "gem_learnable", "classifier"] = "gem"
    outputs: int = 2048

    @property
    def describes(self) -> bool:
        """Whether its output is a descriptor (and not the logits of classes)."""
        return self.head != "classifier"

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
            _check_kinds(architecture)
            if module is not None:
                _check_kinds(architecture.self_similarity)
                if architecture.self_similarity.window % 2 == 0:
                    raise TypeError("its window is even")
        except (TypeError, KeyError, AttributeError) as error:
            raise UserError(
                f"{value!r} does not describe a network ({error}); convert the weights again"
            ) from error
        return architecture


def _check_kinds(value: Any) -> None:
    """Raises a `TypeError` unless each field of a dataclass holds what its annotation says."""
    for name, kind in get_type_hints(type(value)).items():
        if not _is_of_kind(getattr(value, name), kind):
            raise TypeError(f"its {name} is {getattr(value, name)!r}")


def _is_of_kind(value: Any, kind: Any) -> bool:
    options = get_args(kind)
    if get_origin(kind) is Literal:
        return value in options
    if get_origin(kind) is tuple:
        return (
            isinstance(value, tuple)
            and len(value) == len(options)
            and all(map(_is_of_kind, value, options))
        )
    if kind is int:
        return type(value) is int and value > 0
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
