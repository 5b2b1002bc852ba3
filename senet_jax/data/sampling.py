"""Which image stands at which place of a training's endless stream.

Everything is a pure function of a seed and of a position, so that a batch can be made anew at any
time, by any process, without knowing what came before it.
"""

import dataclasses
import enum
import functools

import numpy as np

from senet_jax.system.errors import UserError


class Purpose(enum.IntEnum):
    """What random numbers are drawn for; each has numbers of its own."""

    EPOCH = enum.auto()
    GROUP = enum.auto()
    VIEW = enum.auto()
    IMAGE = enum.auto()
    POSITIVE = enum.auto()
    TRIPLES = enum.auto()


def random_generator(seed: int, purpose: Purpose, *key: int) -> np.random.Generator:
    """A generator of random numbers; another purpose or key gives an independent one."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(purpose, *key)))


def shuffled(length: int, position: int, seed: int, purpose: Purpose, *key: int) -> int:
    """An entry of the endless stream that holds one permutation of 0..length-1 after the other."""
    passes, place = divmod(position, length)
    return int(_permutation(length, seed, purpose, *key, passes)[place])


# Neighbours in the stream of all images share a permutation, which is long there.
@functools.lru_cache(maxsize=2)
def _permutation(length: int, seed: int, purpose: Purpose, *key: int) -> np.ndarray:
    return random_generator(seed, purpose, *key).permutation(length)


class ClassMembers:
    """The images of each class.

    Args:
        labels: int32[n], the class of each image.
        class_count: the number of classes, those without an image included.
    """

    def __init__(self, labels: np.ndarray, class_count: int):
        self._images = np.argsort(labels, kind="stable")
        self._ends = np.cumsum(np.bincount(labels, minlength=class_count))

    def __len__(self) -> int:
        return len(self._ends)

    def __getitem__(self, label: int) -> np.ndarray:
        """The images of a class, int64[m], ascending."""
        start = self._ends[label - 1] if label else 0
        return self._images[start : self._ends[label]]

    def partner(self, index: int, label: int, rng: np.random.Generator) -> int:
        """Another image of an image's class; one that is alone is its own partner."""
        members = self[label]
        others = members[members != index]
        return int(rng.choice(others)) if others.size else index


@dataclasses.dataclass(frozen=True)
class ShuffledImages:
    """Epoch after epoch, each a permutation of all images.

    Attributes:
        examples_per_epoch: how many images there are.
        seed: of the permutations.
    """

    examples_per_epoch: int
    seed: int

    def __call__(self, position: int) -> int:
        """The image at a position of the stream."""
        return shuffled(self.examples_per_epoch, position, self.seed, Purpose.EPOCH)


@dataclasses.dataclass(frozen=True)
class ImagesInOrder:
    """All images in their order, and again.

    Attributes:
        examples_per_epoch: how many images there are.
    """

    examples_per_epoch: int

    def __call__(self, position: int) -> int:
        """The image at a position of the stream."""
        return position % self.examples_per_epoch


@dataclasses.dataclass(frozen=True)
class Grouping:
    """Whole groups of classes in every batch, such as the look-alikes of a generated family.

    A group is `classes` labels in a row: label // classes is its number.

    Attributes:
        classes: how many classes make a group.
        views: how many images of each class stand together.

    Raises:
        UserError: a number below 1.
    """

    classes: int
    views: int

    def __post_init__(self):
        if min(self.classes, self.views) < 1:
            raise UserError(
                f"groups of {self.classes} classes with {self.views} images of each hold nothing; "
                "give numbers from 1"
            )

    @property
    def examples(self) -> int:
        """How many images of a group stand together."""
        return self.classes * self.views


class GroupedImages:
    """Epoch after epoch, each a permutation of all groups, with some images of every class.

    A class gives its images in permutations of its own, so that all of them come equally often.

    Args:
        members: the images of each class.
        grouping: what a group is.
        seed: of the permutations.

    Raises:
        UserError: the classes do not make whole groups, or one is without an image.
    """

    def __init__(self, members: ClassMembers, grouping: Grouping, seed: int):
        if len(members) % grouping.classes:
            raise UserError(
                f"{len(members)} classes do not make whole groups of {grouping.classes}; choose a "
                "divisor"
            )
        empty = [label for label in range(len(members)) if not members[label].size]
        if empty:
            raise UserError(
                f"the class {empty[0]} has no image, but its group needs one; prepare the dataset "
                "anew, or train without groups"
            )
        self._members, self._grouping, self._seed = members, grouping, seed
        self._group_count = len(members) // grouping.classes
        self.examples_per_epoch = self._group_count * grouping.examples

    def __call__(self, position: int) -> int:
        """The image at a position of the stream."""
        turn, place = divmod(position, self._grouping.examples)
        class_in_group, view = divmod(place, self._grouping.views)
        group = shuffled(self._group_count, turn, self._seed, Purpose.GROUP)
        label = group * self._grouping.classes + class_in_group
        images = self._members[label]
        views_before = turn // self._group_count * self._grouping.views
        return int(
            images[shuffled(len(images), views_before + view, self._seed, Purpose.VIEW, label)]
        )
