"""How settings are written: `name` or `name(setting=value, ...)`, several joined by commas.

Each name stands for a class of `Settings`. A value may hold commas, as the descriptions of faiss's
indices do: what has no `=` belongs to the value before it.
"""

import dataclasses
import re
import textwrap
from collections.abc import Callable, Mapping

from senet_jax.system.errors import UserError, shown
from senet_jax.system.settings import Setting, Settings, Value, settings_of, value_text

LONGEST = 200
"""Characters of a text: it becomes a part of file names."""

_PART = re.compile(r"([^()]*)(?:\(([^()]*)\))?\s*")
_OUTER_COMMA = re.compile(r",(?![^()]*\))")
_COMMA_BEFORE_SETTING = re.compile(r",(?=[^,]*=|\s*(?:,|\Z))")
_HELP_WIDTH = 96


@dataclasses.dataclass(frozen=True)
class Spelled:
    """A name with settings, as a user writes it.

    Attributes:
        name: what is chosen.
        given: the settings that are not left to their defaults, in the order of the fields.
    """

    name: str
    given: tuple[tuple[str, Value], ...] = ()

    def __str__(self) -> str:
        """The text: without spaces, and one for equal settings."""
        settings = ",".join(f"{name}={value_text(value)}" for name, value in self.given)
        return f"{self.name}({settings})" if settings else self.name


def spelled(name: str, settings: Settings) -> Spelled:
    """Settings under their name; those left out are defaults that are the same everywhere."""
    return _canonical(name, type(settings), dataclasses.asdict(settings))


def parse_spelled(text: str, kinds: Mapping[str, type[Settings]], what: str) -> list[Spelled]:
    """Reads a text such as `dba(neighbours=10),alpha_qe`.

    Spaces around names and values do not count.

    Args:
        text: what a user wrote.
        kinds: what can be chosen, by its name.
        what: it is, as errors call it, such as `re-ranking method`.

    Raises:
        UserError: the text, a name, a setting or a value is wrong.
    """
    if len(text) > LONGEST:
        raise UserError(
            f"the {what} {shown(text)} has {len(text)} characters; give up to {LONGEST}"
        )
    return [_parse(part, kinds, what) for part in _OUTER_COMMA.split(text)]


def _parse(text: str, kinds: Mapping[str, type[Settings]], what: str) -> Spelled:
    matched = _PART.fullmatch(text)
    if matched is None:
        raise UserError(
            f"the {what} {shown(text)} cannot be read; write NAME or NAME(SETTING=VALUE,...), "
            "several joined by commas"
        )
    name, inner = matched[1].strip(), (matched[2] or "").strip()
    if name not in kinds:
        raise UserError(f"no {what} {shown(name)}; choose from {', '.join(kinds)}")
    settings = {setting.name: setting for setting in settings_of(kinds[name])}
    given: dict[str, Value] = {}
    for word in _COMMA_BEFORE_SETTING.split(inner) if inner else []:
        key, equals, value = (part.strip() for part in word.partition("="))
        if not equals or key not in settings or key in given:
            wrong = "gives twice" if key in given else "cannot take"
            raise UserError(f"{name} {wrong} {shown(word.strip())}; {_choice(name, settings)}")
        try:
            given[key] = settings[key].read(value)
        except UserError as error:
            raise UserError(f"{name}: {error}; {_choice(name, settings)}") from error
    return _canonical(name, kinds[name], given)


def _canonical(name: str, kind: type[Settings], given: Mapping[str, Value]) -> Spelled:
    kept = [
        (setting.name, given[setting.name])
        for setting in settings_of(kind)
        if setting.name in given
        and not (setting.has_one_default and given[setting.name] == setting.default)
    ]
    return Spelled(name, tuple(kept))


def _choice(name: str, settings: Mapping[str, Setting]) -> str:
    if not settings:
        return f"{name} has no settings"
    lines = [f"{s.name} ({s.expected}; default {s.default_text})" for s in settings.values()]
    return f"its settings: {', '.join(lines)}"


def settings_help(
    kinds: Mapping[str, type[Settings]], note_of: Callable[[str], str] = lambda name: ""
) -> str:
    """Every name with its settings, for `--help`.

    Args:
        kinds: what can be chosen.
        note_of: what else is said of a name.
    """
    lines = []
    for name, kind in kinds.items():
        first_line = (kind.__doc__ or "").strip().partition("\n")[0]
        lines.append(f"  {name:20} {' '.join(filter(None, [first_line, note_of(name)]))}")
        for each in settings_of(kind):
            written = f"{each.name}={value_text(each.default)}"
            others = each.default_text.partition(", ")[2]
            told = "; ".join(filter(None, [each.meaning, each.expected, others]))
            lines += textwrap.wrap(
                f"{written:20} {told}",
                _HELP_WIDTH,
                initial_indent=" " * 6,
                subsequent_indent=" " * 27,
            )
    return "\n".join(lines)
