"""What all figures have to keep: words that stand on the page and not on each other."""

import itertools

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text


def check_words(figure):
    """Draws a figure, and asserts that no two of its words overlap and none leaves the page."""
    drawn, draw = [], Text.draw

    def noted(text, renderer):
        drawn.append(text)
        draw(text, renderer)

    canvas = FigureCanvasAgg(figure)
    with pytest.MonkeyPatch.context() as patches:
        patches.setattr(Text, "draw", noted)  # Ticks have words that are not drawn.
        canvas.draw()
    words = {text: text.get_window_extent() for text in drawn if text.get_text().strip()}
    assert words
    for text, box in words.items():
        inside = box.x0 >= -1 and box.y0 >= -1 and box.x1 <= figure.bbox.x1 + 1
        assert inside and box.y1 <= figure.bbox.y1 + 1, text.get_text()
    for (text, one), (other_text, other) in itertools.combinations(words.items(), 2):
        width = min(one.x1, other.x1) - max(one.x0, other.x0)
        height = min(one.y1, other.y1) - max(one.y0, other.y0)
        assert width <= 1 or height <= 1, (text.get_text(), other_text.get_text())
