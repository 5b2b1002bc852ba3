"""Runs the job that a config names.

python -m senet_jax.main --config=configs/X.py[:NAME] --workdir=DIR [--config.key=value ...]
"""

import pathlib
import sys
from collections.abc import Callable, Sequence

from absl import flags

from senet_jax.command_line import read_config
from senet_jax.config import validate
from senet_jax.distributed import join, parse_processes
from senet_jax.errors import UserError, run_command
from senet_jax.runtime import tune_for_inference


def main(arguments: Sequence[str] = sys.argv) -> None:
    """Reads the flags, checks the config, and runs its job."""
    defined = flags.FlagValues()
    workdir = flags.DEFINE_string(
        "workdir", None, "the folder for all that the job writes", flag_values=defined
    )
    distributed = flags.DEFINE_string(
        "distributed",
        None,
        "work with several processes, this one being the INDEX-th of COUNT that meet at "
        "HOST:PORT,COUNT,INDEX; auto asks the launcher (TPU pod, Slurm, Kubernetes)",
        flag_values=defined,
    )
    config = read_config(arguments, defined, __doc__)
    if config is None or not workdir.value:
        raise UserError("--config=FILE and --workdir=DIR are needed (see --help)")
    validate(config)
    processes = None if distributed.value is None else parse_processes(distributed.value)
    if config.job == "evaluate":
        tune_for_inference()
    if processes is not None:
        join(processes)
    _job(config.job)(config, pathlib.Path(workdir.value))


def _job(name: str) -> Callable:
    """The function of a job; what another job would import is not."""
    if name == "train":
        from senet_jax.training.loop import train as job
    else:
        from senet_jax.evaluate import evaluate as job
    return job


if __name__ == "__main__":
    run_command(main)
