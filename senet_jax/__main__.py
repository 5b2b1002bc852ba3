"""Runs a command, or lists them: `senet-jax COMMAND ...` and `python -m senet_jax COMMAND ...`.

`senet-jax COMMAND` is `python -m senet_jax.COMMAND`, from any folder.
"""

import ast
import os
import pathlib
import runpy
import sys

from senet_jax.system import signals

COMMANDS = (
    "main",
    "forecast",
    "convert",
    "convert.compare",
    "data.prepare",
    "data.check",
    "score",
    "score.compare",
    "index",
    "search",
    "duplicates",
    "serve",
    "search.arrays",
    "rerank",
    "rerank.tune",
    "quantise",
    "report",
    "figure",
    "export",
    "study",
)
"""The modules of this package that are commands, in the order in which they are listed.

Each has a function `main`, which reads the flags and then imports the work. What it has to import
before, tables of names with their settings among it, takes JAX only where it computes: `--help` and
mistakes come at once.
"""


def main() -> None:
    """Runs the command that the first argument names; without one it lists them."""
    signals.hold()
    # It would log in its own words what is wrong with an image, which the command says.
    os.environ.setdefault("OPENCV_LOG_LEVEL", "SILENT")
    name, *arguments = sys.argv[1:] or ["--help"]
    if name in COMMANDS:
        sys.argv = [f"senet_jax.{name}", *arguments]
        runpy.run_module(f"senet_jax.{name}", run_name="__main__", alter_sys=True)
        return
    from senet_jax.system.errors import UserError, run_command, shown

    def answer() -> None:
        if name not in ("--help", "-h"):
            raise UserError(f"no command is called {shown(name)}; there are {', '.join(COMMANDS)}")
        print(_list_of_commands())

    run_command(answer)


def _list_of_commands() -> str:
    """A line for each command, from its docstring; none of them is imported."""
    width = max(map(len, COMMANDS))
    lines = [f"  {name:{width}}  {_first_line(name)}" for name in COMMANDS]
    return "\n".join(
        [
            "senet-jax COMMAND ...",
            "",
            *lines,
            "",
            "senet-jax COMMAND --help tells what a command takes; all of them can be run as",
            "python -m senet_jax.COMMAND too",
        ]
    )


def _first_line(command: str) -> str:
    path = pathlib.Path(__file__).parent.joinpath(*command.split("."))
    file = path / "__main__.py" if path.is_dir() else path.with_suffix(".py")
    said = ast.get_docstring(ast.parse(file.read_text(encoding="utf-8"))) or ""
    return said.splitlines()[0].partition(";")[0].removesuffix(".") + "."


if __name__ == "__main__":
    main()
