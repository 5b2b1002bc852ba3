"""Numbers on a command line that belong together: a point, a box."""

import argparse
import math
from collections.abc import Callable

from senet_jax.system.errors import shown


def coordinates(names: str) -> Callable[[str], tuple[float, ...]]:
    """The type of a flag that takes as many finite numbers as there are names, by commas.

    Args:
        names: `x1,y1,x2,y2` for instance.
    """
    count = len(names.split(","))

    def parse(text: str) -> tuple[float, ...]:
        try:
            values = tuple(map(float, text.split(",")))
        except ValueError:
            values = ()
        if len(values) != count or not all(map(math.isfinite, values)):
            raise argparse.ArgumentTypeError(f"{shown(text)} is not {names}")
        return values

    return parse
