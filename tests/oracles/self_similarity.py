"""The self-similarity by its definition, one product at a time."""

import numpy as np


def self_similarity(q, window, channelwise):
    """float64[b h w c] -> float64[b h w u v c], in loops; outside of the map q is zero."""
    batch, height, width, channels = q.shape
    radius = window // 2
    outputs = channels if channelwise else 1
    similarity = np.zeros((batch, height, width, window, window, outputs))
    for y, x, u, v in np.ndindex(height, width, window, window):
        row, column = y + u - radius, x + v - radius
        if 0 <= row < height and 0 <= column < width:
            products = q[:, y, x] * q[:, row, column]
            similarity[:, y, x, u, v] = (
                products if channelwise else products.sum(axis=1, keepdims=True)
            )
    return similarity.clip(min=0)
