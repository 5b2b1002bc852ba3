"""Checks a config before any work is done, so that a wrong value costs a second and not a night."""

import math
from collections.abc import Callable, Mapping
from typing import Any

from senet_jax.errors import UserError
from senet_jax.models.architecture import find_architecture
from senet_jax.retrieval.quantise import STORAGES

Check = Callable[[Any], str | None]


def _number(at_least: float, below: float = math.inf, *, above: bool = False) -> Check:
    """A finite number from `at_least` on (above it, with `above`) and below `below`."""

    def check(value: Any) -> str | None:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        high_enough = is_number and (value > at_least if above else value >= at_least)
        if high_enough and value < below:
            return None
        limit = "" if math.isinf(below) else f" and below {below}"
        return f"a number {'above' if above else 'from'} {at_least}{' on' * (not above)}{limit}"

    return check


def _integer(at_least: int) -> Check:
    def check(value: Any) -> str | None:
        is_integer = isinstance(value, int) and not isinstance(value, bool)
        return None if is_integer and value >= at_least else f"an integer from {at_least} on"

    return check


def _text(value: Any) -> str | None:
    return None if isinstance(value, str) else "a string"


def _filled(value: Any) -> str | None:
    return None if isinstance(value, str) and value.strip() else "a name that is not empty"


def _some_names(value: Any) -> str | None:
    return None if isinstance(value, str) and names(value) else "names, separated by commas"


def _yes_or_no(value: Any) -> str | None:
    return None if isinstance(value, bool) else "True or False"


def _tuple_of(check: Check, what: str, *, at_least: int = 0) -> Check:
    def check_all(value: Any) -> str | None:
        is_list = isinstance(value, tuple | list) and len(value) >= at_least
        return None if is_list and not any(map(check, value)) else f"a tuple of {what}"

    return check_all


def _pattern_and_factor(value: Any) -> str | None:
    is_pair = isinstance(value, tuple | list) and len(value) == 2
    return None if is_pair and not _filled(value[0]) and not _number(0)(value[1]) else "a pair"


def _one_of(*values: str) -> Check:
    return lambda value: None if value in values else f"one of {', '.join(values)}"


_SCALES = _tuple_of(
    _number(0, above=True), "positive numbers, such as (0.7071, 1.0, 1.4142)", at_least=1
)
_SCHEMAS: dict[str, dict[str, Check]] = {
    "evaluate": {
        "job": _text,
        "model": _filled,
        "weights": _filled,
        "data_root": _filled,
        "datasets": _some_names,
        "distractors": _text,
        "scales": _SCALES,
        "crop_queries": _yes_or_no,
        "strict": _yes_or_no,
        "allow_unreadable": _number(0, 1.0001),
        "mode": _one_of("auto", "exact"),
        "storage": _one_of(*STORAGES),
        "rerank": _text,
        "cvnet_weights": _text,
        "rerank_top": _integer(1),
    },
    "train": {
        "job": _text,
        "model": _filled,
        "seed": _integer(0),
        "trunk": _text,
        "batch_size": _integer(1),
        "epochs": _number(0, above=True),
        "precision": _one_of("float32", "bfloat16"),
        "sync_batch_norm": _yes_or_no,
        "descriptor_norm": _yes_or_no,
        "remat": _yes_or_no,
        "accumulate": _integer(1),
        "log_every_steps": _integer(1),
        "data.folder": _filled,
        "data.side": _integer(1),
        "data.smallest_area": _number(0, 1.0001, above=True),
        "data.widest_aspect": _number(1),
        "data.flip": _yes_or_no,
        "data.lighting_sigma": _number(0),
        "data.workers": _integer(0),
        "data.group_classes": _integer(0),
        "data.group_views": _integer(0),
        "optimizer.name": _one_of("sgd", "adamw"),
        "optimizer.learning_rate": _number(0, above=True),
        "optimizer.momentum": _number(0, 1),
        "optimizer.nesterov": _yes_or_no,
        "optimizer.weight_decay": _number(0),
        "optimizer.no_weight_decay": _tuple_of(_filled, "regular expressions"),
        "optimizer.rate_multipliers": _tuple_of(_pattern_and_factor, "(expression, factor) pairs"),
        "optimizer.warmup_epochs": _number(0),
        "optimizer.warmup_start": _number(0),
        "optimizer.clip_norm": _number(0),
        "losses.classification_weight": _number(0),
        "losses.contrastive_weight": _number(0),
        "losses.margin_kind": _one_of("curricular", "arc"),
        "losses.scale": _number(0, above=True),
        "losses.margin_radians": _number(0, math.pi),
        "losses.contrastive_scale": _number(0, above=True),
        "losses.contrastive_margin_radians": _number(0, math.pi),
        "losses.queue_length": _integer(1),
        "losses.max_positives": _integer(1),
        "losses.network_momentum": _number(0, 1),
        "losses.keys_first": _yes_or_no,
        "losses.keys_batch_norm": _one_of("batch", "running"),
        "evaluation.data_root": _text,
        "evaluation.datasets": _text,
        "evaluation.every_steps": _integer(1),
        "evaluation.scales": _SCALES,
        "checkpoint.every_steps": _integer(1),
        "checkpoint.keep": _integer(1),
    },
}


def validate(config: Mapping[str, Any]) -> None:
    """Checks that every key is there, known, and has a value of its kind.

    Raises:
        UserError: the first key that is wrong, its value, and what is expected of it.
    """
    job = config.get("job")
    if not isinstance(job, str) or job not in _SCHEMAS:
        raise UserError(f"config.job is {job!r}; jobs are {', '.join(_SCHEMAS)}")
    schema, values = _SCHEMAS[job], flat(config)
    for key in values:
        if key not in schema:
            raise UserError(f"config.{key} is unknown to the job {job}; keys: {', '.join(schema)}")
    for key, check in schema.items():
        if key not in values:
            raise UserError(f"config.{key} is missing; the job {job} needs it")
        expected = check(values[key])
        if expected:
            raise UserError(f"config.{key} is {values[key]!r}; it has to be {expected}")
    if not find_architecture(config["model"]).describes:
        raise UserError(
            f"config.model is {config['model']!r}, a classifier of ImageNet; the job {job} needs a "
            "network that gives descriptors, such as r50"
        )
    if job == "train":
        _validate_training(values)


def _validate_training(values: Mapping[str, Any]) -> None:
    weights = ("losses.classification_weight", "losses.contrastive_weight")
    if not any(values[key] for key in weights):
        raise UserError(f"config.{' and config.'.join(weights)} are 0; one loss is needed")
    if bool(values["data.group_classes"]) != bool(values["data.group_views"]):
        raise UserError(
            f"config.data.group_classes is {values['data.group_classes']} and "
            f"config.data.group_views {values['data.group_views']}; give both or none"
        )
    if values["optimizer.warmup_epochs"] >= values["epochs"]:
        raise UserError(
            f"config.optimizer.warmup_epochs is {values['optimizer.warmup_epochs']}, "
            f"config.epochs {values['epochs']}; warm up over a part of the training"
        )
    if values["losses.contrastive_weight"] and values["losses.queue_length"] < values["batch_size"]:
        raise UserError(
            f"config.losses.queue_length is {values['losses.queue_length']}, config.batch_size "
            f"{values['batch_size']}; the queue takes at least a batch"
        )


def flat(config: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """`{"data": {"side": 64}}` -> `{"data.side": 64}`."""
    values = {}
    for key, value in config.items():
        if isinstance(value, Mapping) or hasattr(value, "items"):
            values |= flat(value, f"{prefix}{key}.")
        else:
            values[f"{prefix}{key}"] = value
    return values


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
