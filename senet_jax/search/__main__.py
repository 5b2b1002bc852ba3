"""Finds the photographs of an index that are most similar to others; senet-jax index makes one.

The queries are files of photographs, in the index or not. With --box a query is cut to a box before
it is described: one for all of them, or one for each in their order.
"""

from senet_jax.search.backends import check_top
from senet_jax.system.coordinates import coordinates
from senet_jax.system.errors import CommandParser, run_command
from senet_jax.system.files import local_path


def main() -> None:
    """Reads the flags, and searches."""
    parser = CommandParser(prog="python -m senet_jax.search", description=__doc__)
    parser.add_argument("index", type=local_path, metavar="INDEX", help="the folder of the index")
    parser.add_argument(
        "queries", type=local_path, nargs="+", metavar="QUERY", help="the file of a photograph"
    )
    parser.add_argument(
        "--box",
        type=coordinates("x1,y1,x2,y2"),
        action="append",
        metavar="x1,y1,x2,y2",
        help="the part of a query that counts, in pixels; once, or once for each query",
    )
    parser.add_argument(
        "--top", type=int, default=10, metavar="N", help="how many to find (default: 10)"
    )
    parser.add_argument(
        "--rerank",
        metavar="METHOD,...",
        help="bring what is found into the order of these methods, such as alpha_qe; see "
        "senet-jax rerank --help",
    )
    parser.add_argument(
        "--json", type=local_path, metavar="FILE", help="write what is found to this file as well"
    )
    parser.add_argument(
        "--html",
        type=local_path,
        metavar="FILE",
        help="write what is found, with small pictures, to this file as well: one page that loads "
        "nothing from elsewhere",
    )
    flags = parser.parse_args()
    check_top(flags.top)
    from senet_jax.index.search import search

    search(flags)


if __name__ == "__main__":
    run_command(main)
