"""Chooses the neighbours and alpha of query expansion on one dataset and reports them on another.

A dataset is three files joined by commas: its ground truth (gnd_NAME.pkl or .json), the queries'
descriptors and the database's (.npy). What is chosen has the highest mean of the Medium and Hard
mAP on the first dataset; among equals fewer neighbours, then the smaller alpha. The second dataset
has no say in it: its scores are those of a dataset that nobody tuned for.
"""

import pathlib
from typing import NamedTuple

from senet_jax.system.errors import CommandParser, UserError, run_command, shown
from senet_jax.system.files import local_path, local_paths


def main() -> None:
    """Reads the flags, and tunes."""
    parser = CommandParser(prog="python -m senet_jax.rerank.tune", description=__doc__)
    parser.add_argument(
        "--on",
        type=dataset_files,
        metavar="GND,Q.npy,X.npy",
        required=True,
        help="the dataset that decides",
    )
    parser.add_argument(
        "--report",
        type=dataset_files,
        metavar="GND,Q.npy,X.npy",
        required=True,
        help="the dataset that is reported",
    )
    parser.add_argument(
        "--distractors",
        type=local_paths,
        default=[],
        metavar="D.npy,...",
        help="descriptors that follow both databases",
    )
    parser.add_argument(
        "--neighbours", type=integers, default=[1, 2, 3, 5, 10, 20, 50], metavar="N,..."
    )
    parser.add_argument("--alphas", type=numbers, default=[0, 1, 2, 3], metavar="ALPHA,...")
    parser.add_argument(
        "--json", type=local_path, metavar="FILE", help="where the report is written"
    )
    flags = parser.parse_args()
    from senet_jax.jobs.tune import tune

    tune(flags)


class DatasetFiles(NamedTuple):
    """The files of a dataset."""

    ground_truth: pathlib.Path
    queries: pathlib.Path
    database: pathlib.Path

    def __str__(self) -> str:
        """As on the command line."""
        return ",".join(map(str, self))


def dataset_files(text: str) -> DatasetFiles:
    """`gnd.pkl,q.npy,x.npy` -> the three files.

    Raises:
        UserError: there are more or fewer, or one is no path of this machine.
    """
    files = local_paths(text)
    if len(files) != 3:
        raise UserError(
            f"{shown(text)} names {len(files)} files; a dataset is GROUND_TRUTH,Q.npy,X.npy"
        )
    return DatasetFiles(*files)


def integers(text: str) -> list[int]:
    """`1,5` -> [1, 5]."""
    return [int(word) for word in text.split(",")]


def numbers(text: str) -> list[float]:
    """`0,1.5` -> [0.0, 1.5]."""
    return [float(word) for word in text.split(",")]


if __name__ == "__main__":
    run_command(main)
