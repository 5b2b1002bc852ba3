"""Points of two photographs that show the same."""

import dataclasses

import numpy as np

from senet_jax.system.errors import UserError


@dataclasses.dataclass(frozen=True, eq=False)
class Matches:
    """Points of a query and of an item that a pairwise re-ranker holds for the same.

    Points are x and y in pixels of the whole photograph, upright, at its own size, whatever part of
    it was described, and at which size; pixel centres are integers.

    Attributes:
        query_points: float[m 2].
        item_points: float[m 2], the points that match them.
        scores: float[m], how sure each match is; higher is surer.

    Raises:
        UserError: there is not one point of each and one score for every match.
    """

    query_points: np.ndarray
    item_points: np.ndarray
    scores: np.ndarray

    def __post_init__(self):
        shape = len(self.scores), 2
        if not self.query_points.shape == self.item_points.shape == shape:
            raise UserError(
                f"{len(self.scores)} matches have points {list(self.query_points.shape)} and "
                f"{list(self.item_points.shape)}; give [matches, 2] of each"
            )

    def __len__(self) -> int:
        return len(self.scores)
