import numpy as np
import pytest

from senet_jax.rerank.matches import Matches
from senet_jax.system.errors import UserError


@pytest.mark.parametrize("count", [0, 3])
def test_as_many_as_there_are_scores(count):
    points = np.zeros((count, 2))
    assert len(Matches(points, points, np.zeros(count))) == count
    with pytest.raises(UserError, match=f"{count + 1} matches have points"):
        Matches(points, points, np.zeros(count + 1))
