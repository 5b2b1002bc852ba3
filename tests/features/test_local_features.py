import numpy as np

from senet_jax.features.local_features import strongest_positions


def test_strongest_positions():
    maps = np.zeros((3, 4, 2), np.float32)
    maps[2, 1], maps[0, 3], maps[1, 0], maps[1, 1] = [3, 4], [6, 0], [0, 1], [1, 0]
    assert strongest_positions(maps, 3).tolist() == [[0, 3], [2, 1], [1, 0]]
    assert strongest_positions(maps, 99).tolist() == [[0, 3], [2, 1], [1, 0], [1, 1]]
    assert strongest_positions(maps * 0, 99).shape == (0, 2)
