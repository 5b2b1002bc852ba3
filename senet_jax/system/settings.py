"""Settings of what is chosen by a name: the fields of a dataclass, with meaning and range."""

import dataclasses
import math
import re
import typing
from collections.abc import Mapping
from typing import Any

from senet_jax.system.errors import UserError, shown

Value = int | float | bool | str


class Address(str):
    """The type of a setting that says where a server is; it has no room for a password."""


# For each type of a setting: its name, and how a value of it is written.
_KINDS: Mapping[type, tuple[str, re.Pattern]] = {
    int: ("an integer", re.compile(r"[+-]?[0-9]{1,18}")),
    float: ("a number", re.compile(r"[+-]?[0-9]{1,18}(\.[0-9]{0,18})?([eE][+-]?[0-9]{1,3})?")),
    bool: ("true or false", re.compile("true|false")),
    Address: (
        "an address such as https://host:19530",
        re.compile(r"(?=.{1,150}\Z)[a-z]+(://[A-Za-z0-9.-]+(:[0-9]{1,5})?(/[A-Za-z0-9_.-]+)*/?)?"),
    ),
    str: ("a word", re.compile(r"(?=.{1,50}\Z)[A-Za-z0-9_.-]+(,[A-Za-z0-9_.-]+)*")),
}


@dataclasses.dataclass(frozen=True)
class _Described:
    meaning: str
    at_least: float
    at_most: float
    below: float
    by_dataset: Mapping[str, Value]
    config_key: str


_UNDESCRIBED = _Described("", -math.inf, math.inf, math.inf, {}, "")


def setting(
    default: Value,
    meaning: str,
    *,
    at_least: float = -math.inf,
    at_most: float = math.inf,
    below: float = math.inf,
    by_dataset: Mapping[str, Value] | None = None,
    config_key: str = "",
) -> Any:
    """A field of `Settings`.

    Args:
        default: where neither the user nor the dataset has a value.
        meaning: one line for the help.
        at_least: the smallest value of a number.
        at_most: the largest one.
        below: what a number has to be below.
        by_dataset: the defaults of single datasets, by their names.
        config_key: the key of an evaluation's config that has the default there.
    """
    described = _Described(meaning, at_least, at_most, below, by_dataset or {}, config_key)
    return dataclasses.field(default=default, metadata={"setting": described})


@dataclasses.dataclass(frozen=True)
class Setting:
    """One setting; for the attributes see `setting`."""

    name: str
    kind: type
    default: Value
    described: _Described

    @property
    def meaning(self) -> str:
        """One line for the help; empty for a field without `setting`."""
        return self.described.meaning

    @property
    def has_one_default(self) -> bool:
        """Whether the default is the same for every dataset and config."""
        return not (self.described.by_dataset or self.described.config_key)

    @property
    def expected(self) -> str:
        """What a value has to be, such as `an integer from 0 to 10000`."""
        found = self.described
        limits = [
            f"{word} {value:g}"
            for word, value in (
                ("from", found.at_least),
                ("to", found.at_most),
                ("below", found.below),
            )
            if math.isfinite(value)
        ]
        return " ".join([_KINDS[self.kind][0], *limits])

    @property
    def default_text(self) -> str:
        """The default, with those of single datasets and configs."""
        found = self.described
        others = [
            f"{value_text(value)} for {dataset}"
            for dataset, value in found.by_dataset.items()
            if value != self.default
        ]
        others += [f"in an evaluation config.{found.config_key}"] if found.config_key else []
        return value_text(self.default) + "".join(f", {other}" for other in others)

    def default_for(self, dataset: str, config: Mapping[str, Any]) -> Value:
        """The value of a setting that nobody has given."""
        by_dataset = self.described.by_dataset.get(dataset, self.default)
        return config.get(self.described.config_key, by_dataset)

    def read(self, text: str) -> Value:
        """The value that a text says.

        Raises:
            UserError: it says none.
        """
        if not _KINDS[self.kind][1].fullmatch(text):
            raise self._refused(shown(text))
        return self.checked(text == "true" if self.kind is bool else self.kind(text))

    def checked(self, value: Any) -> Value:
        """A value as one of the setting's type.

        Raises:
            UserError: it is of another type, or out of range.
        """
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if self.kind is float and is_number and abs(value) < 1e300:
            value = float(value) + 0.0  # -0.0 becomes 0.0.
        if type(value) is not self.kind:
            raise self._refused(shown(value))
        found = self.described
        if is_number and not (found.at_least <= value <= found.at_most and value < found.below):
            raise self._refused(value_text(value))
        return value

    def _refused(self, seen: str) -> UserError:
        return UserError(f"{self.name} is {seen}; it has to be {self.expected}")


@dataclasses.dataclass(frozen=True)
class Settings:
    """What is chosen by a name, with its settings as fields; each may be a `setting(...)`.

    The first line of its docstring is its help.

    Raises:
        UserError: a setting is of another type, or out of range.
    """

    def __post_init__(self):
        for each in settings_of(type(self)):
            object.__setattr__(self, each.name, each.checked(getattr(self, each.name)))


def settings_of(kind: type) -> tuple[Setting, ...]:
    """The settings of a class, in the order of its fields.

    Raises:
        TypeError: a field is of a type that no setting has, or has no default.
    """
    hints = typing.get_type_hints(kind)
    found = []
    for field in dataclasses.fields(kind):
        if hints[field.name] not in _KINDS or field.default is dataclasses.MISSING:
            raise TypeError(
                f"{kind.__name__}.{field.name}: a setting is an int, float, bool or str, "
                "and has a default"
            )
        described = field.metadata.get("setting", _UNDESCRIBED)
        found.append(Setting(field.name, hints[field.name], field.default, described))
    return tuple(found)


def value_text(value: Value) -> str:
    """A value as it is written; equal values are written alike."""
    if isinstance(value, bool):
        return str(value).lower()
    return repr(value).removesuffix(".0") if isinstance(value, float) else str(value)
