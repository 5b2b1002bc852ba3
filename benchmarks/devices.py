"""How far a training on eight devices is from that on one after five steps.

  python -m benchmarks.devices

`tiny`, cls+con, batch norm over all devices; a low rate and that of the recipe; SiLU in place of
ReLU, and ReLU. The bar is 1e-5 of each tensor's largest value. Devices are fake ones of the CPU.
"""

import argparse
import dataclasses
import os
import pathlib
import subprocess
import sys
import tempfile

import numpy as np

from senet_jax.system.errors import CommandParser, run_command

RATES = {"a low rate": 1e-4, "the recipe's rate": 0.005625}
COUNTS = (1, 8)


def main() -> None:
    parser = CommandParser(prog="python -m benchmarks.devices", description=__doc__)
    parser.add_argument("--folder", type=pathlib.Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.folder:
        _train(arguments.folder)
        return
    with tempfile.TemporaryDirectory() as folder:
        for count in COUNTS:
            flags = f"--xla_force_host_platform_device_count={count}"
            target = pathlib.Path(folder, str(count))
            target.mkdir()
            subprocess.run(
                [sys.executable, "-m", "benchmarks.devices", f"--folder={target}"],
                env=os.environ | {"XLA_FLAGS": flags},
                check=True,
            )
        for name in sorted(path.name for path in target.iterdir()):
            alone, spread = (np.load(pathlib.Path(folder, str(count), name)) for count in COUNTS)
            losses, parameters = (
                max(_distance(spread[path], alone[path]) for path in alone if path.startswith(part))
                for part in ("metrics/loss", "last/params")
            )
            print(f"{name.removesuffix('.npz')}: losses {losses:.1e}, parameters {parameters:.1e}")


def _train(folder: pathlib.Path) -> None:
    from tests.training.landmarks import SGD
    from tests.training.spread_training import CLS_CON, run

    for rate_name, rate in RATES.items():
        for with_relu in (False, True):
            sgd = dataclasses.replace(SGD, learning_rate=rate)
            found = run(CLS_CON, sgd, with_relu=with_relu)
            np.savez(folder / f"{'ReLU' if with_relu else 'SiLU'}, {rate_name}.npz", **found)


def _distance(found: np.ndarray, expected: np.ndarray) -> float:
    return np.abs(found - expected).max(initial=0) / max(np.abs(expected).max(initial=0), 1e-30)


if __name__ == "__main__":
    run_command(main)
