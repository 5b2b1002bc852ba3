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

_HERE = pathlib.Path(__file__).parent
CONFIGS = _HERE / "configs" if (_HERE / "configs").is_dir() else _HERE.parent / "configs"
"""The folder of the configs that come with the project: in the package, or in the repository."""
JOBS = ("evaluate", "train", "train_pairs", "train_head")
"""What `config.job` may be."""


def settings_of(job: str) -> type[sections.Job]:
    """The settings of one of `JOBS`."""
    if job == "evaluate":
        from senet_jax.jobs.settings import EvaluationSettings as settings
    elif job == "train":
        from senet_jax.training.settings import TrainingSettings as settings
    elif job == "train_pairs":
        from senet_jax.training.pairs.settings import PairTrainingSettings as settings
    else:
        from senet_jax.training.head_settings import HeadSettings as settings
    return settings


def validate(config: sections.Config) -> None:
    """Checks that every key is there, known, and has a value of its kind.

    Raises:
        UserError: the first key that is wrong, its value, and what is expected of it.
    """
    job = config.get("job")
    if not isinstance(job, str) or job not in JOBS:
        raise UserError(f"config.job is {shown(job)}; jobs are {', '.join(JOBS)}")
    sections.read(settings_of(job), config)


def expand_paths(config: config_dict.ConfigDict) -> None:
    """Expands `~` in the paths of a valid config."""
    sections.expand_paths(settings_of(config.job), config)


def keys_help(config: sections.Config) -> str:
    """The keys of a config, each with the value that it has and what it means."""
    job = str(config.get("job"))
    return sections.keys_help(settings_of(job) if job in JOBS else None, config)


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
        metavar="CONFIG[:NAME]",
        help="one of the configs below, or a file of your own, FILE.py; --config.KEY=VALUE changes "
        "a value",
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
        print(_list_of_configs() if config is None else _of_config(str(given.config), config))
        sys.exit(0)
    return given, config


def _local_config(text: str) -> str:
    """A config flag, `CONFIG` or `CONFIG:NAME`, with the path of its file.

    A word is one of the configs that come with the project; in a path `~` is expanded.

    Raises:
        UserError: no config has that word as its name, or the path is none of this machine.
    """
    file, colon, name = text.partition(":")
    if name.startswith("//"):
        return str(local_path(text))
    if not file.isidentifier():
        return f"{local_path(file)}{colon}{name}"
    configs = _configs()
    if file not in configs:
        raise UserError(
            f"no config is called {shown(file)}; there are {', '.join(configs)}, and a file of "
            "your own is FILE.py"
        )
    return f"{CONFIGS / file}.py{colon}{name}"


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


def _configs() -> dict[str, str]:
    """The configs that come with the project: name -> what it says of itself, in a line."""
    said = {}
    for file in sorted(CONFIGS.glob("*.py")):
        module = ast.parse(file.read_text(encoding="utf-8"))
        if any(getattr(statement, "name", None) == "get_config" for statement in module.body):
            said[file.stem] = (ast.get_docstring(module) or "").splitlines()[0]
    return said


def _list_of_configs() -> str:
    """The configs that come with the project, a line each, and how to see their keys."""
    lines = [f"  {name:12}  {said}" for name, said in _configs().items()]
    return "\n".join(
        [
            "configs, which are Python files with a function get_config:",
            *lines,
            f"they are in {CONFIGS}",
            "--config=CONFIG --help lists a config's keys and what they mean",
        ]
    )
