"""A page and pictures of what a run found: `python -m senet_jax.report`."""
