import itertools

import numpy as np
import pytest

from senet_jax.study.picture import draw_rows
from senet_jax.study.plan import COMPARISONS, HEAD_COMPARISONS, LANDMARK_COMPARISONS
from senet_jax.study.statistics import estimate

ALL = [*COMPARISONS.values(), *HEAD_COMPARISONS.values(), *LANDMARK_COMPARISONS.values()]


@pytest.mark.parametrize("comparison", ALL, ids=lambda comparison: comparison.title)
def test_all_that_is_written_stands_within_the_figure(comparison):
    rng = np.random.default_rng(0)
    rows = [
        (row.label, estimate({seed: rng.random(9) for seed in range(3)})) for row in comparison.rows
    ]
    figure = draw_rows(comparison.title, comparison.place.caption, rows)
    figure.canvas.draw()
    boxes = [text.get_window_extent() for text in figure.texts]
    axes = figure.axes[0].get_window_extent()
    for box in boxes:
        assert box.x0 >= 0 and box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1
        assert box.y0 >= axes.y1
    for upper, lower in itertools.pairwise(boxes):
        assert lower.y1 <= upper.y0 + 1
