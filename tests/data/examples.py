"""What workers make in the tests; they import this module and what it imports."""

import os
import sys
import time

import numpy as np

from senet_jax.system.errors import UserError

SPEC = {"pixels": ((2, 3), np.float32), "labels": ((), np.int32)}


def example(place):
    """Numbers that tell the place."""
    return {"pixels": np.full((2, 3), place, np.float32), "labels": np.int32(-place)}, []


def with_its_process(place):
    """An example that says who made it, and what is imported there."""
    seen = {"jax", "pytest", "tests.data.test_workers"} & set(sys.modules)
    return example(place)[0], [f"{os.getpid()} {sorted(seen)}"]


def slow(place):
    time.sleep(0.5)
    return example(place)


LARGE = {"pixels": ((512, 512), np.float32)}


def large(place):
    """A megabyte."""
    return {"pixels": np.full((512, 512), place, np.float32)}, []


def unreadable(place):
    if place == 5:
        raise UserError("no image of town can be read; prepare the dataset anew")
    return example(place)


def faulty(place):
    if place == 5:
        raise EOFError("no\nsuch example")
    return example(place)


def exiting(place):
    if place == 5:
        os._exit(3)
    return example(place)
