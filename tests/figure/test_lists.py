import cv2
import numpy as np
import pytest

from senet_jax.figure.lists import WIDTH, draw_lists
from senet_jax.figure.paper import DOTS_PER_INCH, save_figure
from senet_jax.report.examples import ITEMS, Example, FoundItems
from senet_jax.report.pictures import COLOURS, rgb
from tests.data.pictures import picture

VERDICTS = ["right", "wrong", "junk", *["wrong"] * (ITEMS - 3)]


def _example(caption="query", box=(10, 5, 50, 25)):
    found = FoundItems(0.5, [picture(40, 60, seed) for seed in range(ITEMS)], VERDICTS)
    return Example(caption, picture(60, 80, 9), box, {"ours": found, "theirs": found})


def _axes(figure):
    """Of each picture the place (x, y, width, height), in inches from the upper left."""
    page = figure.get_size_inches()
    return [
        (x * page[0], (1 - y - height) * page[1], width * page[0], height * page[1])
        for x, y, width, height in (axes.get_position().bounds for axes in figure.axes)
    ]


@pytest.mark.parametrize("count", [1, 3])
def test_pictures_stand_on_the_page_beside_each_other(count):
    figure = draw_lists([_example()] * count)
    places = _axes(figure)
    assert len(places) == count * (1 + 2 * ITEMS)
    for x, y, width, height in places:
        assert x >= 0 and x + width <= WIDTH and y >= 0
        assert y + height <= figure.get_figheight()
    for i, (x, y, width, height) in enumerate(places):
        for other_x, other_y, other_width, other_height in places[:i]:
            beside = x >= other_x + other_width or other_x >= x + width
            assert beside or y >= other_y + other_height or other_y >= y + height
    assert places[1][2] / places[1][3] == pytest.approx(60 / 40)


def test_borders_are_told_apart_by_colour_and_by_line(tmp_path):
    """The share of a border's lower line that has its colour: all of it, or with gaps."""
    figure = draw_lists([_example()])
    save_figure(figure, tmp_path / "x.png")
    drawn = cv2.imread(str(tmp_path / "x.png"))[..., ::-1].astype(int)
    _, *tiles = (np.array(place) * DOTS_PER_INCH for place in _axes(figure))
    for (x, y, width, height), verdict in zip(tiles, VERDICTS * 2, strict=True):
        line = drawn[round(y + height), round(x) + 8 : round(x + width) - 8]
        share = (np.abs(line - rgb(COLOURS[verdict])).max(axis=-1) < 30).mean()
        low, high = {"right": (0.99, 1), "wrong": (0.6, 0.9), "junk": (0.35, 0.7)}[verdict]
        assert low <= share <= high, verdict


def test_the_box_is_drawn_where_it_is():
    query, *_ = draw_lists([_example()]).axes
    columns = query.get_xlim()[1] + 0.5
    for patch in query.patches:
        x, y = (side + 0.5 for side in patch.get_xy())
        seen = np.array([x, y, patch.get_width(), patch.get_height()]) * 80 / columns
        # A picture that is fitted has whole pixels, 1 in 80 here.
        np.testing.assert_allclose(seen, [10, 5, 40, 20], rtol=0.02)
    assert len(query.patches) == 2
    assert not draw_lists([_example(box=None)]).axes[0].patches


@pytest.mark.parametrize("kind", ["pdf", "svg", "png"])
def test_every_format_has_letters_and_enough_dots(tmp_path, kind):
    path = tmp_path / f"x.{kind}"
    save_figure(draw_lists([_example("a $1 <b>" + 40 * "c")]), path)
    content = path.read_bytes()
    if kind == "svg":
        text = content.decode()
        assert "ours  AP 50.0" in text and "a $1 &lt;b&gt;" in text
    elif kind == "pdf":
        assert (
            content.startswith(b"%PDF") and b"/FontType 42" in content
        ) or b"/CIDFontType2" in content
    else:
        assert cv2.imread(str(path)).shape[1] == WIDTH * DOTS_PER_INCH
