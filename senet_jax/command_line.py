"""The command lines that take a config: of the commands that run its job, or foresee it."""

import argparse
import ast
import contextlib
import pathlib
import sys
from collections.abc import Iterator, Sequence

from absl import flags
from ml_collections import config_dict, config_flags

from senet_jax import config as sections
from senet_jax.jobs.settings import EvaluationSettings
from senet_jax.system.errors import (
    MESSAGE_LIMIT,
    CommandParser,
    UserError,
    printable,
    reason,
    shortened,
    shown,
)
from senet_jax.system.files import local_path
from senet_jax.training.settings import TrainingSettings

CONFIGS = pathlib.Path(__file__).parents[1] / "configs"
"""The folder of the configs that come with the project."""
JOBS: dict[str, type[sections.Job]] = {"evaluate": EvaluationSettings, "train": TrainingSettings}
"""The settings of each job by its name, `config.job`."""


def validate(config: sections.Config) -> None:
    """Checks that every key is there, known, and has a value of its kind.

    Raises:
        UserError: the first key that is wrong, its value, and what is expected of it.
    """
    job = config.get("job")
    if not isinstance(job, str) or job not in JOBS:
        raise UserError(f"config.job is {shown(job)}; jobs are {', '.join(JOBS)}")
    sections.read(JOBS[job], config)


def expand_paths(config: config_dict.ConfigDict) -> None:
    """Expands `~` in the paths of a valid config."""
    sections.expand_paths(JOBS[config.job], config)


def keys_help(config: sections.Config) -> str:
    """The keys of a config, each with the value that it has and what it means."""
    return sections.keys_help(JOBS.get(str(config.get("job"))), config)


def parse_with_config(
    parser: CommandParser, arguments: Sequence[str]
) -> tuple[argparse.Namespace, config_dict.ConfigDict | None]:
    """Reads a command's flags and the config of `--config`, which is not checked yet.

    `--help` prints what there is, the keys of the config if one is named, and ends the process.

    Args:
        parser: of the command's own flags, made without help.
        arguments: of the process, without its name.

    Returns:
        The flags, and the config or None where `--config` is not given.

    Raises:
        UserError: the config file or a value in it is wrong.
    """
    parser.add_argument(
        "--config",
        type=_local_config,
        metavar="FILE[:NAME]",
        help="the config; --config.KEY=VALUE changes a value",
    )
    parser.add_argument(
        "--help", action="store_true", help="show this and, behind --config, the config's keys"
    )
    given, rest = parser.parse_known_args(arguments)
    config = None if given.config is None else _load(parser.prog, given.config, rest)
    if config is None and rest:
        parser.error(f"unexpected argument {shown(rest[0])}")
    if given.help:
        print(parser.format_help())
        print(_list_of_configs() if config is None else _of_config(given.config, config))
        sys.exit(0)
    return given, config


def _local_config(text: str) -> str:
    """A config flag, `FILE` or `FILE:NAME`, with `~` expanded in its file."""
    file, colon, name = text.partition(":")
    is_remote = name.startswith("//")
    return str(local_path(text)) if is_remote else f"{local_path(file)}{colon}{name}"


def _load(prog: str, name: str, changes: Sequence[str]) -> config_dict.ConfigDict:
    """A config with the changes of its values that a command line asks for."""
    flag = f"--config={name}"
    defined = flags.FlagValues()
    holder = config_flags.DEFINE_config_file(
        "config", None, "", flag_values=defined, sys_argv=[prog, flag, *changes]
    )
    try:
        with _neighbours_importable(pathlib.Path(name.partition(":")[0])):
            rest = defined([prog, flag, *changes])[1:]
            config = holder.value
            list(config)  # A file that could not be loaded raises when it is first looked into.
    except Exception as error:
        # A config file is Python and may raise anything. The user sees what it was, in one line.
        said = f"no such key: {reason(error)}"
        if "Traceback (most recent call last)" in str(error):
            # What the file's own function raised, at the end of what ml_collections makes of it.
            said = shortened(printable(str(error).strip().splitlines()[-1]), MESSAGE_LIMIT // 2)
        elif not isinstance(error, AttributeError):
            said = f"{type(error).__name__}: {reason(error)}"
        raise UserError(f"wrong flags or config, {said} (see {prog} --help)") from error
    if rest:
        raise UserError(
            f"unexpected argument {shown(rest[0])}; flags begin with -- (see {prog} --help)"
        )
    return config


@contextlib.contextmanager
def _neighbours_importable(config_file: pathlib.Path) -> Iterator[None]:
    """Lets a config import those beside it as `configs.NAME`, whichever folder one is in."""
    above = str(config_file.absolute().parents[1])
    sys.path.insert(0, above)
    try:
        yield
    finally:
        sys.path.remove(above)


def _of_config(name: str, config: config_dict.ConfigDict) -> str:
    return f"keys of {name}, with their values:\n{keys_help(config)}"


def _list_of_configs() -> str:
    """The configs that come with the project, a line each, and how to see their keys."""
    files = sorted(CONFIGS.glob("*.py"))
    if not files:
        return "configs are in the folder configs/ of the project's repository"
    here = pathlib.Path.cwd()
    lines = ["configs, which are Python files with a function get_config:"]
    for file in files:
        module = ast.parse(file.read_text(encoding="utf-8"))
        if any(getattr(statement, "name", None) == "get_config" for statement in module.body):
            path = file.relative_to(here) if file.is_relative_to(here) else file
            lines.append(f"  {path}\n        {(ast.get_docstring(module) or '').splitlines()[0]}")
    return "\n".join([*lines, "--config=FILE --help lists a config's keys and what they mean"])
