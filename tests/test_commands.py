"""What every command has in common, found by its source: a command calls `run_command`."""

import pathlib
import subprocess
import sys

REPOSITORY = pathlib.Path(__file__).parents[1]
COMMANDS = sorted(
    ".".join(path.relative_to(REPOSITORY).with_suffix("").parts).removesuffix(".__main__")
    for path in (REPOSITORY / "senet_jax").rglob("*.py")
    if "\n    run_command(main)\n" in path.read_text()
)
HEAVY = {
    *("faiss", "matplotlib", "orbax", "pandas", "pyarrow", "sklearn", "tensorboardX"),
    *("tensorflow", "tensorflow_datasets", "torch"),
}

# A process in which the heavy packages cannot be imported: each takes seconds of everyone's time.
WITHOUT_HEAVY = f"""
import contextlib, importlib, io, runpy, sys

class Refused:
    def find_spec(name, *_):
        if name.partition(".")[0] in {HEAVY}:
            raise AssertionError(f"{{name}} is imported")

sys.meta_path.insert(0, Refused)
for command in sys.argv[1:]:
    sys.argv = [command, "--help"]
    with contextlib.redirect_stdout(io.StringIO()) as printed:
        try:
            runpy.run_module(command, run_name="__main__", alter_sys=True)
        except SystemExit as end:
            assert not end.code, (command, end.code)
    print(command, "usage: python -m " + command in printed.getvalue())
importlib.import_module("senet_jax.jobs.evaluate")
"""


def test_the_commands_are_found():
    assert {"senet_jax.main", "senet_jax.convert", "senet_jax.rerank.tune"} <= set(COMMANDS)


def test_no_help_waits_for_what_it_does_not_use():
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", WITHOUT_HEAVY, *COMMANDS],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines() == [f"{command} True" for command in COMMANDS]
