"""Which settings may change when a training is resumed: those that do not change its result."""

from collections.abc import Mapping
from typing import Any

from senet_jax.config import flat, names
from senet_jax.system.errors import UserError, shown
from senet_jax.training.settings import RATES

NOTES = ("data_found", "start_found", "rate_changes")
"""What stands beside the config in the settings of a training: what its folders held, and which
rates were changed at which step."""

_FREE = (
    "data.workers",
    "log_every_steps",
    "checkpoint.",
    "remat",
    "evaluation.",
    "allow_changes",
    "optimizer.recipe",
)
# What was found in a folder has to stay; its place may change.
_FOLDERS = {"data.folder": "data_found", "start": "start_found"}


def resumed(before: Mapping[str, Any], now: Mapping[str, Any], step: int) -> dict[str, Any]:
    """The settings of a training that is resumed.

    Args:
        before: those that the checkpoint was made with.
        now: those that were given, with what was found.
        step: of the checkpoint.

    Returns:
        The settings now; `rate_changes` lists `step`, `key`, `before` and `now` of each change of
        a rate.

    Raises:
        UserError: a setting that changes the result is another one, and none of the rates that
            `allow_changes` names.
    """
    old, new = _config(before), _config(now)
    if old.keys() != new.keys():
        key = min(old.keys() ^ new.keys())
        raise UserError(
            f"it was begun by another version of senet_jax, in which config.{key} is "
            f"{'known' if key in old else 'not known'}; resume with that, or use another workdir"
        )
    allowed, rate_changes = names(now["allow_changes"]), list(before["rate_changes"])
    for key in _changed(before, now):
        if key in allowed:
            rate_changes.append({"step": step, "key": key, "before": old[key], "now": new[key]})
        elif key in _FOLDERS and _content(before, key) != _content(now, key):
            raise UserError(
                f"config.{key} {shown(new[key])} does not hold what the training was begun with; "
                "put that back, or use another workdir"
            )
        elif key not in _FOLDERS and not key.startswith(_FREE):
            mend = f"allow it by --config.allow_changes={key}" if key in RATES else "set it back"
            raise UserError(
                f"it was begun with config.{key} {shown(old[key])}, now it is {shown(new[key])}; "
                f"{mend}, or use another workdir"
            )
    return {**now, "rate_changes": rate_changes}


def note(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """One line on what has changed; empty where nothing has."""
    old, new = _config(before), _config(now)
    parts = [
        f"config.{key} {shown(old[key])} -> {shown(new[key])}"
        for key in _changed(before, now)
        if key != "allow_changes"
    ]
    if measured(before) != measured(now):
        parts.append("scores so far do not count any more, for they are of another evaluation")
    return ", ".join(parts)


def measured(settings: Mapping[str, Any]) -> str:
    """What the scores of a training are measured on; others do not compare with them."""
    evaluation = settings.get("evaluation")
    if evaluation is None:  # Of trainings that are not evaluated on the way.
        return ""
    return f"{', '.join(names(evaluation['datasets']))} at {list(evaluation['scales'])}"


def _changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    old, new = _config(before), _config(now)
    return [
        key
        for key in new
        if old[key] != new[key] or (key in _FOLDERS and _content(before, key) != _content(now, key))
    ]


def _content(settings: Mapping[str, Any], key: str) -> Any:
    return settings[_FOLDERS[key]]["sha256"]


def _config(settings: Mapping[str, Any]) -> dict[str, Any]:
    return flat({key: value for key, value in settings.items() if key not in NOTES})
