"""Keypoints of photographs: places that a network tells apart, with a descriptor of each."""

import dataclasses
import os
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, overload

import numpy as np

from senet_jax.data.image_header import Header
from senet_jax.data.revisitop import Photograph, PlacedPixels
from senet_jax.data.transforms import resized_shape
from senet_jax.features.cache import FeatureCache
from senet_jax.features.networks import Network, Part, Size, Value
from senet_jax.features.origin import origin_of_features
from senet_jax.features.reader import read_part
from senet_jax.features.runner import Runner
from senet_jax.models.family import KEYPOINTS, Kind
from senet_jax.weights import Weights


@dataclasses.dataclass(frozen=True, eq=False)
class Keypoints:
    """The keypoints of an image, those with the highest scores first.

    Attributes:
        points: float32[n 2], x and y in pixels of the whole photograph, upright and at its own
            size; pixel centres are integers.
        descriptors: float32[n d], of unit length.
        frame: float32[4], the part of the photograph in which they were looked for: x and y of its
            upper left corner, width and height.
        weights: of the network that found them, and of the matcher that was trained for it.
    """

    points: np.ndarray
    descriptors: np.ndarray
    frame: np.ndarray
    weights: Weights

    @classmethod
    def of(cls, value: Mapping[str, np.ndarray], weights: Weights) -> "Keypoints":
        """From the arrays that a network gave, or that were kept."""
        return cls(value["points"], value["descriptors"], value["frame"], weights)

    def first(self, count: int) -> "Keypoints":
        """The first ones, or all where there are fewer."""
        points, descriptors = self.points[:count], self.descriptors[:count]
        return dataclasses.replace(self, points=points, descriptors=descriptors)

    def relative(self) -> np.ndarray:
        """The points relative to the middle of the frame and to half of its longer side."""
        corner, size = self.frame[:2], self.frame[2:]
        return (self.points - corner - size / 2) / (size.max() / 2)


@dataclasses.dataclass(frozen=True)
class KeypointNetwork(Network):
    """A network that finds keypoints. A value is what `Keypoints` holds, and `scores`."""

    gives: ClassVar[Kind] = "keypoints"
    names: ClassVar[frozenset[str]] = frozenset({"points", "descriptors", "scores", "frame"})

    def values(self, scales: Sequence[Any], parts: Sequence[Part | None]) -> list[Value | None]:
        """A value is what `Keypoints` holds, and their `scores`, float32[n]."""
        [found] = scales
        positions, scores, descriptors = map(
            np.asarray, (found.positions, found.scores, found.descriptors)
        )
        return [
            part and _value(part, *of_image)
            for *of_image, part in zip(positions, scores, descriptors, parts, strict=True)
        ]

    def value_bytes(self, size: Size) -> int:
        """What the keypoints take that there are at most, in bytes."""
        return 4 * KEYPOINTS * (self.architecture.outputs + 3)

    def settings(self) -> dict[str, Any]:
        """How many keypoints there are at most, besides."""
        return super().settings() | {"keypoints": KEYPOINTS}


def _value(part: Part, positions: np.ndarray, scores: np.ndarray, descriptors: np.ndarray) -> Value:
    count = np.count_nonzero(np.isfinite(scores))
    own = positions[:count] if part.transposed else positions[:count, ::-1]  # x and y
    points = (own + 0.5) * part.step - 0.5 + part.corner
    height, width = part.sizes[0][::-1] if part.transposed else part.sizes[0]
    frame = (*part.corner, width * part.step, height * part.step)
    return {
        "points": points.astype(np.float32),
        "descriptors": descriptors[:count],
        "scores": scores[:count],
        "frame": np.array(frame, np.float32),
    }


def keypoint_cache(
    weights: Weights, folder: str | os.PathLike, limit_bytes: int, few_shapes: bool = False
) -> FeatureCache:
    """The keypoints of photographs; see `FeatureCache`.

    Raises:
        UserError: the weights are of a network that finds none.
    """
    network = KeypointNetwork(weights.architecture, weights.preprocessing)
    origin = origin_of_features(weights, network.settings())
    return FeatureCache(
        Runner(network, weights.variables()), origin, folder, limit_bytes, few_shapes
    )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FittedPhotograph(Photograph):
    """A photograph, or its box, that is shrunk to a longer side; a smaller one stays as it is.

    Attributes:
        original: the photograph.
        side: the longer side that it has at most, in pixels.
    """

    original: Photograph
    side: int

    def header(self) -> Header | None:
        """See `Photograph`; None where the box alone counts."""
        header = self.original.header()
        if header is None or self.original.box is not None:
            return None
        size = header.height, header.width
        return Header(*resized_shape(*size, self._factor(*size)), header.is_upright)

    def read(self) -> np.ndarray:
        """All pixels of it: uint8[h w 3] BGR."""
        return self.read_placed().pixels

    def read_placed(self) -> PlacedPixels:
        """The same, and where they lie in the photograph."""
        image = read_part(self.original)
        return image.resized(self._factor(*image.pixels.shape[:2]))

    @property
    def view(self) -> Any:
        """What is described of the file."""
        return [self.original.view, self.side]

    def _factor(self, height: int, width: int) -> float:
        return min(1.0, self.side / max(height, width))


def fitted(original: Photograph, side: int) -> FittedPhotograph:
    """A photograph with a longer side of so many pixels at most."""
    return FittedPhotograph(original.folder, original.file_name, original=original, side=side)


@dataclasses.dataclass(frozen=True)
class Fitted(Sequence[Photograph]):
    """A list of photographs, each as a `FittedPhotograph`, which are made as they are asked for.

    Attributes:
        originals: the list.
        side: see `FittedPhotograph`.
    """

    originals: Sequence[Photograph]
    side: int

    def __len__(self) -> int:
        return len(self.originals)

    @overload
    def __getitem__(self, index: int) -> Photograph: ...
    @overload
    def __getitem__(self, index: slice) -> "Fitted": ...
    def __getitem__(self, index: int | slice) -> "Photograph | Fitted":
        if isinstance(index, slice):
            return Fitted(self.originals[index], self.side)
        return fitted(self.originals[index], self.side)
