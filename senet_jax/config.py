"""Sections of a config: frozen dataclasses whose fields say what a value has to be and means.

A room declares its section with `setting` for each key; `section`, `inlined` and `chosen` join
sections to the settings of a job. From such a class come the keys of a config, their default
values, the check of a user's values, and the text of `--help`.
"""

import collections
import copy
import dataclasses
import functools
import math
import shlex
import textwrap
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

from ml_collections import config_dict

from senet_jax.models.registry import describes, find_architecture
from senet_jax.system.errors import UserError, shown
from senet_jax.system.files import local_path

Check = Callable[[Any], str | None]
"""None for a value that is right, or else what is expected."""
Config = Mapping[str, Any] | config_dict.ConfigDict
JobSettings = TypeVar("JobSettings", bound="Job")


def number(at_least: float, below: float = math.inf, *, above: bool = False) -> Check:
    """A finite number from `at_least` on (above it, with `above`) and below `below`."""

    def check(value: Any) -> str | None:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        high_enough = is_number and (value > at_least if above else value >= at_least)
        if high_enough and value < min(below, 1e12):
            return None
        limit = "" if math.isinf(below) else f" and below {below}"
        return f"a number {'above' if above else 'from'} {at_least}{' on' * (not above)}{limit}"

    return check


def integer(at_least: int) -> Check:
    """An integer from `at_least` on."""

    def check(value: Any) -> str | None:
        is_integer = isinstance(value, int) and not isinstance(value, bool)
        if is_integer and at_least <= value < 2**31:
            return None
        return f"an integer from {at_least} on, of 31 bits"

    return check


def text(value: Any) -> str | None:
    """A string."""
    return None if isinstance(value, str) else "a string"


def filled(value: Any) -> str | None:
    """A string that is not empty."""
    return None if isinstance(value, str) and value.strip() else "a name that is not empty"


def path(value: Any) -> str | None:
    """A path of this machine, in which `expand_paths` expands `~`."""
    if filled(value):
        return filled(value)
    try:
        local_path(value)
    except UserError as error:
        return f"a path: {error}"
    return None


def path_or_nothing(value: Any) -> str | None:
    """A path, or an empty string."""
    return None if value == "" else path(value)


def some_names(value: Any) -> str | None:
    """One name or more, separated by commas."""
    return None if isinstance(value, str) and names(value) else "names, separated by commas"


def yes_or_no(value: Any) -> str | None:
    """A truth value."""
    return None if isinstance(value, bool) else "True or False"


def tuple_of(check: Check, what: str, *, at_least: int = 0) -> Check:
    """A tuple of `at_least` elements or more, each of which passes a check."""

    def check_all(value: Any) -> str | None:
        is_list = isinstance(value, tuple | list) and len(value) >= at_least
        return None if is_list and not any(map(check, value)) else f"a tuple of {what}"

    return check_all


def one_of(*values: str) -> Check:
    """One of some strings."""
    return lambda value: None if value in values else f"one of {', '.join(values)}"


scales = tuple_of(
    number(0.01, 16.0001), "numbers from 0.01 to 16, such as (0.7071, 1.0, 1.4142)", at_least=1
)
"""The sizes at which an image is described."""


@dataclasses.dataclass(frozen=True)
class Setting:
    """What a config's key is.

    Attributes:
        check: of its value.
        meaning: in words.
        default: its value where nothing is said; `dataclasses.MISSING` where it has none.
        source: where the default value is from, if that has to be said.
        key: its name, if it is not that of the field.
    """

    check: Check
    meaning: str
    default: Any
    source: str = ""
    key: str = ""

    def __str__(self) -> str:
        return f"{self.meaning} [default: {self.source}]" if self.source else self.meaning


@dataclasses.dataclass(frozen=True)
class _Section:
    kind: type
    inlined: bool


@dataclasses.dataclass(frozen=True)
class _Chosen:
    choose: Callable[[Mapping[str, Any]], Mapping[str, type]]


def setting(
    check: Check,
    meaning: str,
    default: Any = dataclasses.MISSING,
    *,
    source: str = "",
    key: str = "",
) -> Any:
    """A field of a section that is a key of the config; see `Setting`."""
    return dataclasses.field(
        default=default, metadata={"config": Setting(check, meaning, default, source, key)}
    )


def section(kind: type) -> Any:
    """A field that is a section of its own, whose keys are `FIELD.KEY`."""
    return dataclasses.field(default_factory=kind, metadata={"config": _Section(kind, False)})


def inlined(kind: type) -> Any:
    """A field that is a section whose keys stand among those around it."""
    return dataclasses.field(default_factory=kind, metadata={"config": _Section(kind, True)})


def chosen(choose: Callable[[Mapping[str, Any]], Mapping[str, type]]) -> Any:
    """A field that is a tuple of sections, all under `FIELD.`, chosen by what stands there.

    Their keys are `NAME_FIELD`, where a setting has no key of its own.

    Args:
        choose: the config's values under the field -> the sections by name; each has its name as
            the attribute `name`.
    """
    return dataclasses.field(default=(), metadata={"config": _Chosen(choose)})


class Job:
    """The settings of a job: the base of a frozen dataclass with the fields `job` and `model`."""

    job: str
    model: str

    def check(self) -> None:
        """Checks what no value alone can tell.

        Raises:
            UserError: settings that do not go together.
        """
        if not describes(find_architecture(self.model)):
            raise UserError(
                f"config.model is {shown(self.model)}, which gives no descriptors of images; the "
                f"job {self.job} needs a network that does, such as r50"
            )


def schema_of(kind: type, config: Config) -> dict[str, Setting]:
    """The keys that a config has to have, `data.side` for instance, in their order.

    Args:
        kind: a section.
        config: whose values choose sections.
    """
    return dict(_keys(kind, config))


def _keys(kind: type, part: Any, name: str = "") -> Iterator[tuple[str, Setting]]:
    part = part if _is_mapping(part) else {}
    for field in dataclasses.fields(kind):
        match field.metadata["config"]:
            case Setting() as found:
                yield found.key or f"{name}{field.name}", found
            case _Section(inner, inlined=True):
                yield from _keys(inner, part)
            case _Section(inner):
                for key, found in _keys(inner, part.get(field.name)):
                    yield f"{field.name}.{key}", found
            case _Chosen(choose):
                of_field = part.get(field.name)
                inners = choose(of_field if _is_mapping(of_field) else {})
                for inner_name, inner in inners.items():
                    for key, found in _keys(inner, of_field, f"{inner_name}_"):
                        yield f"{field.name}.{key}", found


def read(kind: type[JobSettings], config: Config) -> JobSettings:
    """The settings of a job that a config holds.

    Raises:
        UserError: the first key that is unknown, missing or wrong, its value, and what is expected
            of it.
    """
    schema, values, job = schema_of(kind, config), flat(config), config.get("job")
    for key in values:
        if key not in schema:
            raise UserError(f"config.{key} is unknown to the job {job}; keys: {', '.join(schema)}")
    for key, found in schema.items():
        if key not in values:
            raise UserError(f"config.{key} is missing; the job {job} needs it")
        expected = found.check(values[key])
        if expected:
            raise UserError(f"config.{key} is {shown(values[key])}; it has to be {expected}")
    settings = _made(kind, config)
    settings.check()
    return settings


def completed(kind: type, stored: Mapping[str, Any]) -> dict[str, Any]:
    """Settings that an earlier version stored, with the defaults of keys that have come since.

    So a key that is added later has to leave a job as it was by its default.

    Args:
        kind: a section.
        stored: its values, as JSON holds them; they stay as they are.
    """
    settings = copy.deepcopy(dict(stored))
    for key, found in schema_of(kind, stored).items():
        *parents, leaf = key.split(".")
        part = functools.reduce(lambda part, name: part.setdefault(name, {}), parents, settings)
        if found.default is not dataclasses.MISSING:
            part.setdefault(leaf, found.default)
    return settings


def _made(kind: type, part: Any, name: str = "") -> Any:
    values: dict[str, Any] = {}
    for field in dataclasses.fields(kind):
        match field.metadata["config"]:
            case Setting() as found:
                values[field.name] = _immutable(part[found.key or f"{name}{field.name}"])
            case _Section(inner, inlined):
                values[field.name] = _made(inner, part if inlined else part[field.name])
            case _Chosen(choose):
                of_field = part[field.name]
                values[field.name] = tuple(
                    _made(inner, of_field, f"{inner_name}_")
                    for inner_name, inner in choose(of_field).items()
                )
    return kind(**values)


def _immutable(value: Any) -> Any:
    return tuple(map(_immutable, value)) if isinstance(value, tuple | list) else value


def to_config(settings: Any) -> config_dict.ConfigDict:
    """The config that holds settings; `read` gives them back."""
    config = config_dict.ConfigDict()
    _put(config, settings)
    return config


def _put(config: Any, settings: Any, name: str = "") -> None:
    for field in dataclasses.fields(settings):
        value = getattr(settings, field.name)
        match field.metadata["config"]:
            case Setting() as found:
                config[found.key or f"{name}{field.name}"] = value
            case _Section(_, inlined=True):
                _put(config, value)
            case _Section():
                config[field.name] = to_config(value)
            case _Chosen():
                config[field.name] = config_dict.ConfigDict()
                for each in value:
                    _put(config[field.name], each, f"{each.name}_")


def keys_help(kind: type | None, config: Config) -> str:
    """The keys of a config, each with the value that it has and what it means.

    Values stand as they are given on a command line; unknown keys come last.

    Args:
        kind: the settings of its job; None where no job is called so.
        config: any.
    """
    schema, values = {} if kind is None else schema_of(kind, config), flat(config)
    lines = []
    for key in [
        *(key for key in schema if key in values),
        *(key for key in values if key not in schema),
    ]:
        lines.append(f"  --config.{key}={shlex.quote(str(values[key]))}")
        meaning = str(schema[key]) if key in schema else "UNKNOWN to this job"
        lines.append(textwrap.indent(textwrap.fill(meaning, 90), " " * 8))
    return "\n".join(lines)


def expand_paths(kind: type, config: config_dict.ConfigDict) -> None:
    """Expands `~` in the paths of a valid config."""
    for key, found in schema_of(kind, config).items():
        *parents, leaf = key.split(".")
        part: Any = functools.reduce(getattr, parents, config)
        if found.check in (path, path_or_nothing) and part[leaf]:
            part[leaf] = str(local_path(part[leaf]))


def flat(config: Config, prefix: str = "") -> dict[str, Any]:
    """`{"data": {"side": 64}}` -> `{"data.side": 64}`."""
    values: dict[str, Any] = {}
    value: Any
    for key, value in config.items():
        if _is_mapping(value):
            values |= flat(value, f"{prefix}{key}.")
        else:
            values[f"{prefix}{key}"] = value
    return values


def _is_mapping(value: Any) -> bool:
    return isinstance(value, Mapping) or hasattr(value, "items")


def names(value: str) -> list[str]:
    """`"a, b"` -> `["a", "b"]`.

    Raises:
        UserError: a name is repeated.
    """
    found = [name.strip() for name in value.split(",") if name.strip()]
    for name, count in collections.Counter(found).items():
        if count > 1:
            raise UserError(f"{shown(value)} names {shown(name)} more than once; name it once")
    return found
