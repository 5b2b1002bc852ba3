import cv2
import numpy as np
import pytest

from senet_jax.report.examples import Example, FoundItems
from senet_jax.report.figure import save_png
from senet_jax.report.ranked import (
    BORDER,
    GAP,
    QUERY,
    TILE,
    WORDS,
    Layout,
    compose,
    draw_ranked_lists,
    label_lines,
)

GREEN, RED, GREY = (0, 158, 115), (208, 52, 44), (154, 163, 170)
LOOKALIKE = (0, 114, 178)
BLUE = (10, 20, 200)  # Of all pictures.
SHORT = (TILE - 2 * BORDER) // 2  # The shorter side of a picture that is twice as long as wide.
WHITE, YELLOW = (255, 255, 255), (255, 210, 63)


def _blue(height=64, width=64):
    return np.full((height, width, 3), BLUE[::-1], np.uint8)


def _found(verdicts, image=None):
    images = [_blue() if image is None else image] * len(verdicts)
    similarities = [0.987, *[float("nan")] * (len(verdicts) - 1)]
    return FoundItems(0.123, images, verdicts, similarities)


def _example(image=None, box=None, trained=("wrong", "junk"), untrained=("junk", "right", "right")):
    return Example(
        caption="why",
        image=_blue() if image is None else image,
        box=box,
        rows={"trained": _found(trained), "untrained": _found(untrained)},
    )


# Of two rows of three items, with labels of a word.
LAYOUT = Layout.of([_example()])
query_corner, tile_corner = LAYOUT.query_corner, LAYOUT.tile_corner


def drawn(examples):
    return compose(examples, Layout.of(examples))


def _colours(canvas, x, y, *steps):
    return [tuple(canvas[y + step, x + step].tolist()) for step in steps]


@pytest.mark.parametrize(
    ("block", "row", "column", "colour"),
    [
        *((0, 0, 0, RED), (0, 0, 1, GREY), (0, 1, 0, GREY), (0, 1, 2, GREEN), (1, 0, 0, GREEN)),
        (1, 0, 1, LOOKALIKE),
    ],
)
def test_every_item_has_the_border_of_its_verdict(block, row, column, colour):
    canvas = drawn([_example(), _example(trained=("right", "look-alike"))])
    x, y = tile_corner(block, row, column)
    first, last = BORDER - 1, TILE - BORDER
    assert _colours(canvas, x, y, -1, 0, first) == [WHITE, colour, colour]
    assert _colours(canvas, x, y, first + 1, last - 1) == [BLUE, BLUE]
    assert _colours(canvas, x, y, last, TILE - 1, TILE) == [colour, colour, WHITE]


def test_places_do_not_overlap():
    assert tile_corner(0, 0, 1)[0] - tile_corner(0, 0, 0)[0] == TILE + GAP
    assert tile_corner(0, 1, 0)[1] + TILE == query_corner(0)[1] + QUERY
    assert query_corner(0)[0] + QUERY < tile_corner(0, 0, 0)[0]
    assert query_corner(0)[1] + QUERY < query_corner(1)[1]


@pytest.mark.parametrize(
    ("count", "height"), [(1, QUERY), (2, QUERY), (4, 4 * TILE + 3 * (WORDS + GAP))]
)
def test_any_number_of_rows_has_room(count, height):
    rows = {f"method{row}": _found(["right"]) for row in range(count)}
    examples = [Example("", _blue(), None, rows)] * 2
    layout, canvas = Layout.of(examples), drawn(examples)
    for block in range(2):
        for row in range(count):
            x, y = layout.tile_corner(block, row, 0)
            assert _colours(canvas, x, y, 0) == [GREEN]
        assert y + TILE <= layout.query_corner(block)[1] + height
    assert layout.query_corner(1)[1] - layout.query_corner(0)[1] > height
    assert canvas.shape[0] > layout.query_corner(1)[1] + height


def test_a_long_chain_of_methods_has_room_beside_its_items():
    label = "dba(neighbours=10),alpha_qe(neighbours=10,alpha=3),cvnet"
    lines = ["dba(neighbours=10),", "alpha_qe(neighbours=10,alpha=3),", "cvnet"]
    assert label_lines(label) == lines
    wide = Layout.of([Example("", _blue(), None, {label: _found(["right"])})])
    assert wide.label_width > 9 * len(lines[1]) and LAYOUT.label_width == 112


@pytest.mark.parametrize(("height", "width"), [(64, 32), (32, 64), (1000, 500), (1, 2)])
def test_other_shapes_stand_in_the_middle_of_their_tile(height, width):
    example = Example("", _blue(), None, {"": _found(["right"], _blue(height, width))})
    x, y = tile_corner(0, 0, 0)
    tile = drawn([example])[y : y + TILE, x : x + TILE]
    rows, columns = np.nonzero((tile == BLUE).all(axis=-1))
    seen = [(int(axis.min()), int(axis.max()) + 1) for axis in (rows, columns)]
    long, short = (BORDER, TILE - BORDER), ((TILE - SHORT) // 2, (TILE - SHORT) // 2 + SHORT)
    assert seen == ([long, short] if height > width else [short, long])
    assert (tile[TILE // 2, TILE // 2] == BLUE).all()


def test_pictures_are_enlarged_without_a_flip_of_rows_columns_or_channels():
    image = np.zeros((64, 64, 3), np.uint8)
    image[:32, :32] = (255, 0, 0)  # The upper left is blue,
    image[:32, 32:] = (0, 0, 255)  # the upper right red.
    canvas = drawn([_example(image)])
    x, y = query_corner(0)
    near, far = QUERY // 4, 3 * QUERY // 4
    assert tuple(canvas[y + near, x + near].tolist()) == (0, 0, 255)
    assert tuple(canvas[y + near, x + far].tolist()) == (255, 0, 0)
    assert not canvas[y + far, x + near].any()


def test_the_box_is_drawn_where_it_is():
    canvas = drawn([_example(_blue(100, 100), box=(20.7, 10, 500, 60))])
    x, y = query_corner(0)
    query = canvas[y : y + QUERY, x : x + QUERY]
    rows, columns = np.nonzero((query == YELLOW).all(axis=-1))
    factor = QUERY / 100
    # A line of two or three pixels about the edge; the right one is the image's own.
    expected = [10 * factor, 60 * factor, 20 * factor, 100 * factor]
    seen = [rows.min(), rows.max(), columns.min(), columns.max()]
    np.testing.assert_allclose(seen, expected, rtol=0, atol=2)
    assert (query[round(35 * factor), round(60 * factor)] == BLUE).all()
    assert (query[round(5 * factor), round(60 * factor)] == BLUE).all()


def test_a_query_without_a_box_is_only_a_picture():
    canvas = drawn([_example()])
    x, y = query_corner(0)
    assert (canvas[y : y + QUERY, x : x + QUERY] == BLUE).all()


def test_words_leave_the_pictures_alone(tmp_path):
    examples = [_example(), _example(trained=("right", "wrong"))]
    figure = draw_ranked_lists(examples, title="what", notes=["how chosen"])
    words = [text.get_text() for text in figure.texts]
    assert {"what", "how chosen", "right", "wrong", "junk", "why", "trained"} <= set(words)
    assert words.count("1 \N{MIDDLE DOT} 0.99") == 4 and words.count("2") == 4  # One is not known.
    assert "look-alike" not in words
    assert words.count("untrained") == words.count("why") == 2 and words.count("AP 12.3 %") == 4
    save_png(figure, tmp_path / "x.png")
    written, canvas = cv2.imread(str(tmp_path / "x.png"))[..., ::-1], drawn(examples)
    is_drawn = (canvas != 255).any(axis=-1)
    np.testing.assert_array_equal(written[is_drawn], canvas[is_drawn])
    assert (written[~is_drawn] != 255).any()
