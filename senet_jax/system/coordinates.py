"""Numbers on a command line that belong together: a point, a box."""

import argparse
import math
from collections.abc import Callable

from senet_jax.system.errors import UserError, shown


def parse_coordinates(text: str, names: str) -> tuple[float, ...]:
    """As many finite numbers as there are names, by commas.

    Args:
        text: what was given.
        names: `x1,y1,x2,y2` for instance.

    Raises:
        UserError: it holds other things.
    """
    count = len(names.split(","))
    try:
        values = tuple(map(float, text.split(",")))
    except ValueError:
        values = ()
    if len(values) != count or not all(map(math.isfinite, values)):
        raise UserError(f"{shown(text)} is not {names}")
    return values


def coordinates(names: str) -> Callable[[str], tuple[float, ...]]:
    """The type of a flag that takes them; see `parse_coordinates`."""

    def parse(text: str) -> tuple[float, ...]:
        try:
            return parse_coordinates(text, names)
        except UserError as error:
            raise argparse.ArgumentTypeError(str(error)) from error

    return parse
