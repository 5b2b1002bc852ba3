"""Foresees what the job of a config takes, without running it.

  python -m senet_jax.forecast --config=FILE[:NAME] [--devices=N] [--config.KEY=VALUE ...]

All figures are counts and bytes, but for the rate at which a core of this machine makes training
images ready, which is measured. The program of a training is compiled for N devices of this
machine's CPU; other backends make other programs of the same step.
"""

import argparse
import sys
from collections.abc import Sequence

from senet_jax.command_line import expand_paths, parse_with_config, validate
from senet_jax.system.errors import CommandParser, UserError, run_command, shown

MOST_DEVICES = 2**16


def main(arguments: Sequence[str] = sys.argv) -> None:
    """Prints the forecast of what the command line names."""
    parser = CommandParser(prog="python -m senet_jax.forecast", description=__doc__, add_help=False)
    parser.add_argument(
        "--devices",
        metavar="N",
        type=_count,
        help="how many devices train, all together; 1 if it is not given",
    )
    flags, config = parse_with_config(parser, arguments[1:])
    if config is None:
        raise UserError("--config=FILE is needed (see --help)")
    validate(config)
    expand_paths(config)
    # What the other job needs is not imported: it takes seconds.
    if config.job == "train":
        import jax

        from senet_jax.forecast.training import forecast_training
        from senet_jax.system.runtime import use_compilation_cache

        jax.config.update("jax_platforms", "cpu")
        jax.config.update("jax_num_cpu_devices", flags.devices or 1)
        use_compilation_cache()
        lines = forecast_training(config)
    elif config.job == "train_head":
        raise UserError("the job train_head is not foreseen; train, train_pairs and evaluate are")
    elif flags.devices is None and config.job == "train_pairs":
        from senet_jax.forecast.pairs import forecast_pairs

        lines = forecast_pairs(config)
    elif flags.devices is None:
        from senet_jax.forecast.evaluation import forecast_evaluation

        lines = forecast_evaluation(config)
    else:
        raise UserError(
            f"--devices is {flags.devices}, but the job {config.job} uses what this machine has; "
            "leave it out"
        )
    for what, figures in lines:
        print(f"{what:30}  {figures}", flush=True)


def _count(text: str) -> int:
    """`8` -> 8."""
    if not text.isdecimal() or not 1 <= int(text) <= MOST_DEVICES:
        raise argparse.ArgumentTypeError(f"{shown(text)} is not from 1 to {MOST_DEVICES:,}")
    return int(text)


if __name__ == "__main__":
    run_command(main)
