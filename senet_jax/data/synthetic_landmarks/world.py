"""A world of generated landmarks: who lives in which split, and every photograph of it.

All is a pure function of the world's value and indices: the same bytes in any order, in any
process. Each random draw has a key of its own, so a larger world holds the smaller one.
"""

import dataclasses
import functools
import re

import numpy as np

from senet_jax.data.synthetic_landmarks.grammar import Landmark, draw_family
from senet_jax.data.synthetic_landmarks.scene import building_box, render
from senet_jax.data.synthetic_landmarks.views import SEVERITIES, View, draw_view
from senet_jax.data.world_sizes import SIZES, WorldSizes
from senet_jax.system.errors import UserError, shown

SPLITS = ("training", "validation", "evaluation")
EVALUATED_SPLITS = ("validation", "evaluation")

_FAMILY, _DISTRACTOR, _VIEW, _DISTRACTOR_VIEW = range(4)

_DISTRACTOR_NAME = re.compile(r"distractor-([0-9]{7,9})")
_LANDMARK_NAME = re.compile(
    rf"family-([0-9]{{4,9}})-([0-9])-({'|'.join(SEVERITIES)})-([0-9]{{1,9}})"
)


@dataclasses.dataclass(frozen=True)
class Shot:
    """One photograph of an evaluated split, not yet taken.

    Attributes:
        name: the name of its file, without extension.
        family: the family of the landmark, or None for a random distractor.
        sibling: the landmark within its family.
        severity: what the view is drawn from; see `views.RANGES`.
        index: counts the shots of one landmark and severity, or the distractors.
    """

    name: str
    family: int | None
    sibling: int
    severity: str
    index: int


@dataclasses.dataclass(frozen=True)
class World(WorldSizes):
    """A world, which is all that its sizes say."""

    @property
    def training_classes(self) -> int:
        """The number of landmarks of the training split, each a class."""
        return self.training_families * self.siblings

    def training_label(self, family: int, sibling: int) -> int:
        """The class of a landmark of the training split."""
        return family * self.siblings + sibling

    def training_view(self, family: int, sibling: int, view: int) -> np.ndarray:
        """A picture of a landmark of the training split, uint8[side side 3] BGR.

        Even views are easy ones, odd views are hard ones.
        """
        severity = ("easy", "hard")[view % 2]
        landmark = self.landmark("training", family, sibling)
        drawn = self.view("training", family, sibling, severity, view)
        return render(landmark, drawn, self.side)

    def landmark(self, split: str, family: int, sibling: int) -> Landmark:
        """A landmark of a split."""
        return _family(self.seed, SPLITS.index(split), family, self.siblings)[sibling]

    def view(self, split: str, family: int, sibling: int, severity: str, index: int) -> View:
        """A view of a landmark of a split."""
        place = (SPLITS.index(split), family, sibling, SEVERITIES.index(severity), index)
        return draw_view(_rng(self.seed, _VIEW, *place), severity)

    def queries_of(self, split: str) -> list[Shot]:
        """The queries of an evaluated split, landmark by landmark."""
        return self._landmark_shots(split, {"query": self.queries})

    def database_of(self, split: str) -> list[Shot]:
        """The database of an evaluated split: landmark by landmark, then the distractors."""
        counts = {"easy": self.easy, "hard": self.hard, "junk": self.junk}
        distractors = [_distractor(i) for i in range(self.distractors)]
        return self._landmark_shots(split, counts) + distractors

    def more_distractors(self, count: int) -> list[Shot]:
        """Distractors of an evaluated split that are none of its database's."""
        return [_distractor(self.distractors + i) for i in range(count)]

    def shot(self, name: str) -> Shot | None:
        """The shot of an evaluated split whose file has a name, None if no shot is named so."""
        distractor = _DISTRACTOR_NAME.fullmatch(name)
        if distractor:
            return _distractor(int(distractor[1]))
        of_landmark = _LANDMARK_NAME.fullmatch(name)
        if not of_landmark or int(of_landmark[2]) >= self.siblings:
            return None
        family, sibling, index = (int(of_landmark[group]) for group in (1, 2, 4))
        return _landmark_shot(family, sibling, of_landmark[3], index)

    def photograph(self, split: str, shot: Shot) -> np.ndarray:
        """The picture of a shot of an evaluated split, uint8[side side 3] BGR."""
        return render(*self.scene(split, shot), self.side)

    def box(self, split: str, shot: Shot) -> np.ndarray:
        """Where the building stands in a shot's picture, float64[4]: x1, y1, x2, y2 in pixels."""
        return building_box(*self.scene(split, shot), self.side)

    def scene(self, split: str, shot: Shot) -> tuple[Landmark, View]:
        """What a shot of an evaluated split shows, and how; a distractor stands nowhere else."""
        if shot.family is not None:
            place = (split, shot.family, shot.sibling)
            return self.landmark(*place), self.view(*place, shot.severity, shot.index)
        key = (SPLITS.index(split), shot.index, 0, 0, 0)
        (landmark,) = draw_family(_rng(self.seed, _DISTRACTOR, *key), siblings=1)
        return landmark, draw_view(_rng(self.seed, _DISTRACTOR_VIEW, *key), shot.severity)

    def _landmark_shots(self, split: str, counts: dict[str, int]) -> list[Shot]:
        return [
            _landmark_shot(family, sibling, severity, index)
            for family in range(self._families_of(split))
            for sibling in range(self.siblings)
            for severity, count in counts.items()
            for index in range(count)
        ]

    def _families_of(self, split: str) -> int:
        if split not in EVALUATED_SPLITS:
            raise UserError(
                f"there is no evaluated split {shown(split)}; choose "
                f"{' or '.join(EVALUATED_SPLITS)}"
            )
        return getattr(self, f"{split}_families")


def _landmark_shot(family: int, sibling: int, severity: str, index: int) -> Shot:
    name = f"family-{family:04d}-{sibling}-{severity}-{index}"
    return Shot(name, family, sibling, severity, index)


def _distractor(index: int) -> Shot:
    return Shot(f"distractor-{index:07d}", None, 0, ("easy", "hard")[index % 2], index)


TINY, DEMO = (World(**dataclasses.asdict(SIZES[name])) for name in ("tiny", "demo"))
"""Worlds of `SIZES`."""


def _rng(seed: int, stream: int, *place: int) -> np.random.Generator:
    # Keys of unequal length may seed alike (they are padded with zeros): all here have seven.
    return np.random.default_rng([seed, stream, *place])


@functools.lru_cache(maxsize=1024)
def _family(seed: int, split: int, family: int, siblings: int) -> tuple[Landmark, ...]:
    return draw_family(_rng(seed, _FAMILY, split, family, 0, 0, 0), siblings)
