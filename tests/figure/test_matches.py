import numpy as np
import pytest
from matplotlib.collections import LineCollection

from senet_jax.figure.matches import Pair, draw_matches
from senet_jax.rerank.matches import Matches
from tests.data.pictures import picture
from tests.figure.drawn import check_words


@pytest.mark.parametrize("count", [0, 1, 5])
@pytest.mark.parametrize("width", [3.3, 7])
def test_lines_join_the_points(count, width):
    rng = np.random.default_rng(0)
    points = rng.uniform(0, 40, (2, count, 2))
    pair = Pair(
        picture(50, 80, 1),
        picture(120, 60, 2),
        (5, 6, 40, 50),
        Matches(*points, np.ones(count)),
        "a $",
    )
    figure = draw_matches(pair, width)
    check_words(figure)
    [axes] = figure.axes
    # Both photographs are as high; in pixels of their own the lines end at the points.
    ends = [c.get_segments() for c in axes.collections if isinstance(c, LineCollection)][-1]
    for place, (image, shape) in enumerate(zip(axes.images, [(50, 80), (120, 60)], strict=True)):
        left, right, low, top = image.get_extent()
        assert (right - left) / (low - top) == pytest.approx(shape[1] / shape[0])
        own = np.array([end[place] for end in ends]).reshape(count, 2)
        own = (own - (left, top)) * shape[0] / (low - top) - 0.5
        np.testing.assert_allclose(own, points[place], atol=1e-6)
    corner = axes.patches[0].get_xy()
    scale = 50 / (axes.images[0].get_extent()[2])
    np.testing.assert_allclose(np.array(corner) * scale, (5, 6), atol=1e-6)
