"""Figures as a paper prints them: `python -m senet_jax.figure`."""
