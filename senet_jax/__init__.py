"""SENet in JAX and Flax: train, evaluate and use global descriptors for landmark retrieval."""

__version__ = "0.1.0"
