"""SENet in JAX and Flax: train, evaluate and use global descriptors for landmark retrieval."""

import sys

__version__ = "0.1.0"

if sys.argv[:1] == ["-m"]:  # Python is looking for a command of this package, to run it.
    from senet_jax.system import signals

    signals.hold()
