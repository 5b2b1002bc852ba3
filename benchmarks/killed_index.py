"""senet-jax index, killed at random moments, against one run that is left alone.

  python -m benchmarks.killed_index PHOTOS --weights=W [--kills=20] [--backend=TEXT]

The index of a folder is made and killed with SIGKILL after a random time, again and again; where a
run ends before that, the index is begun anew. After each kill a search must find what is whole, or
say in one line that nothing is there yet. At last a run is left to its end, and what senet-jax
search prints for photographs of the folder is compared, byte for byte, with what it prints of an
index that was never killed.
"""

import pathlib
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time

from senet_jax.index.photographs import find_photographs
from senet_jax.system.errors import CommandParser, run_command
from senet_jax.system.files import local_path

QUERIES = 20


def main() -> None:
    parser = CommandParser(prog="python -m benchmarks.killed_index", description=__doc__)
    parser.add_argument("photos", type=local_path)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--backend", default="files")
    parser.add_argument("--kills", type=int, default=20)
    flags = parser.parse_args()
    names = find_photographs(flags.photos).names
    queries = [str(flags.photos / name) for name in names[:: max(1, len(names) // QUERIES)]]
    rng = random.Random(0)
    with tempfile.TemporaryDirectory() as folder:
        undisturbed, killed = (pathlib.Path(folder, name) for name in ("undisturbed", "killed"))

        def index(place: pathlib.Path) -> subprocess.Popen:
            options = (f"--weights={flags.weights}", f"--backend={flags.backend}")
            return _started("index", flags.photos, place, *options)

        def found(place: pathlib.Path) -> str | None:
            """What a search prints; None where it says that there is nothing."""
            process = _started("search", place, *queries)
            said, why = process.communicate()
            if process.returncode == 2 and why.count("\n") == 1:
                print(f"  {why.strip()}")
                return None
            if process.returncode:
                raise SystemExit(why)
            return said

        for _ in range(2):  # The first one compiles.
            shutil.rmtree(undisturbed, ignore_errors=True)
            start = time.monotonic()
            if index(undisturbed).wait():
                raise SystemExit("an undisturbed run failed")
            seconds = time.monotonic() - start
        expected = found(undisturbed)
        print(f"{len(names)} photographs, {seconds:.0f} s a run", flush=True)
        kills = 0
        while kills < flags.kills:
            process = index(killed)
            try:
                if process.wait(timeout=rng.uniform(0, seconds)):
                    raise SystemExit(f"a run after a kill failed: {process.communicate()[1]}")
                print(f"  ended; equal: {found(killed) == expected}", flush=True)
                shutil.rmtree(killed)
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.wait()
                kills += 1
                said = found(killed)
                shown = 0 if said is None else len(set(_paths(said)) & set(queries))
                print(f"kill {kills}: {shown} of {len(queries)} queries are found", flush=True)
        if index(killed).wait():
            raise SystemExit("the run after the kills failed")
        print(f"killed {kills} times; equal to the byte: {found(killed) == expected}")


def _started(command: str, *arguments: object) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "senet_jax", command, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def _paths(said: str) -> list[str]:
    return [line.split("  ")[-1] for line in said.splitlines() if line.startswith("  ")]


if __name__ == "__main__":
    run_command(main)
