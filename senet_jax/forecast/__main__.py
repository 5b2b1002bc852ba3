"""Foresees what the job of a config takes, without running it.

python -m senet_jax.forecast --config=configs/X.py[:NAME] [--devices=N] [--config.key=value ...]

All figures are counts and bytes. The program of a training is compiled for N devices of this
machine's CPU; other backends make other programs of the same step.
"""

import sys
from collections.abc import Sequence

import jax
from absl import flags

from senet_jax.command_line import read_config
from senet_jax.config import validate
from senet_jax.errors import UserError, run_command
from senet_jax.forecast.evaluation import forecast_evaluation
from senet_jax.forecast.training import forecast_training
from senet_jax.runtime import use_compilation_cache


def main(arguments: Sequence[str] = sys.argv) -> None:
    """Prints the forecast of what the command line names."""
    defined = flags.FlagValues()
    devices = flags.DEFINE_integer(
        "devices",
        None,
        "how many devices train, all together; 1 if it is not given",
        lower_bound=1,
        flag_values=defined,
    )
    config = read_config(arguments, defined, __doc__)
    if config is None:
        raise UserError("--config=FILE is needed (see --help)")
    validate(config)
    if config.job == "train":
        jax.config.update("jax_platforms", "cpu")
        jax.config.update("jax_num_cpu_devices", devices.value or 1)
        use_compilation_cache()
        lines = forecast_training(config)
    elif devices.value is None:
        lines = forecast_evaluation(config)
    else:
        raise UserError(
            f"--devices is {devices.value}, but the job {config.job} uses what this machine has; "
            "leave it out"
        )
    for what, figures in lines:
        print(f"{what:30}  {figures}", flush=True)


if __name__ == "__main__":
    run_command(main)
