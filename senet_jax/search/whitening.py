"""Whitening: rows are centred, and each of their principal axes is divided by its deviation.

What all rows have in common counts no more then, and what tells them apart counts more. It is
learned without labels.

Source: Jégou and Chum, "Negative evidences and co-occurrences in image retrieval" (ECCV 2012).
"""

import dataclasses
import hashlib
from collections.abc import Callable, Iterator

import numpy as np

from senet_jax.search.database import BlockedDatabase
from senet_jax.system.errors import UserError

SMALLEST_VARIANCE = 1e-8
"""Of rows at unit length: what varies less is rounding, and is not blown up further."""
SHRINKAGE = 10.0
"""How many times the largest variance is added to each. Of 0.1, 0.3, 1, 3 and 10 the best on
photographs of landmarks that no result here is of; the usual estimates of a covariance from few
samples shrink it by some per cent and are far worse than no whitening at all."""
MOST_WIDTH = 2**13
"""Of descriptors: the covariance of wider ones would take gigabytes."""


@dataclasses.dataclass(frozen=True, eq=False)
class Whitening:
    """Makes whitened rows of rows.

    Attributes:
        mean: float32[c], of the rows at unit length.
        projection: float32[c d], the principal axes, each divided by its standard deviation.
    """

    mean: np.ndarray
    projection: np.ndarray

    def __call__(self, rows: np.ndarray) -> np.ndarray:
        """number[n c] -> float32[n d] of unit length; a row of zeros stays one.

        Raises:
            UserError: the rows are of another network.
        """
        if rows.ndim != 2 or rows.shape[1] != len(self.mean):
            raise UserError(
                f"the rows have the shape {list(rows.shape)}, the whitening takes rows of "
                f"{len(self.mean)} numbers; fit it to rows of the same network"
            )
        units = unit(rows.astype(np.float32, copy=False))
        return unit(
            np.where(units.any(axis=1, keepdims=True), units - self.mean, 0) @ self.projection
        )

    @property
    def sha256(self) -> str:
        """Tells it from any other."""
        return hashlib.sha256(self.mean.tobytes() + self.projection.tobytes()).hexdigest()


def fit_whitening(rows: np.ndarray, width: int) -> Whitening:
    """Principal component analysis of rows that are typical.

    Args:
        rows: float32[n c].
        width: how many components are kept.

    Raises:
        UserError: more components are asked for than there are.
    """
    count, channels = rows.shape
    if not 0 < width <= min(count - 1, channels):
        raise UserError(
            f"{width} components of {count} rows with {channels} channels; ask for fewer, "
            "or take more images"
        )
    samples = unit(rows).astype(np.float64)
    mean = samples.mean(axis=0)
    centred = samples - mean
    return _of_covariance(mean, centred.T @ centred / (count - 1), width)


def fit_shrunk_whitening(
    database: BlockedDatabase, on_rows: Callable[[int], None] = lambda count: None
) -> Whitening:
    """Whitening of the descriptors of a collection, of all components, with shrinkage.

    In a collection the axes of largest variance are what tells its places apart, and whitening as
    it stands would take just these away. So all variances are moved towards a common one, see
    `SHRINKAGE`: what remains is the centring, and a little of the whitening.

    Args:
        database: of descriptors; those that are not ranked are left out.
        on_rows: told how many more rows were read.

    Raises:
        UserError: the descriptors are too wide, or one is not finite.
    """
    width = database.width
    if width > MOST_WIDTH:
        raise UserError(
            f"descriptors of {width:,} numbers are whitened up to {MOST_WIDTH:,}; search them as "
            "they are"
        )
    count, total, squares = 0, np.zeros(width), np.zeros((width, width))
    for rows in _ranked_rows(database, on_rows):
        samples = unit(rows).astype(np.float64)
        count += len(samples)
        total += samples.sum(axis=0)
        squares += samples.T @ samples
    mean = total / max(count, 1)
    covariance = squares / max(count, 1) - np.outer(mean, mean)
    return _of_covariance(mean, covariance, width, SHRINKAGE)


def _of_covariance(
    mean: np.ndarray, covariance: np.ndarray, width: int, shrinkage: float = 0.0
) -> Whitening:
    variances, axes = np.linalg.eigh(covariance)
    variances = variances + shrinkage * variances[-1]
    variances, axes = variances[::-1][:width], axes[:, ::-1][:, :width]
    deviations = np.sqrt(np.maximum(variances, SMALLEST_VARIANCE))
    return Whitening(mean.astype(np.float32), (axes / deviations).astype(np.float32))


def _ranked_rows(database: BlockedDatabase, on_rows: Callable[[int], None]) -> Iterator[np.ndarray]:
    """The rows that are ranked, block by block: float32[b d]."""
    for start in range(0, database.size, database.block_rows):
        block = database.read(start)
        database.check_finite(start, block)
        yield block[database.is_ranked(start)]
        on_rows(min(database.block_rows, database.size - start))


def unit(rows: np.ndarray) -> np.ndarray:
    """Rows at unit length; a row of zeros stays."""
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(norms > 0, norms, 1)
