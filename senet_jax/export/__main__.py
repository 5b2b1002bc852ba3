"""Exports a network for other programs: StableHLO, ONNX or OpenVINO, compared with the model first.

OUT is a folder, which is made: the program, and description.json, which says what images it takes,
at which scales the evaluation describes them, and where the weights are from. The program takes
uint8 images [batch height width 3] in RGB, of any size from 32 pixels on, as they are decoded, and
gives a descriptor of unit length for each. It is run on images of three sizes before it is written,
and refused where it differs from the model by more than twice what the model's own two forms, the
fast one and the trained one, differ from each other.
"""

from senet_jax.export.targets import TARGETS
from senet_jax.system.errors import CommandParser, run_command
from senet_jax.system.files import local_path


def main() -> None:
    """Exports, and says how near to the model it is."""
    parser = CommandParser(prog="python -m senet_jax.export", description=__doc__)
    parser.add_argument("weights", type=local_path, metavar="WEIGHTS", help="a weights folder")
    parser.add_argument("out", type=local_path, metavar="OUT", help="the folder of the export")
    parser.add_argument("--to", choices=TARGETS, required=True, help="what it becomes")
    flags = parser.parse_args()
    from senet_jax.export.write import write_export
    from senet_jax.system.distributed import announce
    from senet_jax.system.runtime import tune_for_inference, use_compilation_cache
    from senet_jax.weights import load_weights

    tune_for_inference()
    use_compilation_cache()
    announce()
    weights = load_weights(flags.weights)
    compared = write_export(flags.out, weights, flags.to)
    print(f"{'images':>14}{'cosine':>14}{'distance':>12}{'allowed':>10}{'largest difference':>20}")
    for found in compared:
        size = "x".join(map(str, found.shape))
        figures = f"{found.distance:12.2g}{found.allowed:10.2g}{found.largest_difference:20.2g}"
        print(f"{size:>14}{found.cosine:14.10f}{figures}")
    if weights.random:
        print("RANDOM WEIGHTS, nothing is learned in them")
    elif weights.note:
        print(weights.note)
    print(f"wrote {flags.out}")


if __name__ == "__main__":
    run_command(main)
