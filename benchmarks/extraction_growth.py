"""Extraction time and memory against the number of images: a line, and flat.

  python -m benchmarks.extraction_growth --weights=W [--counts=100,1000,10000]

Generated images of 128 x 128 at one scale, described into a store by a process for each count.
Memory is the largest resident set of the process.
"""

import argparse
import pathlib
import resource
import subprocess
import sys
import tempfile
import time

import cv2
import numpy as np

from senet_jax.system.errors import CommandParser, run_command

SIDE = 128


def main() -> None:
    parser = CommandParser(prog="python -m benchmarks.extraction_growth", description=__doc__)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--counts", default="100,1000,10000")
    parser.add_argument("--count", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=pathlib.Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.count:
        _describe(arguments)
        return
    counts = [int(count) for count in arguments.counts.split(",")]
    with tempfile.TemporaryDirectory() as folder:
        rng = np.random.default_rng(0)
        for index in range(max(counts)):
            image = cv2.resize(rng.integers(0, 256, (16, 16, 3), np.uint8), (SIDE, SIDE))
            cv2.imwrite(f"{folder}/{index}.jpg", image)
        for count in (counts[0], *counts):  # The first one fills the cache of programs.
            flags = [f"--weights={arguments.weights}", f"--count={count}", f"--folder={folder}"]
            command = [sys.executable, "-m", "benchmarks.extraction_growth", *flags]
            subprocess.run(command, check=True)


def _describe(arguments: argparse.Namespace) -> None:
    from senet_jax.system.runtime import tune_for_inference, use_compilation_cache

    use_compilation_cache()
    tune_for_inference()
    from senet_jax.data.revisitop import Photograph
    from senet_jax.features.described_list import PhotographList, describe_list
    from senet_jax.features.runner import Describer
    from senet_jax.weights import load_weights

    photographs = [Photograph(arguments.folder, f"{i}.jpg") for i in range(arguments.count)]
    describer = Describer.of(load_weights(arguments.weights))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        wanted = PhotographList("images", photographs, [1.0])
        describe_list(describer, wanted, folder, "database", {})
    seconds = time.perf_counter() - start
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    print(
        f"{arguments.count} images: {seconds:.1f} s, {1000 * seconds / arguments.count:.2f} ms an "
        f"image; at most {memory / 2**10:.0f} MiB, {(memory - before) / 2**10:.0f} of them for it"
    )


if __name__ == "__main__":
    run_command(main)
