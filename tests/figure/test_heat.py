import numpy as np
import pytest
from matplotlib.figure import Figure

from senet_jax.figure.heat import decimals_of, draw_heat
from tests.figure.seen import seen


@pytest.mark.parametrize("stride", [8, 0])
def test_pixels_and_positions(stride):
    """A position looks at every eighth pixel from the first on; else they divide evenly."""
    photograph = seen(shape=(40, 48))
    photograph._stride = stride
    xs = np.array([0, 3, 5, 11, 13, 47])
    rows, columns = photograph.positions(xs, np.array([0, 39]))
    expected = [0, 0, 1, 1, 2, 5] if stride else [0, 0, 0, 1, 1, 5]
    assert columns.tolist() == expected and rows.tolist() == [0, 4]


def test_colours_lie_over_what_they_are_of():
    photograph = seen(shape=(40, 48))
    heat = np.zeros((5, 6))
    heat[2, 4] = 1
    axes = Figure().subplots()
    drawn = draw_heat(axes, photograph, heat, (0, 1), inches=0.5)
    values = np.asarray(drawn.get_array())
    left, right, low, top = drawn.get_extent()
    rows, columns = np.nonzero(values)
    x = left + (columns + 0.5) * (right - left) / values.shape[1]
    y = top + (rows + 0.5) * (low - top) / values.shape[0]
    assert abs(x - 32).max() <= 4.2 and abs(y - 16).max() <= 4.2
    assert x.mean() == pytest.approx(32, abs=0.3) and y.mean() == pytest.approx(16, abs=0.3)


def test_ends_of_a_range_are_told_apart():
    assert [decimals_of(limits) for limits in ((0, 1), (0.5, 0.52), (0.9991, 0.9999))] == [2, 3, 5]
