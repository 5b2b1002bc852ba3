"""Checks a config before any work is done, so that a wrong value costs a second and not a night."""

import math
from collections.abc import Callable
from typing import Any

from ml_collections import config_dict

from senet_jax.errors import UserError
from senet_jax.models.architecture import find_architecture

Check = Callable[[Any], str | None]


def _text(value: Any) -> str | None:
    return None if isinstance(value, str) else "a string"


def _filled(value: Any) -> str | None:
    return None if isinstance(value, str) and value.strip() else "a name that is not empty"


def _some_names(value: Any) -> str | None:
    return None if isinstance(value, str) and names(value) else "names, separated by commas"


def _yes_or_no(value: Any) -> str | None:
    return None if isinstance(value, bool) else "True or False"


def _scales(value: Any) -> str | None:
    def is_scale(entry: Any) -> bool:
        return isinstance(entry, int | float) and math.isfinite(entry) and entry > 0

    if isinstance(value, tuple | list) and value and all(map(is_scale, value)):
        return None
    return "a tuple of positive numbers, such as (0.7071, 1.0, 1.4142)"


def _one_of(*values: str) -> Check:
    return lambda value: None if value in values else f"one of {', '.join(values)}"


_SCHEMAS: dict[str, dict[str, Check]] = {
    "evaluate": {
        "job": _text,
        "model": _filled,
        "weights": _filled,
        "data_root": _filled,
        "datasets": _some_names,
        "distractors": _text,
        "scales": _scales,
        "crop_queries": _yes_or_no,
        "strict": _yes_or_no,
        "mode": _one_of("auto", "exact"),
    },
}


def validate(config: config_dict.ConfigDict) -> None:
    """Checks that every key is there, known, and has a value of its kind.

    Raises:
        UserError: the first key that is wrong, its value, and what is expected of it.
    """
    job = config.get("job")
    if not isinstance(job, str) or job not in _SCHEMAS:
        raise UserError(f"config.job is {job!r}; jobs are {', '.join(_SCHEMAS)}")
    schema = _SCHEMAS[job]
    for key in config:
        if key not in schema:
            raise UserError(f"config.{key} is unknown to the job {job}; keys: {', '.join(schema)}")
    for key, check in schema.items():
        if key not in config:
            raise UserError(f"config.{key} is missing; the job {job} needs it")
        expected = check(config[key])
        if expected:
            raise UserError(f"config.{key} is {config[key]!r}; it has to be {expected}")
    architecture = find_architecture(config.model)
    if job == "evaluate" and not architecture.describes:
        raise UserError(
            f"config.model is {config.model!r}, a classifier of ImageNet; evaluation needs a "
            "network that gives descriptors, such as r50"
        )


def names(value: str) -> list[str]:
    """`"a, b"` -> `["a", "b"]`.

    Raises:
        UserError: a name is repeated.
    """
    found = [name.strip() for name in value.split(",") if name.strip()]
    repeated = [name for name in found if found.count(name) > 1]
    if repeated:
        raise UserError(f"{value!r} names {repeated[0]!r} more than once; name it once")
    return found
