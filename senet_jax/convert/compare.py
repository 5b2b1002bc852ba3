"""Shows stage by stage where Flax and PyTorch part on an image.

  python -m senet_jax.convert.compare weights/r50 r50.pyth photo.jpg

Loads the folder into the Flax network and the file into a PyTorch twin of it, runs both on the
same pixels, and prints how far their maps are from each other, relative to the largest value of
each. Float32 rounding gives 1e-7 to 1e-5; the first map above 1e-3 is where they part.
"""

from senet_jax.system.errors import CommandParser, run_command
from senet_jax.system.files import local_path


def main() -> None:
    """Reads the flags, and compares."""
    parser = CommandParser(prog="python -m senet_jax.convert.compare", description=__doc__)
    parser.add_argument("weights", type=local_path, metavar="WEIGHTS", help="a weights folder")
    parser.add_argument(
        "file", type=local_path, metavar="FILE", help="a PyTorch file or a safetensors file"
    )
    parser.add_argument("image", type=local_path, metavar="IMAGE", help="a photograph")
    flags = parser.parse_args()
    from senet_jax.convert.stages import compare

    compare(flags.weights, flags.file, flags.image)


if __name__ == "__main__":
    run_command(main)
