"""Checks a config before any work is done, so that a wrong value costs a second and not a night."""

import collections
import functools
import math
import re
import shlex
import textwrap
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ml_collections import config_dict

from senet_jax.models.architecture import find_architecture
from senet_jax.search.storage import STORAGES
from senet_jax.system.errors import UserError, reason, shown
from senet_jax.system.files import local_path

Check = Callable[[Any], str | None]


def _number(at_least: float, below: float = math.inf, *, above: bool = False) -> Check:
    """A finite number from `at_least` on (above it, with `above`) and below `below`."""

    def check(value: Any) -> str | None:
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        high_enough = is_number and (value > at_least if above else value >= at_least)
        if high_enough and value < min(below, 1e12):
            return None
        limit = "" if math.isinf(below) else f" and below {below}"
        return f"a number {'above' if above else 'from'} {at_least}{' on' * (not above)}{limit}"

    return check


def _integer(at_least: int) -> Check:
    def check(value: Any) -> str | None:
        is_integer = isinstance(value, int) and not isinstance(value, bool)
        if is_integer and at_least <= value < 2**31:
            return None
        return f"an integer from {at_least} on, of 31 bits"

    return check


def _text(value: Any) -> str | None:
    return None if isinstance(value, str) else "a string"


def _filled(value: Any) -> str | None:
    return None if isinstance(value, str) and value.strip() else "a name that is not empty"


def _path(value: Any) -> str | None:
    """A path of this machine; `expand_paths` makes it plain."""
    if _filled(value):
        return _filled(value)
    try:
        local_path(value)
    except UserError as error:
        return f"a path: {error}"
    return None


def _path_or_nothing(value: Any) -> str | None:
    return None if value == "" else _path(value)


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


def _batch_and_rate(value: Any) -> str | None:
    is_pair = isinstance(value, tuple | list) and len(value) == 2
    if is_pair and not _integer(1)(value[0]) and not _number(0, above=True)(value[1]):
        return None
    return "a pair of a batch size and a learning rate, such as (144, 0.005625)"


def _one_of(*values: str) -> Check:
    return lambda value: None if value in values else f"one of {', '.join(values)}"


RATES = tuple(
    f"optimizer.{name}"
    for name in ("learning_rate", "rate_multipliers", "warmup_epochs", "warmup_start")
)
"""What `allow_changes` may name."""

_SCALES = _tuple_of(
    _number(0.01, 16.0001), "numbers from 0.01 to 16, such as (0.7071, 1.0, 1.4142)", at_least=1
)
_SCHEMAS: dict[str, dict[str, tuple[Check, str]]] = {
    "evaluate": {
        "job": (_text, "what is run: train or evaluate"),
        "model": (_filled, "name of the network; the weights have to be of it"),
        "weights": (
            _path,
            "weights folder, made by python -m senet_jax.convert",
        ),
        "data_root": (
            _path,
            "folder of all datasets: NAME/gnd_NAME.pkl and NAME/jpg/*.jpg in it",
        ),
        "datasets": (_some_names, "names of the datasets, separated by commas"),
        "distractors": (
            _text,
            "name of a set of distractors that is appended to every database, such as revisitop1m "
            "for the +1M figures; empty: none",
        ),
        "scales": (_SCALES, "the sizes at which an image is described, relative to its own"),
        "crop_queries": (
            _yes_or_no,
            "cut queries to their boxes, as the benchmark does; figures without are not comparable",
        ),
        "strict": (
            _yes_or_no,
            "stop at the first unreadable database image, instead of ranking it last",
        ),
        "allow_unreadable": (
            _number(0, 1.0001),
            "the share of a list of database images that may be unreadable; with more the job ends",
        ),
        "mode": (
            _one_of("auto", "exact"),
            "exact: one program for each shape of image; auto: the fastest way that is as precise",
        ),
        "storage": (
            _one_of(*STORAGES),
            "how the databases' descriptors are kept; float16, bfloat16 and int8 are smaller",
        ),
        "rerank": (
            _text,
            "re-ranking methods, such as dba(neighbours=10),alpha_qe, each on what the one before "
            "it found; python -m senet_jax.rerank --help tells them all; empty: none",
        ),
        "cvnet_weights": (_path_or_nothing, "for cvnet: weights folder made of a CVNet checkpoint"),
        "rerank_top": (
            _integer(1),
            "how many items of a list cvnet and geometric score, unless their setting top says",
        ),
    },
    "train": {
        "job": (_text, "what is run: train or evaluate"),
        "model": (_filled, "name of the network"),
        "seed": (_integer(0), "of the initialisation, the order of the images and their changes"),
        "start": (
            _path_or_nothing,
            "weights folder that the training starts from: of the whole network, or of an ImageNet "
            "trunk of its depth; empty: the authors' initialisation",
        ),
        "allow_changes": (
            _text,
            "rates that may be others when a training goes on, separated by commas, such as "
            "optimizer.learning_rate; empty: none",
        ),
        "batch_size": (_integer(1), "images a step, over all devices"),
        "epochs": (_number(0, above=True), "how often the data is gone through"),
        "precision": (
            _one_of("float32", "bfloat16"),
            "of the network's arithmetic; bfloat16 is for accelerators",
        ),
        "sync_batch_norm": (_yes_or_no, "take batch statistics over all devices"),
        "descriptor_norm": (
            _yes_or_no,
            "a batch norm after the last layer, folded into it at the end",
        ),
        "remat": (
            _yes_or_no,
            "compute activations of residual blocks twice instead of keeping them: less memory",
        ),
        "accumulate": (
            _integer(1),
            "in how many parts a device goes through its batch: less memory; batch statistics are "
            "those of a part",
        ),
        "log_every_steps": (_integer(1), "steps between two lines of metrics"),
        "data.folder": (_path, "prepared dataset, made by python -m senet_jax.data.prepare"),
        "data.side": (_integer(1), "side of the square training images, in pixels"),
        "data.smallest_area": (
            _number(0, 1.0001, above=True),
            "the smallest share of an image that a random crop has",
        ),
        "data.widest_aspect": (
            _number(1),
            "the largest ratio of a random crop's longer to its shorter side",
        ),
        "data.flip": (_yes_or_no, "mirror every second image, by chance"),
        "data.lighting_sigma": (
            _number(0),
            "standard deviation of the random change of colours (PCA lighting); 0: none",
        ),
        "data.workers": (_integer(0), "processes that read images; 0: the training's own threads"),
        "data.group_classes": (
            _integer(0),
            "classes in a row whose images stand together in a batch (look-alikes); 0: no groups",
        ),
        "data.group_views": (_integer(0), "images of each class in such a group; 0: no groups"),
        "optimizer.name": (
            _one_of("sgd", "adamw"),
            "sgd, with PyTorch's coupled weight decay, or adamw",
        ),
        "optimizer.learning_rate": (
            _number(0, above=True),
            "at the end of the warm-up; a cosine takes it to 0",
        ),
        "optimizer.recipe": (
            _batch_and_rate,
            "the batch_size and the learning_rate that were chosen together; where only the batch "
            "is another, a line says so",
        ),
        "optimizer.momentum": (_number(0, 1), "of sgd"),
        "optimizer.nesterov": (_yes_or_no, "Nesterov's momentum, of sgd"),
        "optimizer.weight_decay": (_number(0), "of every parameter that no_weight_decay leaves"),
        "optimizer.no_weight_decay": (
            _tuple_of(_filled, "regular expressions"),
            "regular expressions of the paths of parameters without weight decay",
        ),
        "optimizer.rate_multipliers": (
            _tuple_of(_pattern_and_factor, "(expression, factor) pairs"),
            "(regular expression of parameter paths, factor of their learning rate), ...; the "
            "first that is found counts",
        ),
        "optimizer.warmup_epochs": (_number(0), "over which the learning rate grows linearly"),
        "optimizer.warmup_start": (_number(0), "where it begins, relative to learning_rate"),
        "optimizer.clip_norm": (_number(0), "the largest norm of the gradient; 0: any"),
        "losses.classification_weight": (_number(0), "of L_cls; 0 leaves it out"),
        "losses.contrastive_weight": (
            _number(0),
            "of L_con; 0 leaves it out, with its queue and its second network",
        ),
        "losses.margin_kind": (_one_of("curricular", "arc"), "of both losses"),
        "losses.scale": (_number(0, above=True), "one over the temperature, of L_cls"),
        "losses.margin_radians": (_number(0, math.pi), "the margin of L_cls"),
        "losses.contrastive_scale": (_number(0, above=True), "one over the temperature, of L_con"),
        "losses.contrastive_margin_radians": (_number(0, math.pi), "the margin of L_con"),
        "losses.queue_length": (_integer(1), "keys in the queue of L_con, over all devices"),
        "losses.max_positives": (
            _integer(1),
            "positives of a query in the queue that count; the rest is left out",
        ),
        "losses.network_momentum": (_number(0, 1), "of the second network, which makes the keys"),
        "losses.keys_first": (
            _yes_or_no,
            "whether the keys of a step are in the queue for its own loss",
        ),
        "losses.keys_batch_norm": (
            _one_of("batch", "running"),
            "normalise keys by their own batch's statistics, or by running averages",
        ),
        "evaluation.data_root": (_path_or_nothing, "folder of the datasets that are evaluated"),
        "evaluation.datasets": (
            _text,
            "names of datasets, separated by commas; empty: no evaluation while training",
        ),
        "evaluation.every_steps": (_integer(1), "steps between two evaluations"),
        "evaluation.scales": (
            _SCALES,
            "the sizes at which an image is described, relative to its own",
        ),
        "checkpoint.every_steps": (_integer(1), "steps between two checkpoints"),
        "checkpoint.keep": (_integer(1), "how many of the newest are kept, beside the best"),
    },
}
"""For each job its keys: what a value has to be, and what it means (`--help` shows that)."""


def validate(config: Mapping[str, Any]) -> None:
    """Checks that every key is there, known, and has a value of its kind.

    Raises:
        UserError: the first key that is wrong, its value, and what is expected of it.
    """
    job = config.get("job")
    if not isinstance(job, str) or job not in _SCHEMAS:
        raise UserError(f"config.job is {shown(job)}; jobs are {', '.join(_SCHEMAS)}")
    schema, values = _SCHEMAS[job], flat(config)
    for key in values:
        if key not in schema:
            raise UserError(f"config.{key} is unknown to the job {job}; keys: {', '.join(schema)}")
    for key, (check, _) in schema.items():
        if key not in values:
            raise UserError(f"config.{key} is missing; the job {job} needs it")
        expected = check(values[key])
        if expected:
            raise UserError(f"config.{key} is {shown(values[key])}; it has to be {expected}")
    if not find_architecture(config["model"]).describes:
        raise UserError(
            f"config.model is {shown(config['model'])}, a classifier of ImageNet; the job {job} "
            "needs a network that gives descriptors, such as r50"
        )
    if job == "train":
        _validate_training(values)


def _validate_training(values: Mapping[str, Any]) -> None:
    for name in names(values["allow_changes"]):
        if name not in RATES:
            raise UserError(
                f"config.allow_changes names {shown(name)}; only a rate may change in a training "
                f"that goes on: {', '.join(RATES)}"
            )
    _validate_expressions("no_weight_decay", values["optimizer.no_weight_decay"])
    _validate_expressions("rate_multipliers", dict(values["optimizer.rate_multipliers"]))
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


def _validate_expressions(key: str, expressions: Iterable[str]) -> None:
    for expression in expressions:
        try:
            re.compile(expression)
        except (re.error, OverflowError, RecursionError) as error:
            raise UserError(
                f"config.optimizer.{key} has {shown(expression)}, which is no regular expression: "
                f"{reason(error)}; mend it"
            ) from error


def keys_help(config: Mapping[str, Any]) -> str:
    """The keys of a config, each with the value that it has and what it means.

    Values stand as they are given on a command line; keys that the job does not know come last.
    """
    schema, values = _SCHEMAS.get(str(config.get("job")), {}), flat(config)
    lines = []
    for key in [
        *(key for key in schema if key in values),
        *(key for key in values if key not in schema),
    ]:
        lines.append(f"  --config.{key}={shlex.quote(str(values[key]))}")
        meaning = schema[key][1] if key in schema else "UNKNOWN to this job"
        lines.append(textwrap.indent(textwrap.fill(meaning, 90), " " * 8))
    return "\n".join(lines)


def expand_paths(config: config_dict.ConfigDict) -> None:
    """Expands `~` in the paths of a valid config."""
    for key, (check, _) in _SCHEMAS[config.job].items():
        *parents, leaf = key.split(".")
        part = functools.reduce(getattr, parents, config)
        if check in (_path, _path_or_nothing) and part[leaf]:
            part[leaf] = str(local_path(part[leaf]))


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
    for name, count in collections.Counter(found).items():
        if count > 1:
            raise UserError(f"{shown(value)} names {shown(name)} more than once; name it once")
    return found
