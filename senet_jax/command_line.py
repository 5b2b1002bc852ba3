"""The flags of the commands that take a config: those that run its job, or foresee it."""

import sys
from collections.abc import Sequence

from absl import flags
from ml_collections import config_dict, config_flags

from senet_jax.errors import UserError


def read_config(
    arguments: Sequence[str], defined: flags.FlagValues, usage: str
) -> config_dict.ConfigDict | None:
    """Reads a command's flags and the config of `--config`, which is not checked yet.

    `--help` prints what there is and ends the process.

    Args:
        arguments: of the process, its name first.
        defined: the command's own flags, which get their values.
        usage: what stands before the list of flags.

    Returns:
        The config, or None where `--config` is not given.

    Raises:
        UserError: a flag, the file or a value in it is wrong.
    """
    config_flag = config_flags.DEFINE_config_file(
        "config",
        None,
        "the config file; --config.key=value changes a value",
        flag_values=defined,
        sys_argv=list(arguments),
    )
    help_wanted = flags.DEFINE_bool("help", False, "show this", flag_values=defined)
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
    if help_wanted.value:
        print(f"{usage}\n{defined.get_help(include_special_flags=False)}")
        sys.exit(0)
    return config
