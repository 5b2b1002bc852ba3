import argparse

import pytest

from senet_jax.system.coordinates import coordinates


def test_as_many_numbers_as_names():
    assert coordinates("x1,y1,x2,y2")("1,2.5,-3,4e1") == (1, 2.5, -3, 40)
    assert coordinates("x,y")(" 1, 2") == (1, 2)


@pytest.mark.parametrize("text", ["", "1", "1,2,3", "1,a", "nan,1", "1,inf", "1;2", "1,\x1b"])
def test_what_is_none(text):
    with pytest.raises(argparse.ArgumentTypeError, match=r" is not x,y$"):
        coordinates("x,y")(text)
