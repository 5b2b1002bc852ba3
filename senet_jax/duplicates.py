"""Groups the photographs of an index that are nearly the same.

Two photographs are in one group where the similarity of their descriptors is above a threshold, and
also where a chain of such pairs leads from one to the other. Copies of one file always are.
"""

from senet_jax.system.errors import CommandParser, UserError, run_command
from senet_jax.system.files import local_path

THRESHOLD = 0.95


def main() -> None:
    """Reads the flags, and prints the groups."""
    parser = CommandParser(prog="python -m senet_jax.duplicates", description=__doc__)
    parser.add_argument("index", type=local_path, metavar="INDEX", help="the folder of the index")
    parser.add_argument(
        "--threshold",
        type=float,
        default=THRESHOLD,
        metavar="S",
        help=f"the least similarity of a pair, a cosine (default: {THRESHOLD})",
    )
    flags = parser.parse_args()
    if not -1 <= flags.threshold <= 1:
        raise UserError(f"the threshold {flags.threshold} is no cosine; give one from -1 to 1")
    from senet_jax.index.duplicates import print_groups

    print_groups(flags.index, flags.threshold)


if __name__ == "__main__":
    run_command(main)
