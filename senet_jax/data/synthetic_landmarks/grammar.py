"""The grammar of the generated buildings: families, their siblings, and nothing drawn yet.

A *family* is a style and a multiset of parts. A *landmark* is one arrangement of exactly these
parts on the cells of a front, storeys x bays. The landmarks of one family, its *siblings*, are
look-alikes: parts, counts, colours, proportions and roof are the same, only structure tells
them apart.
"""

import collections
import dataclasses

import numpy as np

from senet_jax.data.synthetic_landmarks import palette
from senet_jax.data.synthetic_landmarks.palette import Colour

WINDOWS = (
    "rectangular",
    "arched",
    "pointed",
    "twin",
    "rose",
    "clock",
    "balcony",
    "niche",
    "shutters",
    "columns",
    "arcade",
    "medallion",
)
DOORS = ("door", "portal")
WALL_TEXTURES = ("plaster", "brick", "ashlar", "bands", "timber")
ROOFS = ("gable", "hip", "mansard", "terrace", "dome", "towers", "steeple")

STOREYS = 3
MIN_DIFFERING = 0.4
"""The share of cells in which any two siblings differ at least."""


@dataclasses.dataclass(frozen=True)
class Style:
    """All that the siblings of a family have in common besides the multiset of their parts.

    Lengths are in units of about one bay.

    Attributes:
        bays: the number of bays.
        bay_width: the width of one bay.
        storey_heights: from the ground upwards.
        depth: from the front to the back.
        podium: the height of the steps before the front, 0 for none.
        roof: one of `ROOFS`.
        roof_height: from the eaves to the ridge.
        wall_texture: one of `WALL_TEXTURES`.
        pilasters: whether flat columns part the bays.
        wall: colour of the wall.
        trim: colour of frames and cornices.
        roof_colour: colour of tiles, slate or copper.
        glass: colour of the panes by day.
        accents: each kind of part and its own colour.
        grain: the seed of the stains and joints of the wall.
    """

    bays: int
    bay_width: float
    storey_heights: tuple[float, ...]
    depth: float
    podium: float
    roof: str
    roof_height: float
    wall_texture: str
    pilasters: bool
    wall: Colour
    trim: Colour
    roof_colour: Colour
    glass: Colour
    accents: tuple[tuple[str, Colour], ...]
    grain: int

    @property
    def margin(self) -> float:
        """The width of the bare wall at either side of the bays."""
        return 0.1 * self.bay_width

    @property
    def width(self) -> float:
        """The width of the front."""
        return self.bays * self.bay_width + 2 * self.margin

    @property
    def wall_height(self) -> float:
        """From the podium to the eaves."""
        return sum(self.storey_heights) + 0.15


Arrangement = tuple[tuple[str, ...], ...]
"""Kinds of part, storey by storey from the ground upwards, bay by bay from the left."""


@dataclasses.dataclass(frozen=True)
class Landmark:
    """A building: a style, and the arrangement of its parts."""

    style: Style
    arrangement: Arrangement

    @property
    def parts(self) -> collections.Counter[str]:
        """How often each kind of part stands on the front."""
        return collections.Counter(kind for storey in self.arrangement for kind in storey)


def differing_share(a: Arrangement, b: Arrangement) -> float:
    """The share of the cells in which two arrangements of one shape differ."""
    return float(np.mean(np.array(a) != np.array(b)))


def draw_family(rng: np.random.Generator, siblings: int) -> tuple[Landmark, ...]:
    """A new style and `siblings` arrangements of one multiset of parts.

    The first siblings are the same however many are asked for.
    """
    bays = int(rng.integers(3, 5))
    windows, door = _draw_parts(rng, bays)
    style = _draw_style(rng, bays, {*windows, door})
    arrangements: list[Arrangement] = []
    while len(arrangements) < siblings:
        candidate = _arrange(rng, windows, door, bays)
        if all(differing_share(candidate, other) >= MIN_DIFFERING for other in arrangements):
            arrangements.append(candidate)
    return tuple(Landmark(style, arrangement) for arrangement in arrangements)


def _draw_parts(rng: np.random.Generator, bays: int) -> tuple[list[str], str]:
    """The windows of all cells but one, of three or four kinds in like numbers, and the door."""
    kinds = rng.choice(WINDOWS, size=int(rng.integers(3, 5)), replace=False).tolist()
    cells = STOREYS * bays - 1
    return [kinds[i % len(kinds)] for i in range(cells)], str(rng.choice(DOORS))


def _arrange(rng: np.random.Generator, windows: list[str], door: str, bays: int) -> Arrangement:
    cells = rng.permutation(windows).tolist()
    cells.insert(int(rng.integers(bays)), door)
    return tuple(tuple(cells[i : i + bays]) for i in range(0, len(cells), bays))


def _draw_style(rng: np.random.Generator, bays: int, kinds: set[str]) -> Style:
    def one_of(choices):
        return choices[int(rng.integers(len(choices)))]

    accents = rng.permutation(len(palette.ACCENTS))
    wall = one_of(palette.WALLS)
    return Style(
        bays=bays,
        bay_width=float(rng.uniform(0.85, 1.1)),
        storey_heights=(
            float(rng.uniform(1.05, 1.25)),
            float(rng.uniform(0.95, 1.15)),
            float(rng.uniform(0.85, 1.0)),
        ),
        depth=float(rng.uniform(1.6, 3.0)),
        podium=float(rng.choice([0.0, 0.18, 0.3])),
        roof=one_of(ROOFS),
        roof_height=float(rng.uniform(0.8, 1.25)),
        wall_texture=one_of(WALL_TEXTURES),
        pilasters=bool(rng.random() < 0.4),
        wall=wall,
        trim=one_of(palette.TRIMS),
        roof_colour=one_of(palette.ROOFS),
        glass=one_of(palette.GLASS),
        accents=tuple(
            (kind, palette.ACCENTS[accent])
            for kind, accent in zip(sorted(kinds), accents, strict=False)
        ),
        grain=int(rng.integers(2**31)),
    )
