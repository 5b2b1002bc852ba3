"""Finds the photographs of an index that are most similar to others; see `index.search`."""

from senet_jax.index.search import main
from senet_jax.system.errors import run_command

if __name__ == "__main__":
    run_command(main)
