"""The settings of a network: a frozen dataclass that checks itself and goes to JSON and back."""

import dataclasses
import re
import types
from collections.abc import Mapping
from typing import Any, ClassVar, Literal, Self, Union, get_args, get_origin, get_type_hints

from senet_jax.system.errors import UserError, reason, shown


@dataclasses.dataclass(frozen=True)
class Settings:
    """All that has to be known to build a network; each family has a subclass of its own.

    The fields of a subclass are numbers, texts, tuples, `Literal`s and other frozen dataclasses.
    They are checked against their annotations and `LIMITS` whenever a value is made.

    Attributes:
        name: of the network, on the command line and in reports.
        outputs: the width of its output.

    Raises:
        UserError: a field holds what no network can have.
    """

    LIMITS: ClassVar[Mapping[str, tuple[int, int]]] = {"outputs": (1, 2**20)}
    """The least and the most that a number may be, by the field's name, also of nested settings."""

    name: str
    outputs: int

    def __post_init__(self):
        try:
            self.check()
        except TypeError as error:
            raise UserError(
                f"{shown(self.to_json())} does not describe a network ({error}); convert the "
                "weights again"
            ) from error

    def check(self) -> None:
        """Raises a `TypeError` unless a network can be built; subclasses check more."""
        _check_fields(self, self.LIMITS)
        if not re.fullmatch(r"\w[\w.-]{0,63}", self.name, re.ASCII):
            raise TypeError("its name is not made of up to 64 letters, digits, `_`, `.` and `-`")

    def to_json(self) -> dict[str, Any]:
        """The value that `from_json` reads."""
        return dataclasses.asdict(self)

    @classmethod
    def from_json(cls, value: Any) -> Self:
        """Reads what `to_json` wrote; what it lacks and has a default is filled in.

        Raises:
            UserError: a field is missing, unknown or of the wrong kind.
        """
        try:
            return _from_json(cls, value)
        except (TypeError, ValueError) as error:
            raise UserError(
                f"{shown(value)} does not describe a network ({reason(error)}); convert the "
                "weights again"
            ) from error


def _from_json(annotation: Any, value: Any) -> Any:
    """A value of JSON as an annotation has it: objects as dataclasses, lists as tuples."""
    options = (annotation, *get_args(annotation))
    kind: Any = next((option for option in options if dataclasses.is_dataclass(option)), None)
    if kind is not None and isinstance(value, Mapping):
        kinds = get_type_hints(kind)
        fields = {field.name for field in dataclasses.fields(kind)}
        if unknown := sorted(map(str, set(value) - fields)):
            raise TypeError(f"{shown(unknown[0])} is unknown")
        return kind(**{key: _from_json(kinds[key], entry) for key, entry in value.items()})
    if kind is not None and issubclass(kind, Settings):
        raise TypeError("it is no object")
    return tuple(value) if isinstance(value, list) else value


def _check_fields(value: Any, limits: Mapping[str, tuple[int, int]]) -> None:
    """Raises a `TypeError` unless each field of a dataclass holds what it may."""
    kinds = get_type_hints(type(value))
    for name in (field.name for field in dataclasses.fields(value)):
        field = getattr(value, name)
        if not _is_of_kind(field, kinds[name]):
            raise TypeError(f"its {name} is {shown(field)}")
        if name in limits:
            least, most = limits[name]
            numbers = field if isinstance(field, tuple) else (field,)
            if not all(least <= number <= most for number in numbers):
                raise TypeError(f"its {name} is {shown(field)}, not {least} to {most}")
        if dataclasses.is_dataclass(field):
            _check_fields(field, limits)


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
    if get_origin(kind) in (Union, types.UnionType):
        return any(_is_of_kind(value, option) for option in options)
    if kind in (int, float, bool):
        return type(value) is kind
    return isinstance(value, kind)
