"""At which sizes the authors of each network evaluate it."""

import pytest

from configs import evaluate
from senet_jax.features.scales import SCALES


@pytest.mark.parametrize(
    ("model", "scales", "long_side"),
    [("r50", SCALES, 0), ("gem_r101", (1.0,), 1024), ("of nobody", SCALES, 0)],
)
def test_the_config_of_an_evaluation_has_them(model, scales, long_side):
    config = evaluate.get_config(model)
    assert (tuple(config.scales), config.long_side) == (scales, long_side)
