"""How large a generated world of landmarks is."""

import dataclasses

from senet_jax.system.errors import UserError, shown

NAME = "synthetic_landmarks"
"""Of the dataset to train on."""

DISTRACTORS = "synthetic_distractors"
"""Of the set of distractors that can be had besides."""

_SMALLEST = {
    "seed": 0,
    "side": 32,
    "training_families": 1,
    "validation_families": 1,
    "evaluation_families": 1,
    "siblings": 2,
    "training_views": 2,
    "queries": 1,
    "easy": 1,
    "hard": 1,
    "junk": 0,
    "distractors": 0,
}
_LARGEST = {"seed": 2**32 - 1, "side": 1024, "siblings": 8}


@dataclasses.dataclass(frozen=True)
class WorldSizes:
    """How large a world is; the defaults are the demo's.

    Attributes:
        seed: from 0 to 2**32 - 1; another seed is another world.
        side: the pictures' width and height in pixels.
        training_families: families of landmarks to learn from.
        validation_families: families to make choices by.
        evaluation_families: families that nothing is chosen by.
        siblings: landmarks in a family, each other's look-alikes.
        training_views: pictures of each landmark of the training split.
        queries: queries of each landmark of an evaluated split.
        easy: easy database pictures of each landmark of an evaluated split.
        hard: hard database pictures of each.
        junk: pictures of each that are too bad to count.
        distractors: database pictures of buildings of no family, in each evaluated split.

    Raises:
        UserError: a number that is too small or too large.
    """

    seed: int = 0
    side: int = 64
    training_families: int = 200
    validation_families: int = 24
    evaluation_families: int = 40
    siblings: int = 4
    training_views: int = 14
    queries: int = 1
    easy: int = 3
    hard: int = 3
    junk: int = 1
    distractors: int = 400

    def __post_init__(self):
        for name, smallest in _SMALLEST.items():
            value, largest = getattr(self, name), _LARGEST.get(name, 10_000_000)
            if type(value) is not int or not smallest <= value <= largest:
                raise UserError(
                    f"a world's {name} is {shown(value)}; give an integer from {smallest} to "
                    f"{largest}"
                )


SIZES = {
    "tiny": WorldSizes(
        side=32,
        training_families=4,
        validation_families=2,
        evaluation_families=3,
        siblings=3,
        training_views=4,
        easy=2,
        hard=1,
        distractors=5,
    ),
    "demo": WorldSizes(),
    "heads": WorldSizes(
        side=192, training_families=240, validation_families=12, queries=2, distractors=1000
    ),
}
"""For tests, for the demo and the study of whole networks, and for the study of heads."""
