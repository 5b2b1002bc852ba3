"""A pinhole camera.

The world's axes are x to the right of the front, y upwards and z into the building; the middle
of the front's foot is the origin. Lengths are the grammar's units.
"""

import dataclasses

import numpy as np

_NEAR = 0.1


@dataclasses.dataclass(frozen=True, eq=False)
class Camera:
    """Where a camera stands, where it looks, and how it maps to pixels.

    Attributes:
        position: float64[3].
        rotation: float64[3 3]; its rows are the camera's right, down and forward.
        focal: pixels per unit at distance one.
        centre: float64[2], the pixel in the middle of the view.
    """

    position: np.ndarray
    rotation: np.ndarray
    focal: float
    centre: np.ndarray

    def project(self, points: np.ndarray) -> np.ndarray:
        """The pixels of points before the camera: float64[n 3] to float64[n 2]."""
        seen = (points - self.position) @ self.rotation.T
        return seen[:, :2] / seen[:, 2:] * self.focal + self.centre

    def pixels_per_unit(self, point: np.ndarray) -> float:
        """How large a unit appears at a point; not positive where it is not before the camera."""
        depth = float((point - self.position) @ self.rotation[2])
        return self.focal / depth if depth > _NEAR else 0.0

    def project_outline(self, points: np.ndarray) -> np.ndarray:
        """A polygon float64[n 3] that may reach behind the camera: what is before it, [m 2]."""
        seen = (points - self.position) @ self.rotation.T
        kept = []
        for start, end in zip(seen, np.roll(seen, -1, axis=0), strict=True):
            if start[2] >= _NEAR:
                kept.append(start)
            if (start[2] >= _NEAR) != (end[2] >= _NEAR):
                kept.append(start + (end - start) * (_NEAR - start[2]) / (end[2] - start[2]))
        clipped = np.array(kept).reshape(-1, 3)
        return clipped[:, :2] / clipped[:, 2:] * self.focal + self.centre

    def ground_homography(self) -> np.ndarray:
        """float64[3 3] from (x, z, 1) on the ground to homogeneous pixels."""
        intrinsic = np.array(
            [[self.focal, 0, self.centre[0]], [0, self.focal, self.centre[1]], [0, 0, 1]]
        )
        columns = np.stack([[1.0, 0, 0], [0, 0, 1.0], -self.position], axis=1)
        return intrinsic @ self.rotation @ columns

    def horizon(self, columns: np.ndarray) -> np.ndarray:
        """The pixel row of the horizon in each of the given pixel columns."""
        up_x, up_y, up_forward = self.rotation @ [0, 1, 0]
        across = (columns - self.centre[0]) / self.focal
        return self.centre[1] - self.focal * (up_x * across + up_forward) / up_y


def look(position: np.ndarray, target: np.ndarray, roll: float) -> np.ndarray:
    """The rotation of a camera at `position` that looks at `target`, rolled by radians."""
    forward = (target - position) / np.linalg.norm(target - position)
    right = np.array([forward[2], 0.0, -forward[0]]) / np.hypot(forward[0], forward[2])
    down = np.array(
        [
            -right[2] * forward[1],
            right[2] * forward[0] - right[0] * forward[2],
            right[0] * forward[1],
        ]
    )
    cos, sin = np.cos(roll), np.sin(roll)
    return np.stack([cos * right + sin * down, cos * down - sin * right, forward])


def frame(
    position: np.ndarray,
    rotation: np.ndarray,
    points: np.ndarray,
    side: int,
    extent: float,
    offset: tuple[float, float],
) -> Camera:
    """The camera whose focal length lets `points` fill a share of a square picture.

    Args:
        position: float64[3], where it stands.
        rotation: float64[3 3], where it looks; see `look`.
        points: float64[n 3], what is to be framed; all before the camera.
        side: the picture's width and height in pixels.
        extent: the larger side of what is framed, as a share of `side`.
        offset: where it lies within the space that is left: -1 is at the left or top edge, 1 at
            the right or bottom edge.
    """
    plane = Camera(position, rotation, 1.0, np.zeros(2)).project(points)
    low, high = plane.min(0), plane.max(0)
    focal = extent * side / float((high - low).max())
    slack = (side - focal * (high - low)) / 2
    centre = side / 2 + np.array(offset) * slack - focal * (low + high) / 2
    return Camera(position, rotation, focal, centre)
