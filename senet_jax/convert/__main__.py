"""Converts weights between PyTorch checkpoints and weights folders, either way.

  python -m senet_jax.convert r50.pyth weights/r50        a checkpoint becomes a folder
  python -m senet_jax.convert weights/r50 r50.pth         a folder becomes a checkpoint
  python -m senet_jax.convert random:r50:0 weights/rand   random weights, marked as such
  python -m senet_jax.convert runs/demo weights/demo      the best checkpoint of a training

Names that end in .pth, .pt or .pyth are PyTorch files; anything else is a weights folder. Known
are the checkpoints of SENet and CVNet and the ImageNet trunks of pycls, torchvision and timm.
"""

import pathlib
import re
import sys

from senet_jax.convert.checkpoint import is_checkpoint_name, read_checkpoint, write_checkpoint
from senet_jax.convert.mapping import canonical_naming, naming_of
from senet_jax.convert.translate import (
    MisfitError,
    state_from_weights,
    weights_from_state,
    with_classes_of,
    with_reranker,
)
from senet_jax.data.transforms import Preprocessing
from senet_jax.errors import CommandParser, UserError, run_command
from senet_jax.files import local_path, sha256_of_file
from senet_jax.models.architecture import Architecture, find_architecture
from senet_jax.weights import Weights, description, flatten, load_weights, save_weights

RANDOM = "random:"


def main() -> None:
    """Reads the command line and converts."""
    parser = CommandParser(prog="python -m senet_jax.convert", description=__doc__)
    parser.add_argument(
        "source", type=_source, metavar="SOURCE", help="a file, a folder, or random:NAME:SEED"
    )
    parser.add_argument("target", type=local_path, metavar="TARGET", help="a file or a folder")
    parser.add_argument("--model", metavar="NAME", help="the network; guessed when left out")
    parser.add_argument("--verbose", action="store_true", help="list every name that does not fit")
    arguments = parser.parse_args()
    try:
        weights = read_source(arguments.source, arguments.model)
    except MisfitError as error:
        if arguments.verbose:
            print(*error.differences, sep="\n", file=sys.stderr)
        raise
    if is_checkpoint_name(arguments.target):
        write_checkpoint(arguments.target, state_from_weights(weights), description(weights))
    else:
        save_weights(arguments.target, weights)
    print(f"wrote {arguments.target}: {_summary(weights)}")


def _source(text: str) -> str:
    return text if text.startswith(RANDOM) else str(local_path(text))


def read_source(source: str, model: str | None = None) -> Weights:
    """Reads a checkpoint or a weights folder, or makes random weights.

    Raises:
        UserError: there is no such source, or it is not what it should be.
    """
    if model:
        find_architecture(model)
    if source.startswith(RANDOM):
        weights = _random_weights(source)
    elif is_checkpoint_name(source):
        weights = _from_checkpoint(source, model)
    elif pathlib.Path(source, "checkpoints").is_dir():
        from senet_jax.training.export import load_trained  # It takes a second to import.

        weights = load_trained(pathlib.Path(source))
    else:
        weights = load_weights(source)
    if model and model != weights.architecture.name:
        raise UserError(
            f"{source} holds {weights.architecture.name}, not {model}; leave --model out"
        )
    return weights


def _from_checkpoint(path: str, model: str | None) -> Weights:
    state, written_here = read_checkpoint(path)
    if written_here:
        # What names and shapes do not tell stands beside them: cosine or dot, random or learned.
        architecture = Architecture.from_json(written_here["architecture"])
        return weights_from_state(state, written_here["source"], architecture)
    source = {
        "file": pathlib.Path(path).name,
        "sha256": sha256_of_file(path),
        "naming": naming_of(state),
    }
    architecture = with_classes_of(state, find_architecture(model)) if model else None
    return weights_from_state(state, source, architecture)


def _random_weights(source: str) -> Weights:
    from senet_jax.models.random_weights import random_reranker, random_variables

    match = re.fullmatch(rf"{RANDOM}([^:]+):([0-9]{{1,9}})", source)
    if match is None:
        raise UserError(
            f"{source!r} is not random:NAME:SEED with a seed of up to nine digits; "
            "random:r50:0 is one"
        )
    architecture, seed = find_architecture(match[1]), int(match[2])
    variables = random_variables(architecture, seed)
    weights = Weights(
        architecture=architecture,
        preprocessing=Preprocessing(),
        tensors=dict(flatten(variables)),
        carried={},
        source={"random": True, "seed": seed},
    )
    if canonical_naming(architecture) != "cvnet":
        return weights
    return with_reranker(weights, random_reranker(architecture, variables, seed))


def _summary(weights: Weights) -> str:
    parameters = sum(a.size for path, a in weights.tensors.items() if path.startswith("params/"))
    origin = "random weights, nothing is learned in them" if weights.random else "from a checkpoint"
    if weights.source.get("naming") == "torchvision":
        origin += ", stem flipped from RGB to BGR"
    carried = f", {len(weights.carried)} tensors carried along" if weights.carried else ""
    return f"{weights.architecture.name}, {parameters:,} parameters, {origin}{carried}"


if __name__ == "__main__":
    run_command(main)
