"""Scores anyone's descriptors or ranks: mAP and mP@1, 5, 10 under Easy, Medium and Hard.

Descriptors are .npy files of float16, float32, float64 or integers, or quantised ones, a row for
each query of qimlist and each image of imlist, or folders of NAME.delg_global, which DELG's public
code writes, one for each of these names (of distractors all that are there). They are used as they
are, by dot product, in float32: scores that differ only beyond it are ties, and among ties the
lower index is first; a warning says so where most images to find are tied with others.

Ranks are .npy files of integers [queries, k], items best first; -1 means no more. Items that are
not listed count as not found.
"""

import argparse

from senet_jax.metrics.protocols import PROTOCOLS
from senet_jax.system.errors import CommandParser, run_command
from senet_jax.system.files import local_path, local_paths


def main() -> None:
    """Reads the flags, and scores."""
    parser = CommandParser(prog="python -m senet_jax.score", description=__doc__)
    parser.add_argument(
        "ground_truth", type=local_path, metavar="GROUND_TRUTH", help="gnd_NAME.pkl or .json"
    )
    parser.add_argument("--query", type=local_path, metavar="Q", help="the queries' descriptors")
    parser.add_argument(
        "--database", type=local_path, metavar="X", help="the database's descriptors"
    )
    parser.add_argument(
        "--distractors",
        type=local_paths,
        metavar="D,...",
        help="descriptors that follow the database's",
    )
    parser.add_argument(
        "--ranks", type=local_path, metavar="R.npy", help="one ranking for all protocols"
    )
    for protocol in PROTOCOLS:
        parser.add_argument(
            f"--ranks-{protocol.name}",
            type=local_path,
            metavar="R.npy",
            help=f"the ranking for {protocol.name}",
        )
    parser.add_argument(
        "--json", type=local_path, metavar="FILE", help="where the report is written"
    )
    flags = parser.parse_args()
    _check_sources(flags, parser)
    from senet_jax.score.scoring import score

    score(flags)


_SOURCES = (
    {"query", "database"},
    {"query", "database", "distractors"},
    {"ranks"},
    {f"ranks_{protocol.name}" for protocol in PROTOCOLS},
)


def _check_sources(flags: argparse.Namespace, parser: CommandParser) -> None:
    given = {name for source in _SOURCES for name in source if getattr(flags, name) is not None}
    if given not in _SOURCES:
        seen = " ".join(sorted(f"--{name.replace('_', '-')}" for name in given)) or "none of them"
        parser.error(
            "give --query and --database (and --distractors), or --ranks, or --ranks-easy, "
            f"--ranks-medium and --ranks-hard; seen: {seen}"
        )


if __name__ == "__main__":
    run_command(main)
