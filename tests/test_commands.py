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
OF_SOME_WORK = {
    *("faiss", "matplotlib", "orbax", "pandas", "pyarrow", "sklearn", "tensorboardX"),
    *("tensorflow", "tensorflow_datasets", "torch"),
}
HEAVY = {"cv2", "flax", "jax", "optax", *OF_SOME_WORK}
"""What no command imports before its flags are read: `main` reads them, and imports its work."""

# A process in which these packages cannot be imported: each takes up to seconds of everyone's time.
WITHOUT_HEAVY = f"""
import contextlib, importlib, io, runpy, sys

class Refused:
    names = {HEAVY}

    def find_spec(name, *_):
        if name.partition(".")[0] in Refused.names:
            raise AssertionError(f"{{name}} is imported")

def run(command, *flags):
    sys.argv = [command, *flags]
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            runpy.run_module(command, run_name="__main__", alter_sys=True)
        except SystemExit as end:
            return end.code or 0, out.getvalue(), err.getvalue()

sys.meta_path.insert(0, Refused)
for command in sys.argv[1:]:
    code, out, err = run(command, "--help")
    print(command, code, "usage: python -m " + command in out, repr(err))
    code, out, err = run(command, "--colour=red")
    print(command, code, err.startswith("error: "), err.count(chr(10)), repr(out))
code, out, err = run("senet_jax.main", "--config=evaluate:r50", "--help")
print(code, "--config.rerank=" in out, repr(err))
Refused.names = {OF_SOME_WORK}
importlib.import_module("senet_jax.jobs.evaluate")
"""


def test_the_commands_are_found():
    assert {"senet_jax.main", "senet_jax.convert", "senet_jax.rerank.tune"} <= set(COMMANDS)


def test_no_flags_wait_for_what_the_work_takes():
    """What `--help` tells and wrong flags, each before anything heavy is imported."""
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", WITHOUT_HEAVY, *COMMANDS],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    expected = [
        line for command in COMMANDS for line in (f"{command} 0 True ''", f"{command} 2 True 1 ''")
    ]
    assert done.stdout.splitlines() == [*expected, "0 True ''"]
