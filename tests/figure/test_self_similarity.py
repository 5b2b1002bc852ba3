import numpy as np
import pytest

from senet_jax.figure.self_similarity import draw_self_similarity
from senet_jax.system.errors import UserError
from tests.figure.drawn import check_words
from tests.figure.seen import seen


@pytest.mark.parametrize(("has_module", "titles"), [(True, ["F", "q", "window"]), (False, ["F"])])
def test_what_resembles_the_point(has_module, titles):
    photograph = seen(0, has_module)
    figure = draw_self_similarity(photograph, (17, 31), 7)
    check_words(figure)
    heats = {a.get_title(): a.images[1] for a in figure.axes if len(a.images) == 2}
    assert list(heats) == titles
    maps = photograph.maps["s4"]  # The point is at row 4 and column 2 of it.
    norms = np.linalg.norm(maps, axis=-1)
    cosines = maps @ maps[4, 2] / (norms * norms[4, 2])
    assert heats["F"].norm.vmin == pytest.approx(cosines.min())
    assert heats["F"].norm.vmax == pytest.approx(1, abs=1e-6)
    if has_module:
        window = photograph.maps["self_similarity"][4, 2].mean(axis=-1)
        seen_of_it = np.unique(np.asarray(heats["window"].get_array().compressed()))
        # Below the map there is nothing to see.
        np.testing.assert_allclose(seen_of_it, np.unique(window[:2]), rtol=1e-6)


@pytest.mark.parametrize("point", [(-1, 3), (48, 3), (3, 40)])
def test_a_point_outside(point):
    with pytest.raises(UserError, match="is outside of the photograph, which is 48x40"):
        draw_self_similarity(seen(), point, 7)
