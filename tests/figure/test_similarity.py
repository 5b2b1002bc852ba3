import numpy as np
import pytest

from senet_jax.figure.similarity import draw_similarity
from tests.figure.drawn import check_words
from tests.figure.seen import seen


def _drawn(figure):
    """The arrays of the pictures that have a colour bar, by the title of their column."""
    return [np.asarray(a.images[1].get_array()) for a in figure.axes if len(a.images) == 2]


@pytest.mark.parametrize("width", [3.3, 7])
def test_a_row_for_both_of_each_pair(width):
    query, others = seen(0), {"positive": seen(1, shape=(48, 40)), "hard\nnegative": seen(2)}
    figure = draw_similarity(query, others, width)
    check_words(figure)
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert titles == ["F", "D", "F$^s$", "descriptor"]
    names = [axes.get_ylabel() for axes in figure.axes if axes.get_ylabel()]
    assert names == ["query", "positive", "query", "hard\nnegative"]
    assert len(_drawn(figure)) == 12
    # The second picture of F: where the positive has something of the query.
    units = [
        m / np.linalg.norm(m, axis=-1, keepdims=True)
        for m in (query.maps["s4"], others["positive"].maps["s4"])
    ]
    heat = np.einsum("hwc,ijc->hwij", *units).max(axis=(0, 1))
    [of_positive] = {a.get_xlabel() for a in figure.axes[4:8] if a.get_xlabel()} & {
        f"{heat.mean():.2f}"
    } or [None]
    assert of_positive is not None
    descriptors = [seen_.maps["descriptor"] for seen_ in (query, others["positive"])]
    cosine = np.dot(*descriptors) / np.prod([np.linalg.norm(d) for d in descriptors])
    assert f"{cosine:.3f}" in [text.get_text() for axes in figure.axes for text in axes.texts]


def test_without_the_module():
    figure = draw_similarity(seen(0, False), {"positive": seen(1, False)}, 7)
    titles = [axes.get_title() for axes in figure.axes if axes.get_title()]
    assert titles == ["F", "descriptor"] and len(_drawn(figure)) == 2
