"""senet-jax index, killed at random moments, against one run that is left alone.

  python -m benchmarks.killed_index PHOTOS [--photographs=600] [--kills=20] [--seed=0]
      [--weights=W] [--backend=TEXT]

The index of some photographs of a folder is made and killed with SIGKILL after a random time, again
and again; where a run ends before that, the index is begun anew. After each kill a search must find
what is whole, or say in one line that nothing is there yet. At last a run is left to its end, and
what senet-jax search prints for photographs of the folder is compared, byte for byte, with what it
prints of an index that was never killed.

The commands run in forks of a process that has imported what they need, so that kills fall into
their work; a moment is drawn from all of the time that the last run took which ended. Thumbnails
describe by default: with a network most of a short run is over before a first group is saved.
"""

import importlib
import multiprocessing
import os
import pathlib
import random
import shutil
import sys
import tempfile
import time

from senet_jax.index.photographs import find_photographs
from senet_jax.system.errors import CommandParser, run_command
from senet_jax.system.files import local_path

QUERIES = 20
INDEX, SEARCH = "senet_jax.index.__main__", "senet_jax.search.__main__"
WORK = "senet_jax.index.update", "senet_jax.index.search", "senet_jax.models.inference"
FORKS = multiprocessing.get_context("forkserver")


class Command:
    """A command in a process of its own; what it prints goes to a file."""

    def __init__(self, module: str, folder: pathlib.Path, *arguments: object):
        self._output, self._errors = folder / "output.txt", folder / "errors.txt"
        given = module, [*map(str, arguments)], self._output, self._errors
        self._process = FORKS.Process(target=_run, args=given)
        self._process.start()

    def exit_code(self, seconds: float | None = None) -> int | None:
        """Its exit code, None if it goes on for longer."""
        self._process.join(seconds)
        return self._process.exitcode

    def kill(self) -> None:
        """Ends it at once."""
        self._process.kill()
        self._process.join()

    @property
    def said(self) -> str:
        """What it has printed."""
        return self._output.read_text(errors="surrogateescape")

    @property
    def faults(self) -> str:
        """What it has printed on standard error."""
        return self._errors.read_text(errors="surrogateescape")


def main() -> None:
    parser = CommandParser(prog="python -m benchmarks.killed_index", description=__doc__)
    parser.add_argument("photos", type=local_path)
    parser.add_argument("--photographs", type=int, default=600)
    parser.add_argument("--weights", default="thumbnails")
    parser.add_argument("--backend", default="files")
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=0)
    flags = parser.parse_args()
    FORKS.set_forkserver_preload([INDEX, SEARCH, *WORK, "flax.linen"])
    rng = random.Random(flags.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = pathlib.Path(name)
        undisturbed, killed, photos = (folder / n for n in ("undisturbed", "killed", "photos"))
        names = _copied(flags.photos, photos, flags.photographs)
        queries = [str(photos / name) for name in names[:: max(1, len(names) // QUERIES)]]
        options = f"--weights={flags.weights}", f"--backend={flags.backend}"

        def index(place: pathlib.Path) -> Command:
            return Command(INDEX, folder, photos, place, *options)

        def found(place: pathlib.Path) -> str | None:
            """What a search prints; None where it says that there is nothing."""
            search = Command(SEARCH, folder, place, *queries)
            code = search.exit_code()
            if code == 2:
                print(f"  {search.faults.splitlines()[-1]}")
                return None
            if code:
                raise SystemExit(search.faults)
            return search.said

        for _ in range(2):  # The first one compiles.
            shutil.rmtree(undisturbed, ignore_errors=True)
            start = time.monotonic()
            command = index(undisturbed)
            if command.exit_code():
                raise SystemExit(command.faults)
            seconds = time.monotonic() - start
        expected = found(undisturbed)
        print(f"{len(names)} photographs, {seconds:.1f} s a run, seed {flags.seed}", flush=True)
        kills = 0
        while kills < flags.kills:
            moment, start = rng.uniform(0, seconds), time.monotonic()
            command = index(killed)
            code = command.exit_code(moment)
            if code is None:
                command.kill()
                kills += 1
                said = found(killed)
                shown = len(set(_paths(said or "")) & set(queries))
                told = "nothing is there yet" if said is None else f"{shown} queries are found"
                print(f"kill {kills} after {moment:.1f} s: {told}", flush=True)
            elif code:
                raise SystemExit(f"a run after a kill failed: {command.faults}")
            else:
                seconds = time.monotonic() - start
                told = f"equal to the byte: {found(killed) == expected}"
                print(f"  ended after {seconds:.1f} s; {told}", flush=True)
                shutil.rmtree(killed)
        command = index(killed)
        if command.exit_code():
            raise SystemExit(f"the run after the kills failed: {command.faults}")
        print(f"killed {kills} times; equal to the byte: {found(killed) == expected}")


def _run(module: str, arguments: list[str], output: pathlib.Path, errors: pathlib.Path) -> None:
    for path, stream in ((output, 1), (errors, 2)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666), stream)
    sys.argv = [module, *arguments]
    run_command(importlib.import_module(module).main)


def _copied(photos: pathlib.Path, target: pathlib.Path, most: int) -> list[str]:
    """Copies photographs from all over a folder; their names."""
    names = find_photographs(photos).names
    names = names[:: max(1, len(names) // most)][:most]
    for name in names:
        (target / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(photos / name, target / name)
    return list(names)


def _paths(said: str) -> list[str]:
    return [line.split("  ")[-1] for line in said.splitlines() if line.startswith("  ")]


if __name__ == "__main__":
    run_command(main)
