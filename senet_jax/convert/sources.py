"""Where weights come from: files of others, folders, trainings, packages, or nowhere but a name."""

import dataclasses
import os
import pathlib
import re
import types
from collections.abc import Mapping

from senet_jax.convert.checkpoint import Checkpoint, read_checkpoint
from senet_jax.convert.mapping import beside_state, naming_of
from senet_jax.convert.pretrained import PREFIX, locate_pretrained
from senet_jax.convert.translate import adapted_to, weights_from_state
from senet_jax.models.preprocessing import Preprocessing
from senet_jax.models.registry import (
    ARCHITECTURES,
    family_of,
    find_architecture,
    random_variables,
)
from senet_jax.system.errors import UserError, printable, shown
from senet_jax.system.files import local_path, user_cache_folder
from senet_jax.weights import (
    Weights,
    flatten,
    is_weights_folder,
    load_weights,
    save_weights,
    settings_described,
    tensor_shapes,
)

RANDOM = "random:"
_FILES_OF_WEIGHTS = (".safetensors", ".bin", ".pth", ".pt", ".pyth", ".ckpt")


def source_name(text: str) -> str:
    """A source as a user gave it, with `~` expanded in a path."""
    return text if is_spelled(text) else str(local_path(text))


def is_spelled(source: str) -> bool:
    """Whether it names no file: `pretrained:NAME`, `random:NAME:SEED`, or a network as such."""
    return source.startswith((RANDOM, PREFIX)) or _has_no_variables(source)


def _has_no_variables(name: str) -> bool:
    """Whether it is the name of a network that has nothing to learn, and of no file."""
    return (
        name in ARCHITECTURES
        and not pathlib.Path(name).exists()
        and not tensor_shapes(ARCHITECTURES[name])
    )


def weights_folder(source: str) -> pathlib.Path:
    """The weights folder of a source.

    What a name alone tells (`pretrained:lite0`) is converted once, into the user's cache folder.
    One that is broken there is made again.

    Args:
        source: a weights folder, or what is no file, see `source_name`.

    Raises:
        UserError: it cannot be converted, or the cache folder cannot be written.
    """
    if not is_spelled(source):
        return local_path(source)
    folder = user_cache_folder() / "weights" / source.replace(":", "-").replace("/", "-")
    if not _is_whole(folder):
        weights, _ = read_source(source)
        try:
            save_weights(folder, weights)
        except UserError:
            if not _is_whole(folder):  # Another process may have been faster.
                raise
    return folder


def _is_whole(folder: pathlib.Path) -> bool:
    try:
        load_weights(folder)
    except UserError:
        return False
    return True


def read_source(source: str, model: str | None = None) -> tuple[Weights, list[str]]:
    """Reads a file of weights, a folder or a package, or makes random weights.

    Returns:
        The weights and, for what is in a file, lines on what was taken of it: all in one, then
        each name.

    Raises:
        UserError: there is no such source, or it is not what it should be.
    """
    if model:
        find_architecture(model)
    told: list[str] = []
    if source.startswith(RANDOM):
        weights = _random_weights(source)
    elif _has_no_variables(source):
        weights = _weights_of_nothing(source)
    elif source.startswith(PREFIX):
        name = source.removeprefix(PREFIX)
        (path, *beside), package = locate_pretrained(name)
        checkpoint = read_checkpoint(path)
        for each in beside:
            part = read_checkpoint(each)
            checkpoint = dataclasses.replace(checkpoint, state=checkpoint.state | part.state)
            package[f"{each.name} sha256"] = part.sha256
        weights = _from_checkpoint(checkpoint, path, name, package)
        told = _told(checkpoint)
    elif local_path(source).is_dir():
        weights = _from_folder(local_path(source))
    else:
        checkpoint = read_checkpoint(source)
        weights = _from_checkpoint(checkpoint, source, model)
        told = _told(checkpoint)
    if model and model != weights.architecture.name:
        raise UserError(
            f"{source} holds {weights.architecture.name}, not {model}; leave --model out"
        )
    return weights, told


def _weights_of_nothing(name: str) -> Weights:
    architecture = find_architecture(name)
    family = family_of(architecture)
    note = family.note(architecture)
    return Weights(architecture, family.preprocessing, {}, {}, {"note": note})


def _from_folder(folder: pathlib.Path) -> Weights:
    if (folder / "checkpoints").is_dir():
        from senet_jax.training.export import load_trained  # It takes a second to import.

        return load_trained(folder)
    files = [path for path in sorted(folder.iterdir()) if path.suffix in _FILES_OF_WEIGHTS]
    if files and not is_weights_folder(folder):
        raise UserError(
            f"{folder} is no weights folder but has {shown(files[0].name)} in it; name the file"
        )
    return load_weights(folder)


def _from_checkpoint(
    checkpoint: Checkpoint,
    path: str | os.PathLike,
    model: str | None,
    package: Mapping[str, str] = types.MappingProxyType({}),
) -> Weights:
    state, described = dict(checkpoint.state), checkpoint.described
    if described:
        # What names and shapes do not tell stands beside them: cosine or dot, random or learned.
        weights = weights_from_state(state, described["source"], settings_described(described))
        if "preprocessing" not in described:
            return weights
        preprocessing = Preprocessing.from_json(described["preprocessing"])
        return dataclasses.replace(weights, preprocessing=preprocessing)
    source = {
        "file": pathlib.Path(path).name,
        "sha256": checkpoint.sha256,
        "naming": naming_of(state),
        "key": checkpoint.key,
        "prefix": checkpoint.prefix,
        **package,
    }
    try:
        beside = beside_state(source["naming"], checkpoint.beside)
    except UserError as error:
        raise UserError(f"{path} {error}") from error
    state |= beside.state
    architecture = adapted_to(state, find_architecture(model)) if model else None
    weights = weights_from_state(state, source, architecture)
    naming = family_of(weights.architecture).naming(source["naming"])
    known = {"training_set": naming.training_set, "licence": naming.licence} if naming else {}
    known = {key: text for key, text in known.items() if text}
    preprocessing = beside.preprocessing or weights.preprocessing
    return dataclasses.replace(weights, source=known | source, preprocessing=preprocessing)


def _told(checkpoint: Checkpoint) -> list[str]:
    """What was taken of a file and what was not: in one line, then name by name."""
    taken = [
        f"  {printable(name)}: {array.dtype}{list(array.shape)}"
        for name, array in checkpoint.state.items()
    ]
    left_out = [f"  {printable(name)}: left out" for name in checkpoint.left_out]
    names = f"{naming_of(checkpoint.state)} names"
    return [f"{checkpoint.told()}, {names}", *taken, *left_out]


def _random_weights(source: str) -> Weights:
    match = re.fullmatch(rf"{RANDOM}([^:]+):([0-9]{{1,9}})", source)
    if match is None:
        raise UserError(
            f"{shown(source)} is not random:NAME:SEED with a seed of up to nine digits; "
            "random:r50:0 is one"
        )
    architecture, seed = find_architecture(match[1]), int(match[2])
    return Weights(
        architecture=architecture,
        preprocessing=family_of(architecture).preprocessing,
        tensors=dict(flatten(random_variables(architecture, seed))),
        carried={},
        source={"random": True, "seed": seed},
    )
