"""Pictures of what a training learned: `python -m senet_jax.report`."""
