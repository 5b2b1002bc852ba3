"""Runs the job that a config names.

python -m senet_jax.main --config=configs/X.py[:NAME] --workdir=DIR [--config.key=value ...]
"""

import pathlib
import sys
from collections.abc import Callable, Sequence

from absl import flags
from ml_collections import config_flags

from senet_jax.config import validate
from senet_jax.errors import UserError, run_command


def main(arguments: Sequence[str] = sys.argv) -> None:
    """Reads the flags, checks the config, and runs its job."""
    defined = flags.FlagValues()
    config_flag = config_flags.DEFINE_config_file(
        "config",
        None,
        "the config file; --config.key=value changes a value",
        flag_values=defined,
        sys_argv=list(arguments),
    )
    workdir = flags.DEFINE_string(
        "workdir", None, "the folder for all that the job writes", flag_values=defined
    )
    help_wanted = flags.DEFINE_bool("help", False, "show this", flag_values=defined)
    config = _parse(arguments, defined, config_flag)
    if help_wanted.value:
        print(f"{__doc__}\n{defined.get_help(include_special_flags=False)}")
        return
    if config is None or not workdir.value:
        raise UserError("--config=FILE and --workdir=DIR are needed (see --help)")
    validate(config)
    _job(config.job)(config, pathlib.Path(workdir.value))


def _job(name: str) -> Callable:
    """The function of a job; what another job would import is not."""
    if name == "train":
        from senet_jax.training.loop import train as job
    else:
        from senet_jax.evaluate import evaluate as job
    return job


def _parse(arguments: Sequence[str], defined: flags.FlagValues, config_flag: flags.FlagHolder):
    try:
        rest = defined(list(arguments))[1:]
        config = config_flag.value
        list(config or ())  # A file that could not be loaded raises when it is first looked into.
    except Exception as error:
        # A config file is Python and may raise anything. The user sees what it was, in one line.
        kind = "no such key" if isinstance(error, AttributeError) else type(error).__name__
        raise UserError(f"wrong flags or config, {kind}: {error} (see --help)") from error
    if rest:
        raise UserError(f"unexpected argument {rest[0]!r}; flags begin with -- (see --help)")
    return config


if __name__ == "__main__":
    run_command(main)
