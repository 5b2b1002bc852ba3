"""Draws a figure as a paper prints it, from what runs have kept; nothing is computed again."""

import pathlib

from senet_jax.system.errors import CommandParser, UserError, run_command, shown
from senet_jax.system.files import local_path

FORMATS = (".pdf", ".png", ".svg")
_LISTS = """Two systems, one above the other: the first items that each of them found for the
queries whose AP under Medium differs most between the two. A and B are workdirs of evaluations of
the same dataset, or of trainings."""


def main() -> None:
    """Reads the flags and the workdirs, and writes the figure."""
    parser = CommandParser(prog="python -m senet_jax.figure", description=__doc__)
    figures = parser.add_subparsers(metavar="NAME", required=True)
    lists = figures.add_parser("lists", description=_LISTS, help="ranked lists of two systems")
    lists.add_argument("a", metavar="A", type=local_path, help="the workdir of the upper system")
    lists.add_argument("b", metavar="B", type=local_path, help="the workdir of the lower one")
    lists.add_argument(
        "--to",
        type=local_path,
        metavar="FILE",
        default="lists.pdf",
        help=f"the file that is written: {', '.join(FORMATS)} (default: %(default)s)",
    )
    lists.add_argument("--dataset", help="that both evaluated; default: the first one")
    lists.add_argument(
        "--queries", type=int, default=3, help="how many are drawn (default: %(default)s)"
    )
    flags = parser.parse_args()
    target: pathlib.Path = flags.to
    if target.suffix not in FORMATS:
        raise UserError(f"{shown(str(target))} is no {', '.join(FORMATS)}; name such a file")
    if flags.queries < 1:
        raise UserError(f"--queries is {flags.queries}; draw one at least")
    # These take seconds to import.
    from senet_jax.figure.compared import compare
    from senet_jax.figure.lists import draw_lists, save_figure

    save_figure(draw_lists(compare(flags.a, flags.b, flags.dataset, flags.queries)), target)
    print(f"wrote {target}")


if __name__ == "__main__":
    run_command(main)
