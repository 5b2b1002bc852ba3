"""The time from files to descriptors beside the authors' code, same images and cores.

  python -m benchmarks.extraction --authors=CHECKOUT --weights=W --data_root=D --dataset=NAME

Three scales, queries and database. Each run is a process of its own, and they take turns; starting
it and loading the weights is not counted, on either side. The first run of ours finds no compiled
program (cold); in the others, whose medians are compared, it reads them from the cache (warm).
Beside the authors' code as it is stands the same under `torch.compile`, with the settings of malloc
that ours takes; a whole extraction before the timed one, in which it compiles, is not counted.
"""

import argparse
import functools
import os
import subprocess
import sys
import tempfile
import time

import numpy as np

from senet_jax.data.revisitop import load_dataset
from senet_jax.system.errors import CommandParser, run_command

SCALES = [0.7071, 1.0, 1.4142]


def main() -> None:
    parser = CommandParser(prog="python -m benchmarks.extraction", description=__doc__)
    for flag in ("authors", "weights", "data_root", "dataset"):
        parser.add_argument(f"--{flag}", required=True)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--side", choices=_SIDES, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        print(_SIDES[arguments.side](arguments))
        return
    with tempfile.TemporaryDirectory() as cache:
        environment = os.environ | {"XDG_CACHE_HOME": cache}
        environment.pop("JAX_COMPILATION_CACHE_DIR", None)

        def seconds(side: str) -> float:
            command = [sys.executable, "-m", "benchmarks.extraction", *sys.argv[1:]]
            done = subprocess.run(
                [*command, f"--side={side}"],
                env=environment,
                check=True,
                stdout=subprocess.PIPE,
                text=True,
            )
            return float(done.stdout.split()[-1])

        print(f"ours, cold: {seconds('ours'):.1f} s", flush=True)
        rounds = []
        for _ in range(arguments.rounds):
            rounds.append([seconds(side) for side in _SIDES])
            print(
                "ours {:.1f} s, theirs {:.1f} s, compiled {:.1f} s".format(*rounds[-1]), flush=True
            )
    ours, theirs, compiled = np.median(rounds, axis=0)
    dataset = load_dataset(arguments.data_root, arguments.dataset)
    images = len(dataset.queries) + len(dataset.images)
    print(
        f"medians: ours {ours:.1f} s, {ours / images:.2f} s an image; theirs {theirs:.1f} s, "
        f"{theirs / images:.2f} s an image; ratio {ours / theirs:.2f}; "
        f"theirs under torch.compile {compiled:.1f} s, ratio {ours / compiled:.2f}"
    )


def _ours(arguments: argparse.Namespace) -> float:
    from senet_jax.system.runtime import tune_for_inference, use_compilation_cache

    use_compilation_cache()
    tune_for_inference()
    from senet_jax.features.extract import extract
    from senet_jax.features.runner import Describer
    from senet_jax.weights import load_weights

    describer = Describer.of(load_weights(arguments.weights))
    start = time.perf_counter()
    dataset = load_dataset(arguments.data_root, arguments.dataset)
    for photographs in (dataset.queries, dataset.images):
        extract(describer, photographs, SCALES, label="ours")
    return time.perf_counter() - start


def _theirs(arguments: argparse.Namespace, compiled: bool = False) -> float:
    import torch

    from benchmarks import authors
    from senet_jax.system.runtime import tune_for_inference
    from senet_jax.weights import load_weights

    model = authors.load_model(arguments.authors, load_weights(arguments.weights))
    dataset = load_dataset(arguments.data_root, arguments.dataset)
    with authors.under_their_name(dataset) as root:

        def seconds() -> float:
            start = time.perf_counter()
            for part in ("query", "db"):
                authors.extract(model, root, part, SCALES)
            return time.perf_counter() - start

        if compiled:
            tune_for_inference()
            model = torch.compile(model)
            seconds()
        return seconds()


_SIDES = {
    "ours": _ours,
    "theirs": _theirs,
    "compiled": functools.partial(_theirs, compiled=True),
}


if __name__ == "__main__":
    run_command(main)
