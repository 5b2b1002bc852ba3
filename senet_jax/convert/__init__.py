"""PyTorch checkpoints to weights folders and back: `python -m senet_jax.convert`."""
