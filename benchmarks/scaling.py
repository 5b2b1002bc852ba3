"""How evaluation and exact search grow with the rows of the database: a line, and flat.

  python -m benchmarks.scaling --ground_truth=gnd_roxford5k.pkl
      [--rows=10000,100000,1000000,10000000] [--rounds=N] [--folder=DIR]

The database is generated (width 2048, int8 as `senet-jax quantise` writes it; deleted at the end),
and rows that the disk has no space for are left out. It is evaluated as `score` does, and searched
for the first 100 items of each query. Each run is a process of its own; sizes take turns. A row of
the table tells, in medians:

  blocks    that are multiplied, all of one size; evaluation takes those with labelled items twice
  start     seconds for the images of the ground truth alone, programs compiled; not in the others
  seconds   of the work, by the clock
  busy      seconds of all processors
  MB        anonymous memory at most, with the start's
  slopes    of the logarithms of seconds, of busy and of blocks over that of the rows: from the size
            above, and in the last row over all of them by least squares

Blocks say what slope is to be expected. What the memory does not hold is read from the disk.
"""

import argparse
import pathlib
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from benchmarks.evaluation_at_scale import WIDTH, evaluate, planted_weights
from benchmarks.memory import Measured, in_own_process
from benchmarks.planted import first_parts, write_database
from benchmarks.roofline import instruction_set, machine, measured_peak
from senet_jax.data.ground_truth import load_ground_truth
from senet_jax.search.database import BlockedDatabase
from senet_jax.search.exact import top_k
from senet_jax.search.storage import no_rows
from senet_jax.system.errors import CommandParser, UserError, run_command
from senet_jax.system.host_memory import host_memory_bytes

STORAGE = "int8"
FOUND = 100
KEPT_FREE = 4 * 10**9
"""Bytes of the disk that the database leaves free."""


def main() -> None:
    flags = _flags()
    ground_truth = load_ground_truth(flags.ground_truth)
    images = len(ground_truth.image_names)
    if min(flags.rows) < images:
        raise UserError(f"--rows has {min(flags.rows):,}; take at least the {images:,} images")
    print(f"{machine(measured_peak())}; {host_memory_bytes() / 1e9:.0f} GB of memory", flush=True)
    with tempfile.TemporaryDirectory(dir=flags.folder) as folder:
        sizes = _fitting(sorted(flags.rows), folder)
        queries, paths = write_database(
            pathlib.Path(folder), planted_weights(ground_truth), images, sizes[-1], WIDTH, STORAGE
        )
        runs: dict[tuple[str, int], list[Measured]] = {}
        for number in range(flags.rounds):
            for rows in sizes:
                for name, work in WORKS.items():
                    run = in_own_process(timed, work, ground_truth, queries, paths, rows)
                    runs.setdefault((name, rows), []).append(run)
                    start, seconds, busy = run.value
                    print(
                        f"round {number}, {name} of {rows:,} rows: {seconds:.2f} s, "
                        f"busy {busy:.2f} s, started in {start:.1f} s",
                        flush=True,
                    )
    print("| work | vectors | rows | GB | blocks | start | seconds | busy | MB | slopes |")
    for name in WORKS:
        _print_rows(name, sizes, [runs[name, rows] for rows in sizes], images)


def _flags() -> argparse.Namespace:
    parser = CommandParser(prog="python -m benchmarks.scaling", description=__doc__)
    parser.add_argument("--ground_truth", required=True, help="gnd_NAME.pkl or .json")
    parser.add_argument(
        "--rows",
        type=lambda text: [int(number) for number in text.split(",")],
        default=[10**power for power in range(4, 8)],
    )
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--folder", help="where the database is written, 2 kB a row")
    return parser.parse_args()


def _fitting(sizes: Sequence[int], folder: str) -> list[int]:
    """The sizes that the disk has space for, with the others told in a line."""
    free = shutil.disk_usage(folder).free
    fitting = [rows for rows in sizes if _bytes(rows) + KEPT_FREE <= free]
    if left_out := sizes[len(fitting) :]:
        told = ", ".join(f"{rows:,} rows of {_bytes(rows) / 1e9:.1f} GB" for rows in left_out)
        space = f"{free / 1e9:.1f} GB are free, {KEPT_FREE / 1e9:.0f} of which stay"
        if not fitting:
            raise UserError(f"no space for {told}: {space}; name another --folder")
        print(f"LEFT OUT, no space: {told}; {space}", flush=True)
    return fitting


def _bytes(rows: int) -> int:
    return rows * no_rows(WIDTH, STORAGE).itemsize


def search(_: Any, queries: np.ndarray, paths: Sequence[pathlib.Path], rows: int) -> None:
    """Finds the first items of each query among some first rows."""
    top_k(queries, BlockedDatabase(tuple(first_parts(paths, rows))), FOUND)


WORKS: dict[str, Callable] = {"evaluation": evaluate, "search": search}


def timed(
    work: Callable, ground_truth: Any, queries: np.ndarray, paths: Any, rows: int
) -> tuple[float, float, float]:
    """Seconds of the start, and seconds and processor seconds of the work on some first rows."""
    begun = time.perf_counter()
    work(ground_truth, queries, paths, len(ground_truth.image_names))
    started, started_busy = time.perf_counter(), time.process_time()
    work(ground_truth, queries, paths, rows)
    seconds, busy = time.perf_counter() - started, time.process_time() - started_busy
    return started - begun, seconds, busy


def _print_rows(
    name: str, sizes: Sequence[int], runs: Sequence[Sequence[Measured]], images: int
) -> None:
    block = BlockedDatabase.block_rows
    again = -(-images // block) if name == "evaluation" else 0
    blocks = [-(-rows // block) + again for rows in sizes]
    medians = np.array([np.median([run.value for run in of_size], axis=0) for of_size in runs])
    figures = np.column_stack([medians[:, 1:], blocks])
    for number, (rows, of_size) in enumerate(zip(sizes, runs, strict=True)):
        start, seconds, busy = medians[number]
        pair = slice(number - 1, number + 1)
        cells = (
            name,
            instruction_set(),
            f"{rows:,}",
            f"{_bytes(rows) / 1e9:.2f}",
            f"{blocks[number]:,}",
            f"{start:.1f}",
            f"{seconds:.2f}",
            f"{busy:.2f}",
            f"{np.median([run.peak_bytes for run in of_size]) / 1e6:.0f}",
            _slopes(sizes[pair], figures[pair]) if number else "",
        )
        print(f"| {' | '.join(cells)} |")
    if len(sizes) > 1:
        print(f"| {name}, all sizes |{' |' * 8} {_slopes(sizes, figures)} |")


def _slopes(sizes: Sequence[int], figures: np.ndarray) -> str:
    """Of the columns of float[n 3]: seconds, busy, blocks."""
    slopes = np.polyfit(np.log(sizes), np.log(figures), 1)[0]
    return ", ".join(f"{slope:.2f}" for slope in slopes)


if __name__ == "__main__":
    run_command(main)
