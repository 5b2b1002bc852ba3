import pytest

from senet_jax.figure.curves import draw_curves
from tests.figure.drawn import check_words
from tests.report.test_curve import METRICS


@pytest.mark.parametrize("width", [3.3, 7])
def test_curves_of_two_trainings(width):
    figure = draw_curves({"one": METRICS, "$two": METRICS[:3]}, width)
    check_words(figure)
    loss, precision = figure.axes
    assert [line.get_xydata().tolist() for line in loss.lines] == [
        [[5, 8.5], [10, 4.0]],
        [[5, 8.5], [10, 4.0]],
    ]
    drawn = [line.get_xydata().tolist() for line in precision.lines]
    assert drawn[:2] == [[[0, 25], [10, 50]], [[0, 20], [10, pytest.approx(12.34)]]]
    assert drawn[2:] == [[[0, 25]], [[0, 20]]]
    colours = [line.get_color() for line in precision.lines]
    assert colours[0] == colours[2] != colours[1] == colours[3]
    assert precision.lines[0].get_linestyle() != precision.lines[2].get_linestyle()
    [legend] = figure.legends
    assert [t.get_text() for t in legend.get_texts()] == ["town", "a", "one", "$two"]


def test_trainings_that_evaluated_other_datasets():
    other = [{"step": 5, "train/loss": 1.0}, {"step": 9, "eval/b/medium/map": 0.5}]
    figure = draw_curves({"one": METRICS, "two": other}, 3.3)
    check_words(figure)
    assert len(figure.axes[1].lines) == 3


def test_a_training_without_evaluation():
    figure = draw_curves({"one": METRICS[1:3]}, 3.3)
    assert len(figure.axes) == 1 and not figure.legends
