"""Groups the photographs of an index that are nearly the same; see `index.duplicates`."""

from senet_jax.index.duplicates import main
from senet_jax.system.errors import run_command

if __name__ == "__main__":
    run_command(main)
