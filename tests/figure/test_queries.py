import numpy as np
import pytest

from senet_jax.figure.queries import compared_entries, draw_queries
from senet_jax.metrics.bootstrap import mean_interval
from senet_jax.score.compare import Comparison
from senet_jax.system.errors import UserError
from tests.figure.drawn import check_words
from tests.report.workdirs import write_town, write_training


@pytest.mark.parametrize("width", [3.3, 7])
def test_no_query_is_better(width):
    first = np.linspace(0.5, 1, 9)
    figure = draw_queries(Comparison(tuple("abcdefghi"), first, first / 2), ("a", "b"), "c", width)
    check_words(figure)
    assert len(figure.axes[0].lines) == 2


@pytest.mark.parametrize("width", [3.3, 7])
def test_pairs_and_differences(width):
    rng = np.random.default_rng(0)
    first, second = rng.random((2, 30))
    second[:3] = first[:3]
    comparison = Comparison(tuple(map(str, range(30))), first, second)
    figure = draw_queries(comparison, ("$one", 60 * "b"), 60 * "town, " + "Medium", width)
    check_words(figure)
    scatter, bars = figure.axes
    drawn = np.concatenate([line.get_xydata() for line in scatter.lines[1:]])
    expected = 100 * np.stack([first, second], axis=1)
    np.testing.assert_allclose(drawn[np.argsort(drawn[:, 0])], expected[np.argsort(first)])
    heights = [bar.get_height() for bar in bars.patches[:30]]
    np.testing.assert_allclose(heights, 100 * np.sort(second - first)[::-1], atol=1e-9)
    low, high = 100 * mean_interval(comparison.differences)
    differences = second - first
    better, worse = np.count_nonzero(differences > 0), np.count_nonzero(differences < 0)
    assert bars.get_title(loc="left") == (
        f"mean {100 * differences.mean():+.1f} (95 %: {low:+.1f} to {high:+.1f})\n"
        f"better {better}, worse {worse}, equal 3"
    )


def test_workdirs_and_their_entries(tmp_path):
    write_town(tmp_path)
    one, other = (
        write_training(tmp_path, tmp_path / name, seed) for name, seed in (("x", 0), ("y", 7))
    )
    heading, names, comparison = compared_entries((str(one), f"{other}/report.json"), None, "hard")
    assert (heading, names) == ("town, Hard", ("x", "y")) and len(comparison.names)
    heading, names, _ = compared_entries((f"{one}:town_untrained", f"{one}:town"), None, "medium")
    assert (heading, names) == ("Medium", ("town_untrained", "town"))
    with pytest.raises(UserError, match="'village' is not in both; there are town"):
        compared_entries((str(one), str(other)), "village", "easy")
