"""Photographs as a network sees them, without a network."""

import numpy as np

from senet_jax.data.in_memory import InMemoryPhotograph
from senet_jax.figure.heat import Seen
from tests.data.pictures import picture


class Network:
    """In place of `Model`: random maps, the same for the same pixels; `D` only if asked for."""

    stride, first = 8, 0

    def __init__(self, has_module=True):
        self.has_module = has_module

    def maps(self, pixels, order):
        rng = np.random.default_rng(int(pixels.sum()))
        shape = -(-pixels.shape[0] // 8), -(-pixels.shape[1] // 8)
        maps = {"s4": rng.random((*shape, 4), np.float32), "descriptor": rng.random(6)}
        if self.has_module:
            maps |= {name: rng.random((*shape, 4), np.float32) for name in ("structure", "fused")}
            maps |= {"q": rng.random((*shape, 3), np.float32)}
            maps |= {"self_similarity": rng.random((*shape, 3, 3, 3), np.float32)}
        return maps


def seen(seed=0, has_module=True, shape=(40, 48)):
    pixels = picture(*shape, seed)
    return Seen(Network(has_module), InMemoryPhotograph(None, "a", pixels=pixels))
