import numpy as np
import pytest

from senet_jax.report.curve import draw_learning_curve, series, spread

METRICS = [
    {"step": 0, "eval/town/easy/map": 0.9, "eval/town/medium/map": 0.25, "eval/a/medium/map": 0.2},
    {"step": 5, "train/loss": 8.5, "train/loss_classification": 1.0},
    {"step": 10, "train/loss": 4.0, "learning_rate": 0.1},
    {"step": 10, "eval/town/medium/map": 0.5, "eval/a/medium/map": 0.1234},
]


def _drawn(figure):
    """The curves of each axes as lists of (x, y)."""
    return [[line.get_xydata().tolist() for line in axes.lines] for axes in figure.axes]


def test_series():
    steps, losses = series(METRICS, "train/loss")
    assert (steps.tolist(), losses.tolist()) == ([5, 10], [8.5, 4.0])
    assert [x.tolist() for x in series(METRICS, "nothing")] == [[], []]


def test_the_loss_and_every_database_are_drawn():
    loss, precision = _drawn(draw_learning_curve(METRICS))
    assert loss == [[[5, 8.5], [10, 4.0]], []]
    assert precision == [[[0, 25], [10, 50]], [[0, 20], [10, pytest.approx(12.34)]]]


def test_only_the_untrained_network_is_an_open_circle():
    for points in draw_learning_curve(METRICS).axes[1].collections:
        faces = points.get_facecolors()
        assert faces[0].tolist() == [1, 1, 1, 1]
        np.testing.assert_array_equal(faces[1], points.get_edgecolors()[0])
        assert faces[1].tolist() != [1, 1, 1, 1]


def test_every_curve_is_named_in_its_colour_with_its_last_value():
    axes = draw_learning_curve(METRICS).axes[1]
    colours = {text.get_text(): text.get_color() for text in axes.texts}
    town, a = (line.get_color() for line in axes.lines)
    assert town != a
    assert (colours["town"], colours["50.0"], colours["a"], colours["12.3"]) == (town, town, a, a)


def test_a_training_without_evaluation():
    (loss,) = _drawn(draw_learning_curve(METRICS[1:3]))
    assert loss == [[[5, 8.5], [10, 4.0]], []]


def test_another_training_is_dashed_in_the_colours_of_the_databases():
    other = [
        {"step": 4, "train/loss": 3.0},
        {"step": 8, "eval/town/medium/map": 0.75, "eval/b/medium/map": 0.9},
    ]
    figure = draw_learning_curve(METRICS, ("rival", other))
    loss, precision = _drawn(figure)
    assert loss == [[[5, 8.5], [10, 4.0]], [[4, 3.0]]]
    town, dashed, a = figure.axes[1].lines
    assert precision[1] == [[8, 75]] and dashed.get_color() == town.get_color() != a.get_color()
    assert not town.is_dashed() and dashed.is_dashed() and figure.axes[0].lines[1].is_dashed()
    said = [text.get_text() for axes in figure.axes for text in axes.texts]
    assert "mAP under Medium, per cent; dashed: rival" in said
    assert "50.0, dashed 75.0" in said and "12.3" in said


@pytest.mark.parametrize(
    ("heights", "expected"),
    [
        ([], []),
        ([5, 1], [5, 1]),
        ([1, 1, 0], [1, 2, 0]),
        ([0.5, 0], [1, 0]),
        ([2, 0, 0.5], [2, 0, 1]),
    ],
)
def test_spread(heights, expected):
    assert spread(heights, 1) == expected


@pytest.mark.parametrize("seed", range(10))
def test_spread_labels_do_not_overlap_and_keep_their_order(seed):
    heights = np.random.default_rng(seed).uniform(0, 1, 5).tolist()
    placed = spread(heights, 0.2)
    order = np.argsort(heights)
    assert (np.diff(np.array(placed)[order]) >= 0.2 - 1e-9).all()
    assert all(new >= old for new, old in zip(placed, heights, strict=True))
    assert min(placed) == min(heights)
