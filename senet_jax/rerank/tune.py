"""Chooses settings of query expansion on one dataset, reports them on another; see `jobs.tune`."""

from senet_jax.jobs.tune import main
from senet_jax.system.errors import run_command

if __name__ == "__main__":
    run_command(main)
