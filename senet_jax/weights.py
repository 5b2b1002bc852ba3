"""A weights folder: `weights.safetensors` and `model.json`, which say all that a model needs.

The names in the safetensors file are the paths of the Flax variables (`params/trunk/stem/conv/
kernel`), in Flax's layouts and the source's dtypes. Tensors of a source that the network here has
no use for (`num_batches_tracked`) are carried along under `carried/` with the source's own names,
so that a file converted there and back loses nothing.

`model.json` is of format 2, which names the family of the network. Format 1 told it by the
network's head, and carried the re-ranker of a CVNet checkpoint along; it is read as well.
"""

import dataclasses
import functools
import hashlib
import os
import pathlib
from collections.abc import Collection, Iterator, Mapping
from typing import Any

import ml_dtypes
import numpy as np

from senet_jax import __version__
from senet_jax.models.checkpoint_keys import rows
from senet_jax.models.preprocessing import Preprocessing
from senet_jax.models.registry import families, family_of, find_family, variable_shapes
from senet_jax.models.settings import Settings
from senet_jax.system.checksummed import sealed, unsealed
from senet_jax.system.errors import UserError, printable, shortened, shown
from senet_jax.system.files import (
    atomic_folder,
    local_path,
    read_json,
    read_regular,
    sha256_of_file,
    write_json,
)
from senet_jax.system.safetensors_file import format_safetensors, parse_safetensors

TENSORS = "weights.safetensors"
DESCRIPTION = "model.json"
CARRIED = "carried"
FORMAT = 2

DESCRIPTION_BYTES = 2**22
"""The largest `model.json` that is read; it says by which settings weights were trained."""
SOURCE_DEPTH = 16
"""The most levels of what is said of a source; it goes into reports."""
NOTE_LENGTH = 200
"""The most characters of what a source notes for reports that are shown."""
TENSORS_BYTES = 2**33
"""The largest file of tensors that is read; SENet R152 in float64 takes a fourteenth."""


@dataclasses.dataclass(frozen=True, eq=False)
class Weights:
    """A model's weights and what has to be known to use them.

    Attributes:
        architecture: the settings of the network.
        preprocessing: what its images have to undergo.
        tensors: path of the Flax variable -> array, as the source had it (dtype included); the
            extra parts that the family knows (CVNet's re-ranker) are there whole or not at all.
        carried: the source's own name -> array, for what the network has no use for.
        source: where the weights came from: `file`, `sha256` and `naming` of a checkpoint, with
            the `key` and the `prefix` under which they stood there (and of what a package carries
            its `package` and `version`), or `random` and `seed`, or the settings of a `training`.
            Whatever its kind, it may have a `training_set` for people to read, in place of which
            `training_sets` are the names of several, a `licence`, and a `note` for all reports.
        sha256: of `weights.safetensors`; None before they are saved.

    Raises:
        UserError: a tensor is missing, unknown, of another shape, no float, or not finite, or the
            source has too many levels.
    """

    architecture: Any
    preprocessing: Preprocessing
    tensors: Mapping[str, np.ndarray]
    carried: Mapping[str, np.ndarray]
    source: Mapping[str, Any]
    sha256: str | None = None

    def __post_init__(self):
        expected = dict(tensor_shapes(self.architecture))
        if any(path not in expected for path in self.tensors):
            for name, shapes in extra_shapes(self.architecture).items():
                if any(_is_in(name, path) for path in self.tensors):
                    expected |= shapes
        for path in (*expected, *self.tensors):
            if path not in self.tensors or path not in expected:
                where = "missing from" if path in expected else "unknown to"
                raise UserError(
                    f"{shown(path)[1:-1]} is {where} the weights of {self.architecture.name}; "
                    "convert them again"
                )
        for path, tensor in self.tensors.items():
            if tensor.shape != expected[path]:
                raise UserError(
                    f"{path} has the shape {shown(tensor.shape)}, {self.architecture.name} needs "
                    f"{expected[path]}; convert the weights again"
                )
            check_values(path, tensor)
        if not _is_shallow(self.source, SOURCE_DEPTH):
            raise UserError(
                f"the source of the weights, {shown(self.source)}, has more than {SOURCE_DEPTH} "
                "levels; convert them again"
            )

    @property
    def random(self) -> bool:
        """Whether nothing was ever learned in them."""
        return bool(self.source.get("random"))

    @property
    def note(self) -> str:
        """What every report has to say of the weights; empty if nothing."""
        return self.source_text("note")

    @property
    def training_set(self) -> str:
        """On what they were trained, for people; empty where it is not told."""
        return self.source_text("training_set")

    @property
    def training_sets(self) -> tuple[str, ...]:
        """The names of what they were trained on, as far as it is told."""
        names = self.source.get("training_sets", [self.source.get("training_set")])
        names = names if isinstance(names, list) else []
        return tuple(name for name in names if isinstance(name, str) and name)

    @property
    def provenance(self) -> str:
        """See `provenance_of`."""
        return provenance_of(self.architecture.name, self.source)

    def source_text(self, key: str) -> str:
        """What the source says under a key, on one line; empty where that is no text."""
        return _text_of(self.source, key)

    @property
    def remarks(self) -> list[str]:
        """What has to be said beside every result of the weights, for people."""
        if self.random:
            return ["RANDOM WEIGHTS, nothing is learned in them"]
        if self.note:
            return [self.note]
        return [f"trained on {self.training_set}"] if self.training_set else []

    def variables(self, extras: Collection[str] = ()) -> dict[str, Any]:
        """The tree that `model.apply` takes, float32.

        Args:
            extras: the extra parts that it shall have as well, `params/NAME`.

        Raises:
            UserError: there is no such part in these weights.
        """
        left_out = set(family_of(self.architecture).extras) - set(extras)
        for name in extras:
            if not any(_is_in(name, path) for path in self.tensors):
                raise UserError(
                    f"these weights of {self.architecture.name} have no {name}; convert a "
                    "checkpoint that has one, or random:NAME:SEED of a network that has"
                )
        return unflatten(
            {
                path: tensor.astype(np.float32)
                for path, tensor in self.tensors.items()
                if not any(_is_in(name, path) for name in left_out)
            }
        )


def provenance_of(model: str, source: Mapping[str, Any]) -> str:
    """A network, on what it was trained, and under which licence its weights are given.

    Args:
        model: its name.
        source: see `Weights`.
    """
    training_set, licence = (_text_of(source, key) for key in ("training_set", "licence"))
    parts = [
        model,
        "random weights" * bool(source.get("random")),
        f"trained on {training_set}" * bool(training_set),
        f"licence {licence}" * bool(licence),
    ]
    return ", ".join(filter(None, parts))


def _text_of(source: Mapping[str, Any], key: str) -> str:
    text = source.get(key)
    return shortened(printable(text), NOTE_LENGTH) if isinstance(text, str) else ""


def check_values(name: str, tensor: np.ndarray) -> None:
    """Raises a `UserError` unless the tensor is made of finite floating-point numbers."""
    if tensor.dtype.kind != "f" and tensor.dtype != ml_dtypes.bfloat16:
        raise UserError(f"{name} is {tensor.dtype}; a weight is a floating-point number")
    finite = np.isfinite(tensor)
    if not finite.all():
        raise UserError(
            f"{name} holds {np.count_nonzero(~finite)} values that are not finite; "
            "the weights are broken, get them again"
        )


def flatten(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """The leaves of a tree of dicts as (`a/b/c`, leaf)."""
    for key, value in tree.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{key}/")
        else:
            yield f"{prefix}{key}", value


def unflatten(leaves: Mapping[str, Any]) -> dict[str, Any]:
    """The tree of dicts that `flatten` takes apart."""
    tree: dict[str, Any] = {}
    for path, leaf in leaves.items():
        *parents, name = path.split("/")
        node = tree
        for parent in parents:
            node = node.setdefault(parent, {})
        node[name] = leaf
    return tree


@functools.cache
def tensor_shapes(architecture: Settings) -> Mapping[str, tuple[int, ...]]:
    """Path of each Flax variable of a network -> its shape; traces it, once in a process."""
    return {path: leaf.shape for path, leaf in flatten(variable_shapes(architecture))}


@functools.cache
def extra_shapes(architecture: Settings) -> Mapping[str, Mapping[str, tuple[int, ...]]]:
    """For each extra part that weights of a network may have, by name, as `tensor_shapes`."""
    return {
        name: {path: leaf.shape for path, leaf in flatten(shapes(architecture), f"params/{name}/")}
        for name, shapes in family_of(architecture).extras.items()
    }


def _is_in(extra: str, path: str) -> bool:
    return path.startswith(f"params/{extra}/")


def is_weights_folder(folder: str | os.PathLike) -> bool:
    """Whether the folder has the two files of a weights folder."""
    return all((pathlib.Path(folder) / name).is_file() for name in (TENSORS, DESCRIPTION))


def description(weights: Weights) -> dict[str, Any]:
    """What `model.json` says of weights, but for their checksum."""
    return {
        "format": FORMAT,
        "family": family_of(weights.architecture).name,
        "architecture": weights.architecture.to_json(),
        "preprocessing": weights.preprocessing.to_json(),
        "source": dict(weights.source),
        "made_by": f"senet_jax {__version__}",
    }


def save_weights(folder: str | os.PathLike, weights: Weights) -> None:
    """Writes a weights folder; one that stands there is replaced, anything else is not.

    Raises:
        UserError: the folder cannot be written, or something else is in its place.
    """
    folder = local_path(folder)
    named = dict(weights.tensors) | {f"{CARRIED}/{n}": t for n, t in weights.carried.items()}
    with atomic_folder(folder, (TENSORS, DESCRIPTION), "weights") as temporary:
        (temporary / TENSORS).write_bytes(format_safetensors(named))
        checksum = {"weights_sha256": sha256_of_file(temporary / TENSORS)}
        write_json(temporary / DESCRIPTION, sealed(description(weights) | checksum))


def load_weights(folder: str | os.PathLike) -> Weights:
    """Reads a weights folder and checks it: checksum, names, shapes, finite values.

    Raises:
        UserError: it is missing, broken, or does not hold what its `model.json` says.
    """
    folder = local_path(folder)
    if not folder.is_dir():
        raise UserError(
            f"no weights folder at {folder}; make one with "
            "`python -m senet_jax.convert SOURCE FOLDER`"
        )
    if not is_weights_folder(folder):
        raise UserError(
            f"{folder} is no weights folder: it lacks {TENSORS} or {DESCRIPTION}; make one with "
            "`python -m senet_jax.convert SOURCE FOLDER`"
        )
    architecture, preprocessing, described = _read_description(folder / DESCRIPTION)
    expected = described["weights_sha256"]
    try:
        content = read_regular(folder / TENSORS, TENSORS_BYTES)
    except OSError as error:
        raise UserError(f"cannot read {folder / TENSORS}: {error.strerror}; check it") from error
    actual = hashlib.sha256(content).hexdigest()
    if actual != expected:
        raise UserError(
            f"{folder / TENSORS} has the SHA-256 {actual[:12]}..., {DESCRIPTION} says "
            f"{shown(expected)}; the file is broken or was exchanged, convert it again"
        )
    try:
        named, _ = parse_safetensors(content)
    except ValueError as error:
        raise UserError(f"{folder / TENSORS} cannot be read: {error}; convert it again") from error
    prefix = f"{CARRIED}/"
    tensors = {n: t for n, t in named.items() if not n.startswith(prefix)}
    carried = {n.removeprefix(prefix): t for n, t in named.items() if n.startswith(prefix)}
    if described.get("format", 1) == 1:
        tensors, carried = _with_carried_extras(architecture, tensors, carried)
    try:
        weights = Weights(
            architecture=architecture,
            preprocessing=preprocessing,
            tensors=tensors,
            carried=carried,
            source=described["source"],
            sha256=actual,
        )
    except UserError as error:
        raise UserError(f"{folder}: {error}") from error
    # Last: where it is wrong in a way that can be named, that helps more.
    _check_description(folder / DESCRIPTION, described)
    return weights


def settings_described(described: Mapping[str, Any]) -> Any:
    """The settings of the network of which a `model.json` of any format says all.

    Raises:
        UserError: the format, the family or the settings are not known here.
    """
    version, value = described.get("format", 1), described.get("architecture")
    if version == 1 and type(version) is int:
        head = value.get("head", "gem") if isinstance(value, Mapping) else None
        known = [family for family in families() if head in family.format_1_heads]
        return (known or families())[0].settings.from_json(value)
    if version == FORMAT and type(version) is int:
        return find_family(described.get("family")).settings.from_json(value)
    raise UserError(
        f"the format is {shown(version)}, and 1 to {FORMAT} are read here; install the version of "
        "senet_jax that wrote it, or convert the weights again"
    )


def _with_carried_extras(
    architecture: Settings, tensors: Mapping[str, Any], carried: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Tensors of format 1, with the extra parts that were carried along brought to their place."""
    tensors, carried = dict(tensors), dict(carried)
    naming = family_of(architecture).namings[0]
    for shapes in extra_shapes(architecture).values():
        for row in rows(naming, shapes):
            if row.key in carried and carried[row.key].shape == row.shape:
                tensors[row.path] = row.layout.from_torch(carried.pop(row.key))
    return tensors, carried


def _read_description(path: pathlib.Path) -> tuple[Any, Preprocessing, dict[str, Any]]:
    value = read_json(path, DESCRIPTION_BYTES)
    keys = ("architecture", "preprocessing", "source", "weights_sha256")
    missing = [key for key in keys if not (isinstance(value, dict) and key in value)]
    if missing:
        raise UserError(f"{path} lacks {', '.join(missing)}; convert the weights again")
    if not isinstance(value["source"], dict):
        raise UserError(
            f"{path} has the source {shown(value['source'])}, not an object; convert the weights "
            "again"
        )
    try:
        architecture = settings_described(value)
        preprocessing = Preprocessing.from_json(value["preprocessing"])
    except UserError as error:
        raise UserError(f"{path}: {error}") from error
    return architecture, preprocessing, value


def _check_description(path: pathlib.Path, value: dict[str, Any]) -> None:
    try:
        unsealed(value, required=False)
    except ValueError as error:
        raise UserError(
            f"{path} is broken: {error}; convert the weights again, or leave its checksum out if "
            "you changed it yourself"
        ) from error


def _is_shallow(value: Any, depth: int) -> bool:
    """Whether lists and objects within each other have at most so many levels."""
    if not isinstance(value, dict | list):
        return True
    entries = value.values() if isinstance(value, dict) else value
    return depth > 0 and all(_is_shallow(entry, depth - 1) for entry in entries)
