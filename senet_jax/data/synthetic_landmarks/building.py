"""The solids of a building: walls, cornice, roof, towers, dome and steps.

A building is a stack of levels that meet in horizontal planes; a level is a few convex solids.
So no depth buffer is needed: see `Mesh.painting_order`.
"""

import dataclasses
import functools

import numpy as np

from senet_jax.data.synthetic_landmarks.grammar import Style
from senet_jax.data.synthetic_landmarks.palette import WHITE, Colour, bgr, mixed, shaded

FRONT, SIDE, PLAIN = "front", "side", "plain"

_STEPS = 3
_BODY, _CORNICE, _ROOF = _STEPS, _STEPS + 1, _STEPS + 2


@dataclasses.dataclass(frozen=True, eq=False)
class Face:
    """A flat convex face, seen from outside.

    Attributes:
        corners: float64[n 3]; of the faces `FRONT` and `SIDE`: bottom left, bottom right, top
            right, top left.
        colour: its colour, where it has no texture.
        surface: `FRONT`, `SIDE` or `PLAIN`.
        tiles: the number of rows of tiles drawn from the first edge to the far one.
    """

    corners: np.ndarray
    colour: Colour
    surface: str = PLAIN
    tiles: int = 0


@dataclasses.dataclass(frozen=True)
class Solid:
    """Faces of one convex body, and the level that it stands on, counted from the ground."""

    faces: tuple[Face, ...]
    level: int


class Mesh:
    """All faces of a building with their vertices in one array, to be projected at once.

    Attributes:
        faces: every face.
        vertices: float64[v 3], the corners of the faces one after another.
        starts: int64[f], where each face's corners begin in `vertices`.
        normals: float64[f 3], of unit length, outwards.
        colours: float64[f 3], BGR.
    """

    def __init__(self, solids: list[Solid], floors: tuple[float, ...]):
        self.faces = [face for solid in solids for face in solid.faces]
        self.vertices = np.concatenate([face.corners for face in self.faces])
        counts = [len(face.corners) for face in self.faces]
        self.starts = np.cumsum([0, *counts[:-1]])
        self.colours = np.array([face.colour for face in self.faces], np.float64)
        self.normals = _normals(*(self.vertices[self.starts + corner] for corner in range(3)))
        self._solid_of_face = np.repeat(range(len(solids)), [len(s.faces) for s in solids])
        self._levels = np.array([solid.level for solid in solids])
        self._middles = np.stack(
            [np.concatenate([face.corners for face in s.faces]).mean(0) for s in solids]
        )
        self._floors = floors

    def painting_order(self, position: np.ndarray) -> np.ndarray:
        """The faces turned towards `position`, int64[m], each before those that may hide it.

        Levels below the eye come upwards, those above it downwards, the eye's own level last;
        within a level the solids come from far to near.
        """
        eye_level = int(np.searchsorted(self._floors, position[1], side="right")) - 1
        distances = np.linalg.norm(self._middles - position, axis=1)
        nearness = -np.abs(self._levels - eye_level)
        rank = np.argsort(np.lexsort((-distances, nearness)))
        towards = ((position - self.vertices[self.starts]) * self.normals).sum(1) > 1e-9
        order = np.argsort(rank[self._solid_of_face], kind="stable")
        return order[towards[order]]


def _normals(first: np.ndarray, second: np.ndarray, third: np.ndarray) -> np.ndarray:
    """Unit normals of faces by three corners each, counterclockwise as seen from outside."""
    normals = np.cross(third - first, second - first)
    return normals / np.linalg.norm(normals, axis=1, keepdims=True)


@functools.lru_cache(maxsize=1024)
def building_mesh(style: Style) -> Mesh:
    """The building of a family: siblings differ in the texture of the front alone."""
    half, depth = style.width / 2, style.depth
    base, eaves = style.podium, style.podium + style.wall_height
    cornice = eaves + 0.13
    solids = []
    if base:
        solids += _steps(half, base, depth)
    solids.append(
        _block((-half, half), (base, eaves), (0, depth), style.wall, _BODY, front=FRONT, side=SIDE)
    )
    over = 0.12
    solids.append(
        _block(
            (-half - over, half + over),
            (eaves, cornice),
            (-over, depth + over),
            style.trim,
            _CORNICE,
        )
    )
    solids += _ROOFS[style.roof](style, half, cornice, depth)
    treads = tuple(base * step / _STEPS for step in range(_STEPS))
    return Mesh(solids, (*treads, base, eaves, cornice))


def _block(
    xs: tuple[float, float],
    ys: tuple[float, float],
    zs: tuple[float, float],
    colour: Colour,
    level: int,
    top: Colour | None = None,
    front: str = PLAIN,
    side: str = PLAIN,
) -> Solid:
    """A box; its front and its two sides may be `FRONT` and `SIDE` surfaces."""
    (x0, x1), (y0, y1), (z0, z1) = xs, ys, zs

    def upright(start, end):
        return _upright(start[0], start[1], end[0], end[1], y0, y1)

    def flat(y, corners):
        return np.array([[x, y, z] for x, z in corners], np.float64)

    around = [(x0, z0), (x1, z0), (x1, z1), (x0, z1)]
    return Solid(
        (
            Face(upright(around[0], around[1]), colour, front),
            Face(upright(around[1], around[2]), colour, side),
            Face(upright(around[2], around[3]), colour),
            Face(upright(around[3], around[0]), colour, side),
            Face(flat(y1, around), top or colour),
            Face(flat(y0, around[::-1]), shaded(colour, 0.7)),
        ),
        level,
    )


def _upright(x0: float, z0: float, x1: float, z1: float, y0: float, y1: float) -> np.ndarray:
    """An upright rectangle between two heights, seen from the side where (x0, z0) is left."""
    return np.array([[x0, y0, z0], [x1, y0, z1], [x1, y1, z1], [x0, y1, z0]])


def _steps(half: float, base: float, depth: float) -> list[Solid]:
    stone = bgr("#cfc8ba")
    rise = base / _STEPS
    return [
        _block(
            (-half - reach, half + reach),
            (step * rise, (step + 1) * rise),
            (-reach, depth + 0.1),
            mixed(stone, WHITE, 0.1 * step),
            step,
        )
        for step, reach in enumerate((0.62, 0.44, 0.26))
    ]


def _prism(
    style: Style, half: float, base: float, zs: tuple[float, float], height: float, inset: float
) -> Solid:
    """A roof with its ridge from front to back; `inset` draws the ridge's ends inwards."""
    z0, z1 = zs
    ridge = [np.array([0, base + height, z]) for z in (z0 + inset, z1 - inset)]
    a, b, c, d = (
        np.array([x, base, z]) for x, z in ((-half, z0), (half, z0), (half, z1), (-half, z1))
    )
    ends = style.roof_colour if inset else style.wall
    rows = 7 if inset else 0
    return Solid(
        (
            Face(np.stack([a, b, ridge[0]]), ends, tiles=rows),
            Face(np.stack([b, c, ridge[1], ridge[0]]), style.roof_colour, tiles=7),
            Face(np.stack([c, d, ridge[1]]), ends, tiles=rows),
            Face(np.stack([d, a, ridge[0], ridge[1]]), style.roof_colour, tiles=7),
        ),
        _ROOF,
    )


def _turned(
    centre: tuple[float, float],
    profile: list[tuple[float, float]],
    colour: Colour,
    segments: int,
    tiles: int = 0,
    level: int = _ROOF,
) -> Solid:
    """A solid of revolution about an upright axis; the profile is (radius, height), upwards."""
    angles = np.arange(segments) * 2 * np.pi / segments + np.pi / segments
    ring = np.stack([np.cos(angles), np.zeros(segments), np.sin(angles)], 1)
    middle = np.array([centre[0], 0, centre[1]])
    rings = [middle + radius * ring + [0, height, 0] for radius, height in profile]
    faces = []
    for low, high, (radius, _) in zip(rings, rings[1:], profile[1:], strict=False):
        for i in range(segments):
            j = (i + 1) % segments
            upper = [high[i]] if radius == 0 else [high[j], high[i]]
            faces.append(Face(np.stack([low[i], low[j], *upper]), colour, tiles=tiles))
    return Solid(tuple(faces), level)


def _disc_on_front(x: float, y: float, z: float, radius: float, colour: Colour) -> Face:
    angles = np.linspace(0, 2 * np.pi, 14, endpoint=False)
    corners = [[x + radius * np.cos(a), y + radius * np.sin(a), z] for a in angles]
    return Face(np.array(corners), colour)


def _gable(style: Style, half: float, base: float, depth: float) -> list[Solid]:
    prism = _prism(style, half + 0.1, base, (-0.06, depth + 0.06), style.roof_height, 0)
    middle = base + 0.36 * style.roof_height
    radius = 0.2 * style.roof_height
    decoration = (
        _disc_on_front(0, middle, -0.06, radius, style.trim),
        _disc_on_front(0, middle, -0.06, 0.72 * radius, style.glass),
    )
    return [Solid(prism.faces + decoration, _ROOF)]


def _hip(style: Style, half: float, base: float, depth: float) -> list[Solid]:
    chimneys = [
        _block(
            (x - 0.1, x + 0.1),
            (base, base + style.roof_height * 0.95),
            (0.55 * depth, 0.55 * depth + 0.2),
            bgr("#8a5f50"),
            _ROOF,
        )
        for x in (-0.62 * half, 0.62 * half)
    ]
    roof = _prism(
        style,
        half + 0.1,
        base,
        (-0.1, depth + 0.1),
        height=0.9 * style.roof_height,
        inset=0.3 * depth,
    )
    return [*chimneys, roof]


def _mansard(style: Style, half: float, base: float, depth: float) -> list[Solid]:
    inset, top = 0.28, base + 0.75 * style.roof_height

    def ring(x, z0, z1, y):
        return np.array([[-x, y, z0], [x, y, z0], [x, y, z1], [-x, y, z1]])

    low = ring(half, 0, depth, base)
    high = ring(half - inset, inset, depth - inset, top)
    slopes = [
        Face(np.stack([low[i], low[j], high[j], high[i]]), style.roof_colour, tiles=6)
        for i, j in ((0, 1), (1, 2), (2, 3), (3, 0))
    ]
    lid = Face(high, shaded(style.roof_colour, 0.85))
    solids = [Solid((*slopes, lid), _ROOF)]
    for x in (-0.6 * half, 0.0, 0.6 * half):
        dormer = _block(
            (x - 0.17, x + 0.17),
            (base, base + 0.52 * style.roof_height),
            (0.04, 0.34),
            style.trim,
            _ROOF,
            top=style.roof_colour,
        )
        window = _window_on_front(x, base + 0.1, 0.04, 0.11, style)
        solids.append(Solid((*dormer.faces, window), _ROOF))
    return solids


def _window_on_front(x: float, y: float, z: float, half: float, style: Style) -> Face:
    top = y + 0.26 * style.roof_height
    return Face(_upright(x - half, z, x + half, z, y, top), style.glass)


def _terrace(style: Style, half: float, base: float, depth: float) -> list[Solid]:
    merlons = []
    count = 2 * round(half / 0.45) + 1
    for i in range(0, count, 2):
        left = -half + 2 * half * i / count
        xs = (left, left + 2 * half / count)
        for zs in ((0.0, 0.22), (depth - 0.22, depth)):
            merlons.append(
                _block(xs, (base, base + 0.42 * style.roof_height), zs, style.wall, _ROOF)
            )
    pavilion = _block(
        (-0.4 * half, 0.4 * half),
        (base, base + 0.5 * style.roof_height),
        (0.4 * depth, 0.8 * depth),
        style.wall,
        _ROOF,
        top=style.roof_colour,
    )
    return [*merlons, pavilion]


def _dome(style: Style, half: float, base: float, depth: float) -> list[Solid]:
    centre = (0.0, depth / 2)
    radius = min(0.62 * half, 0.48 * depth)
    drum = base + 0.35 * style.roof_height
    angles = np.linspace(0, 0.46 * np.pi, 6)
    shell = [(radius * np.cos(a), drum + style.roof_height * 0.95 * np.sin(a)) for a in angles]
    top = shell[-1][1]
    lantern = [(0.16, top - 0.02), (0.16, top + 0.24), (0.0, top + 0.55)]
    return [
        _turned(centre, [(radius * 0.96, base), (radius * 0.96, drum)], style.wall, 12),
        _turned(centre, shell, style.roof_colour, 12, level=_ROOF + 1),
        _turned(centre, lantern, style.trim, 8, level=_ROOF + 2),
    ]


def _towers(style: Style, half: float, base: float, depth: float) -> list[Solid]:
    roof = _prism(style, half * 0.95, base, (0.3, depth), 0.6 * style.roof_height, 0.3 * depth)
    solids = [roof]
    top = base + 0.72 * style.roof_height
    for x in (-half + 0.42, half - 0.42):
        tower = _block((x - 0.42, x + 0.42), (base, top), (0, 0.84), style.wall, _ROOF)
        window = _window_on_front(x, base + 0.18, 0.0, 0.14, style)
        solids.append(Solid((*tower.faces, window), _ROOF))
        solids.append(_spire(x, 0.42, 0.5, top, 0.95 * style.roof_height, style))
    return solids


def _steeple(style: Style, half: float, base: float, depth: float) -> list[Solid]:
    roof = _prism(style, half + 0.06, base, (-0.06, depth + 0.06), 0.62 * style.roof_height, 0.5)
    top = base + 1.0 * style.roof_height
    tower = _block((-0.46, 0.46), (base, top), (0.0, 0.92), style.wall, _ROOF)
    dial = (
        _disc_on_front(0, base + 0.62 * style.roof_height, 0.0, 0.27, style.trim),
        _disc_on_front(0, base + 0.62 * style.roof_height, 0.0, 0.2, bgr("#f6f1e1")),
    )
    return [
        roof,
        Solid((*tower.faces, *dial), _ROOF),
        _spire(0.0, 0.46, 0.56, top, 1.05 * style.roof_height, style),
    ]


def _spire(x: float, z: float, half: float, base: float, height: float, style: Style) -> Solid:
    profile = [(half * 2**0.5, base), (0.0, base + height)]
    return _turned((x, z), profile, style.roof_colour, 4, tiles=6, level=_ROOF + 1)


_ROOFS = {
    "gable": _gable,
    "hip": _hip,
    "mansard": _mansard,
    "terrace": _terrace,
    "dome": _dome,
    "towers": _towers,
    "steeple": _steeple,
}
