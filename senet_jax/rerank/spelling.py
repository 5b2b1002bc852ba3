"""How methods are written: `name` or `name(setting=value, ...)`, joined by commas."""

import dataclasses
import re
from collections.abc import Mapping

from senet_jax.rerank.method import Method
from senet_jax.rerank.settings import Setting, Value, settings_of, value_text
from senet_jax.system.errors import UserError, shown

LONGEST = 200
"""Characters of a method string: it becomes a part of file names."""

_PART = re.compile(r"([^()]*)(?:\(([^()]*)\))?\s*")
_OUTER_COMMA = re.compile(r",(?![^()]*\))")


@dataclasses.dataclass(frozen=True)
class Spelled:
    """A method as a user writes it.

    Attributes:
        name: of the method.
        given: the settings that are not left to their defaults, in the order of the method's.
    """

    name: str
    given: tuple[tuple[str, Value], ...] = ()

    def __str__(self) -> str:
        """The method string: without spaces, and one for equal settings."""
        settings = ",".join(f"{name}={value_text(value)}" for name, value in self.given)
        return f"{self.name}({settings})" if settings else self.name


def spelled(name: str, method: Method) -> Spelled:
    """A method with its settings; those left out are defaults that are the same everywhere."""
    return _canonical(name, type(method), dataclasses.asdict(method))


def parse_methods(text: str, methods: Mapping[str, type[Method]]) -> list[Spelled]:
    """Reads a string such as `dba(neighbours=10),alpha_qe`.

    Spaces around names and values do not count.

    Args:
        text: what a user wrote.
        methods: by their names.

    Raises:
        UserError: the string, a name, a setting or a value is wrong.
    """
    if len(text) > LONGEST:
        raise UserError(
            f"the re-ranking {shown(text)} has {len(text)} characters; give up to {LONGEST}"
        )
    return [_parse(part, methods) for part in _OUTER_COMMA.split(text)]


def _parse(text: str, methods: Mapping[str, type[Method]]) -> Spelled:
    matched = _PART.fullmatch(text)
    if matched is None:
        raise UserError(
            f"the re-ranking method {shown(text)} cannot be read; write NAME or "
            "NAME(SETTING=VALUE,...), several joined by commas"
        )
    name, inner = matched[1].strip(), (matched[2] or "").strip()
    if name not in methods:
        raise UserError(
            f"no re-ranking method {shown(name)}; choose from {', '.join(methods)} and join "
            "several by commas"
        )
    settings = {setting.name: setting for setting in settings_of(methods[name])}
    given: dict[str, Value] = {}
    for word in inner.split(",") if inner else []:
        key, equals, value = (part.strip() for part in word.partition("="))
        if not equals or key not in settings or key in given:
            wrong = "gives twice" if key in given else "cannot take"
            raise UserError(f"{name} {wrong} {shown(word.strip())}; {_choice(name, settings)}")
        try:
            given[key] = settings[key].read(value)
        except UserError as error:
            raise UserError(f"{name}: {error}; {_choice(name, settings)}") from error
    return _canonical(name, methods[name], given)


def _canonical(name: str, method: type[Method], given: Mapping[str, Value]) -> Spelled:
    kept = [
        (setting.name, given[setting.name])
        for setting in settings_of(method)
        if setting.name in given
        and not (setting.has_one_default and given[setting.name] == setting.default)
    ]
    return Spelled(name, tuple(kept))


def _choice(name: str, settings: Mapping[str, Setting]) -> str:
    if not settings:
        return f"{name} has no settings"
    lines = [f"{s.name} ({s.expected}; default {s.default_text})" for s in settings.values()]
    return f"its settings: {', '.join(lines)}"
