"""An extraction that is killed at random moments, against one that is left alone.

  python -m benchmarks.killed_extraction --weights=W --data_root=D --dataset=NAME [--kills=20]

The evaluate job runs on a dataset of the benchmark's layout and is killed with SIGKILL after a
random time, again and again; where it ends before that, it begins anew. Whenever it ends, and at
last it is left to, its descriptors are compared to the byte with those of an undisturbed run.
"""

import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from senet_jax.system.errors import CommandParser, run_command
from senet_jax.system.files import sha256_of_file
from senet_jax.weights import load_weights


def main() -> None:
    parser = CommandParser(prog="python -m benchmarks.killed_extraction", description=__doc__)
    for flag in ("weights", "data_root", "dataset"):
        parser.add_argument(f"--{flag}", required=True)
    parser.add_argument("--kills", type=int, default=20)
    arguments = parser.parse_args()
    name = load_weights(arguments.weights).architecture.name
    rng = random.Random(0)
    with tempfile.TemporaryDirectory() as folder:

        def run(workdir: str) -> subprocess.Popen:
            return subprocess.Popen(
                [
                    *(sys.executable, "-m", "senet_jax.main"),
                    f"--config=configs/evaluate.py:{name}",
                    f"--workdir={folder}/{workdir}",
                    f"--config.weights={arguments.weights}",
                    f"--config.data_root={arguments.data_root}",
                    f"--config.datasets={arguments.dataset}",
                ],
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
            )

        def check() -> None:
            files = [
                file
                for file in sorted(pathlib.Path(folder, "undisturbed", "descriptors").rglob("*.*"))
                if file.is_file()
            ]
            equal = [sha256_of_file(file) == sha256_of_file(_counterpart(file)) for file in files]
            left = [path.name for path in pathlib.Path(folder, "killed").rglob("*.shards")]
            print(
                f"killed {killed} times so far; {sum(equal)} of {len(equal)} files are equal to "
                f"the byte; left behind: {', '.join(left) or 'nothing'}",
                flush=True,
            )

        for workdir in ("compiling", "undisturbed"):
            start = time.monotonic()
            if run(workdir).wait():
                raise SystemExit("an undisturbed run failed")
            seconds = time.monotonic() - start
        killed = 0
        while killed < arguments.kills:
            process = run("killed")
            try:
                if process.wait(timeout=rng.uniform(0, seconds)):
                    raise SystemExit("a run after a kill failed")
                check()
                shutil.rmtree(f"{folder}/killed")
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.wait()
                killed += 1
        if run("killed").wait():
            raise SystemExit("the run after the kills failed")
        check()


def _counterpart(file: pathlib.Path) -> pathlib.Path:
    parts = ["killed" if part == "undisturbed" else part for part in file.parts]
    return pathlib.Path(*parts)


if __name__ == "__main__":
    run_command(main)
