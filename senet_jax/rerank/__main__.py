"""Re-ranks anyone's ranked lists by anyone's descriptors; see `jobs.rerank`."""

from senet_jax.jobs.rerank import main
from senet_jax.system.errors import run_command

if __name__ == "__main__":
    run_command(main)
