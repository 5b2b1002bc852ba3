"""Reads every photograph of a dataset, or of distractors, and lists what is wrong with them.

One line a problem. Missing and unreadable images, those too large for the memory of this machine at
scale 1.4142 on its CPU, and wrong boxes would stop or change an evaluation: the exit code is 2. The
rest is suspicious only: images and query crops with a side under 32 pixels, boxes that reach over
their image, JPEGs that are cut short, images of deeper pixels that come out black, and images of
the same pixels as another.
"""

from senet_jax.system.errors import CommandParser, run_command
from senet_jax.system.files import local_path


def main() -> None:
    """Reads the flags, and checks."""
    parser = CommandParser(prog="python -m senet_jax.data.check", description=__doc__)
    parser.add_argument("root", type=local_path, metavar="ROOT", help="the folder of all datasets")
    parser.add_argument("name", metavar="NAME", help="of the dataset or distractor set")
    flags = parser.parse_args()
    from senet_jax.data.problems import check

    check(flags.root, flags.name)


if __name__ == "__main__":
    run_command(main)
