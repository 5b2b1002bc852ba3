"""A list of photographs that is described in several shards; see the fixtures of `conftest`."""

ORIGIN = {"weights": "abc", "scales": [0.5, 1.0]}
SHAPES = [(30, 40), (40, 30), (70, 90), (90, 70)] * 6
HALF = 5
"""The row of an image of which half is missing; the last row's file is not there."""
READABLE = len(SHAPES) - 1
