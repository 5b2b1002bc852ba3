"""Settings as text: `name` or `name(setting=value,...)`, several of them joined by commas.

Each name stands for a frozen dataclass, whose fields are its settings. A value may hold commas, as
the descriptions of faiss's indices do: what has no `=` belongs to the value before it.
"""

import dataclasses
import math
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Literal, TypeVar

from senet_jax.system.errors import UserError, shown

_FORM = "write name or name(setting=value,...), several joined by commas"
_INTEGERS = 2**31
"""Integers lie below it, and above its negative."""


def setting(
    default: Any, meaning: str, *, at_least: float | None = None, at_most: float | None = None
) -> Any:
    """A field of `Settings`.

    Args:
        default: its value where none is given.
        meaning: what help texts say of it.
        at_least: the smallest value of a number.
        at_most: its largest.
    """
    limits = {"at_least": at_least, "at_most": at_most}
    return dataclasses.field(default=default, metadata={"meaning": meaning, **limits})


@dataclasses.dataclass(frozen=True)
class Settings:
    """The settings of something that users choose by its name; each field is a `setting(...)`.

    A field is an `int`, `float`, `str`, `bool` or `Literal` of texts, or one of them `| None`.

    Attributes:
        name: by which it is chosen.

    Raises:
        UserError: a value is not of its field's type, or out of its limits.
    """

    name: ClassVar[str]

    def __post_init__(self):
        for field, kinds in _fields(type(self)):
            value = getattr(self, field.name)
            expected = _expected(value, kinds, field.metadata)
            if expected is not None:
                raise UserError(
                    f"{self.name}'s {field.name} is {shown(value)}; it has to be {expected}"
                )

    def __str__(self) -> str:
        """Their one spelling: what is not the default, in the order of the fields."""
        given = [
            f"{field.name}={_text(getattr(self, field.name))}"
            for field in dataclasses.fields(self)
            if getattr(self, field.name) != field.default
        ]
        return f"{self.name}({','.join(given)})" if given else self.name


Kind = TypeVar("Kind", bound=Settings)


def read_settings(text: str, kinds: Sequence[type[Kind]], what: str) -> list[Kind]:
    """The settings that a text names, with defaults for those that it leaves out.

    Args:
        text: see the module.
        kinds: what can be chosen.
        what: it is, as errors call it, such as `search backend`.

    Raises:
        UserError: the text is not of its form, a name or a setting is not known, or a value is not
            what it has to be.
    """
    of_name = {kind.name: kind for kind in kinds}
    found = []
    for name, values in split_settings(text):
        if name not in of_name:
            raise UserError(f"no {what} {shown(name)}; choose from {', '.join(of_name)}")
        known = {field.name: allowed for field, allowed in _fields(of_name[name])}
        for key in values:
            if key not in known:
                has = f"it has {', '.join(known)}" if known else "it has none"
                raise UserError(f"{name} has no setting {shown(key)}; {has}")
        given = {key: _value(value, known[key]) for key, value in values.items()}
        found.append(of_name[name](**given))
    return found


def settings_help(kinds: Sequence[type[Settings]]) -> str:
    """The names with what the first line of each says, and their settings with their defaults."""
    lines = []
    for kind in kinds:
        lines.append(f"  {kind.name}: {(kind.__doc__ or '').splitlines()[0]}")
        for field in dataclasses.fields(kind):
            meaning = field.metadata["meaning"]
            lines.append(f"    {field.name}={_text(field.default)}: {meaning}")
    return "\n".join(lines)


def split_settings(text: str) -> list[tuple[str, dict[str, str]]]:
    """`"dba(neighbours=10),cvnet"` -> `[("dba", {"neighbours": "10"}), ("cvnet", {})]`.

    Raises:
        UserError: the text is not of that form, or has a setting twice.
    """
    return [_split_one(part.strip()) for part in _split_at_commas(text)]


def _split_one(text: str) -> tuple[str, dict[str, str]]:
    name, bracket, rest = text.partition("(")
    name, inside = name.strip(), rest.removesuffix(")")
    if not name.isidentifier() or (bracket and inside == rest):
        raise UserError(f"{shown(text)} is no name with settings; {_FORM}")
    settings: dict[str, str] = {}
    key = ""
    for piece in _split_at_commas(inside) if inside.strip() else []:
        before, equals, value = (each.strip() for each in piece.partition("="))
        if equals and before in settings:
            raise UserError(f"{shown(text)} has the setting {before} more than once; give it once")
        if equals and before.isidentifier():
            key = before
            settings[key] = value
        elif key:
            settings[key] += f",{piece.strip()}"
        else:
            raise UserError(f"{shown(piece)} in {shown(text)} sets nothing; {_FORM}")
    return name, settings


def _split_at_commas(text: str) -> list[str]:
    """The parts between the commas that stand outside of brackets."""
    parts, depth = [""], 0
    for character in text:
        depth += (character == "(") - (character == ")")
        if depth < 0:
            break
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    if depth:
        raise UserError(f"the brackets of {shown(text)} do not match; {_FORM}")
    return parts


def _fields(kind: type[Settings]) -> list[tuple[dataclasses.Field, tuple[Any, ...]]]:
    """The fields of a class, each with the types that its value may have."""
    hints = typing.get_type_hints(kind)
    return [
        (field, typing.get_args(hint) if isinstance(hint, types.UnionType) else (hint,))
        for field in dataclasses.fields(kind)
        for hint in [hints[field.name]]
    ]


def _value(text: str, kinds: tuple[Any, ...]) -> Any:
    """What a text is as the first kind that it can be; the text itself where there is none."""
    for kind in kinds:
        if kind is types.NoneType and text.lower() == "none":
            return None
        if kind is bool and text.lower() in ("true", "false"):
            return text.lower() == "true"
        if kind in (int, float):
            try:
                return kind(text)
            except ValueError:
                continue
    return text


def _text(value: Any) -> str:
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)


def _expected(value: Any, kinds: tuple[Any, ...], limits: Mapping[str, Any]) -> str | None:
    """What a value would have to be, None if it is that."""
    if value is None and types.NoneType in kinds:
        return None
    (kind,) = (kind for kind in kinds if kind is not types.NoneType)
    if typing.get_origin(kind) is Literal:
        choices = typing.get_args(kind)
        return None if value in choices else f"one of {', '.join(choices)}"
    if kind is bool:
        return None if isinstance(value, bool) else "true or false"
    if kind is str:
        return None if isinstance(value, str) and value else "a text that is not empty"
    at_least, at_most = limits.get("at_least"), limits.get("at_most")
    allowed = (int,) if kind is int else (int, float)
    if (
        isinstance(value, allowed)
        and not isinstance(value, bool)
        and (abs(value) < _INTEGERS if kind is int else math.isfinite(value))
        and (at_least is None or value >= at_least)
        and (at_most is None or value <= at_most)
    ):
        return None
    return "".join(
        [
            "an integer" if kind is int else "a number",
            "" if at_least is None else f" from {at_least}",
            "" if at_most is None else f" to {at_most}",
            " on" if at_least is not None and at_most is None else "",
        ]
    )
