"""The picture of a landmark from a viewpoint: a pure function of the two and the size."""

from typing import NamedTuple

import cv2
import numpy as np

from senet_jax.data.synthetic_landmarks import lens, surroundings
from senet_jax.data.synthetic_landmarks.building import FRONT, PLAIN, Mesh, building_mesh
from senet_jax.data.synthetic_landmarks.camera import Camera, frame, look
from senet_jax.data.synthetic_landmarks.facade import Wall, front_wall, side_wall
from senet_jax.data.synthetic_landmarks.grammar import Landmark, Style
from senet_jax.data.synthetic_landmarks.light import Light, light_of
from senet_jax.data.synthetic_landmarks.occluders import OCCLUDERS
from senet_jax.data.synthetic_landmarks.palette import bgr
from senet_jax.data.synthetic_landmarks.views import View

_SUPERSAMPLING = 2
_PASSERS_BY = ("tree", "tree", "tree", "person", "person", "person", "lamp", "lamp", "car")
_LAMPLIGHT = bgr("#ffd27a")


def camera_of(landmark: Landmark, view: View, side: int) -> Camera:
    """The camera of a view; the building fills the view's share of a picture of this side."""
    style = landmark.style
    height = style.wall_height
    target = np.array([0.0, style.podium + 0.45 * height, 0.0])
    away = view.distance * height
    position = np.array(
        [
            -away * np.sin(view.yaw),
            style.podium + view.eye * height,
            -away * np.cos(view.yaw),
        ]
    )
    vertices = building_mesh(style).vertices
    rotation = look(position, target, view.roll)
    return frame(position, rotation, vertices, side, view.extent, view.offset)


def building_box(landmark: Landmark, view: View, side: int) -> np.ndarray:
    """Where the building stands in its picture, float64[4]: x1, y1, x2, y2 in whole pixels."""
    corners = camera_of(landmark, view, side).project(building_mesh(landmark.style).vertices)
    return np.concatenate([np.floor(corners.min(0)), np.ceil(corners.max(0))]).clip(0, side)


def render(landmark: Landmark, view: View, side: int) -> np.ndarray:
    """The photograph of a landmark, uint8[side side 3] BGR."""
    rng = np.random.default_rng(view.detail_seed)
    canvas_side = _SUPERSAMPLING * side
    camera = camera_of(landmark, view, canvas_side)
    light = light_of(view)

    canvas = surroundings.draw_sky(canvas_side, light, view, rng)
    surroundings.draw_skyline(canvas, camera, light, rng)
    shadow = _shadow(building_mesh(landmark.style), light)
    surroundings.draw_ground(canvas, camera, light, view, shadow)
    things = _place_things(landmark.style, view, rng)
    _draw_things(canvas, [thing for thing in things if thing.foot[2] > 0], camera, light, rng)
    _draw_building(canvas, landmark, camera, light, side, rng)
    lens.draw_haze(canvas, light, view)
    _draw_things(canvas, [thing for thing in things if thing.foot[2] <= 0], camera, light, rng)
    lens.draw_precipitation(canvas, light, view, rng)
    return lens.expose(canvas, side, view, rng)


def _draw_building(
    canvas: np.ndarray,
    landmark: Landmark,
    camera: Camera,
    light: Light,
    side: int,
    rng: np.random.Generator,
) -> None:
    mesh = building_mesh(landmark.style)
    pixels = camera.project(mesh.vertices)
    strengths = light.on(mesh.normals)
    colours = np.minimum(mesh.colours * strengths, 255)
    fixed_point = np.round(pixels * 16).clip(-(2**24), 2**24).astype(np.int32)
    # One resolution for each size of picture, so that a wall is drawn once; the largest bounds
    # the memory of the walls that are kept.
    density = int(np.clip(side // 2, 32, 96))
    for index in mesh.painting_order(camera.position):
        face, start = mesh.faces[index], mesh.starts[index]
        end = start + len(face.corners)
        if face.surface == PLAIN:
            colour = colours[index].tolist()
            cv2.fillPoly(canvas, [fixed_point[start:end]], colour, shift=4)
            if face.tiles:
                shadow = [0.82 * channel for channel in colour]
                _draw_tiles(canvas, fixed_point[start:end], face.tiles, shadow)
        else:
            wall = (
                front_wall(landmark, density)
                if face.surface == FRONT
                else side_wall(landmark.style, density)
            )
            image = _lit_wall(wall, strengths[index], light, rng)
            _draw_wall(canvas, image, pixels[start:end])


def _lit_wall(
    wall: Wall, strength: np.ndarray, light: Light, rng: np.random.Generator
) -> np.ndarray:
    """A wall under the light of the hour, with lamps behind some of its windows."""
    image = surroundings.lit_image(wall.image, strength)
    if light.lit:
        warmth = np.zeros(256, np.uint8)
        cells = int(wall.panes.max())
        warmth[1 : cells + 1] = 255 * (rng.random(cells) < light.lit)
        cv2.copyTo(np.full_like(image, _LAMPLIGHT), cv2.LUT(wall.panes, warmth), image)
    return image


def _draw_wall(canvas: np.ndarray, image: np.ndarray, corners: np.ndarray) -> None:
    """Warps a wall onto its corners: bottom left, bottom right, top right, top left."""
    low = np.floor(corners.min(0)).astype(int).clip(0, canvas.shape[0])
    high = np.ceil(corners.max(0)).astype(int).clip(0, canvas.shape[0])
    if (high - low).min() <= 0:
        return
    # Shrinking by a warp would skip pixels.
    tall = int(np.ptp(corners[:, 1]))
    while image.shape[0] > 2 * max(tall, 2) and min(image.shape[:2]) > 8:
        image = cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    height, width = image.shape[:2]
    source = np.array([[0, height], [width, height], [width, 0], [0, 0]], np.float32) - 0.5
    target = (corners - low - 0.5).astype(np.float32)
    size = tuple((high - low).tolist())
    warp = cv2.getPerspectiveTransform(source, target)
    warped = cv2.warpPerspective(
        image, warp, size, flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    mask = np.zeros(size[::-1], np.uint8)
    cv2.fillPoly(mask, [np.round((corners - low) * 16).astype(np.int32)], 255, shift=4)
    cv2.copyTo(warped, mask, canvas[low[1] : high[1], low[0] : high[0]])


def _draw_tiles(canvas: np.ndarray, corners: np.ndarray, rows: int, colour: list[float]) -> None:
    """The shadow lines between the rows of tiles of a quadrangle or a triangle."""
    left = corners[-1] - corners[0]
    right = corners[2] - corners[1]
    shares = np.arange(1, rows)[:, None] / rows
    lines = np.stack([corners[0] + shares * left, corners[1] + shares * right], axis=1)
    cv2.polylines(canvas, list(lines.astype(np.int32)), False, colour, 1, shift=4)


def _shadow(mesh: Mesh, light: Light) -> np.ndarray:
    """The outline of the building's shadow on the ground, float64[n 3]."""
    across, up = light.direction[[0, 2]], light.direction[1]
    foot = mesh.vertices[:, [0, 2]]
    fallen = foot - mesh.vertices[:, 1:2] * across / up
    hull = cv2.convexHull(np.concatenate([foot, fallen]).astype(np.float32))[:, 0]
    return np.insert(hull.astype(np.float64), 1, 0, axis=1)


class _Thing(NamedTuple):
    kind: str
    foot: np.ndarray
    height: float


def _place_things(style: Style, view: View, rng: np.random.Generator) -> list[_Thing]:
    """Trees behind and beside the building, and the view's occluders before it, far to near."""
    half, height = style.width / 2, style.wall_height
    things = []
    for side in (-1.0, 1.0):
        for _ in range(int(rng.integers(0, 3))):
            foot = [side * (half + rng.uniform(0.7, 3)), 0, rng.uniform(0.2, 3)]
            things.append(_Thing("tree", np.array(foot), rng.uniform(0.35, 0.7) * height))
    for _ in range(view.occluders):
        kind = _PASSERS_BY[int(rng.integers(len(_PASSERS_BY)))]
        towards = rng.uniform(0.15, 0.45) * view.distance * height
        across = rng.uniform(-0.9, 0.9) * half
        foot = np.array([across - towards * np.sin(view.yaw), 0, -0.8 - towards * np.cos(view.yaw)])
        tallest = view.occluder_height * height
        things.append(_Thing(kind, foot, tallest * OCCLUDERS[kind][1] * rng.uniform(0.75, 1)))
    return sorted(things, key=lambda thing: -thing.foot[2])


def _draw_things(
    canvas: np.ndarray,
    things: list[_Thing],
    camera: Camera,
    light: Light,
    rng: np.random.Generator,
) -> None:
    for thing in things:
        scale = camera.pixels_per_unit(thing.foot)
        if scale:
            x, y = camera.project(thing.foot[None])[0].tolist()
            OCCLUDERS[thing.kind][0](canvas, (x, y), thing.height * scale, light, rng)
