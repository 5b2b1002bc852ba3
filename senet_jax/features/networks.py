"""What the engine makes of what networks give of images: a kind is a class here.

- `global`: a descriptor of unit length, the mean over the scales;
- `dense`: the maps that a pairwise re-ranker compares;
- `local`: keypoints with a descriptor each, the most active positions of a map.

How a network computes it, and what may be done to its images, says its family; see `models.family`.
A network is a pure function of variables and pixels for the devices, and a function of NumPy arrays
that takes one image's part out of what a batch gave. It holds no variables.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

import jax
import jax.numpy as jnp
import numpy as np

from senet_jax.features.local_features import strongest_positions
from senet_jax.features.plan import Mode
from senet_jax.models.architecture import Architecture
from senet_jax.models.family import Family, Kind, Output
from senet_jax.models.inference import fold_batch_norms
from senet_jax.models.layers import l2_normalise
from senet_jax.models.preprocessing import Preprocessing, normalise
from senet_jax.models.registry import family_of, output_of
from senet_jax.models.valid_region import ValidRegion
from senet_jax.search.whitening import Whitening

# Positions of R50 have 50 KB of self-similarities each.
POSITIONS_PER_PART = 4096
# Of each photograph; 500 of 128 numbers are 256 KB.
KEYPOINTS, LOCAL_WIDTH = 500, 128

Size = tuple[int, int]
Value = dict[str, np.ndarray]
"""What a network gives of one photograph: arrays by name."""


def plain_form() -> dict[str, Any]:
    """Options of `build_model` for networks that describe as they were trained.

    XLA is known to compile blocks badly on CPUs alone; see `models.resnet.Stage`.
    """
    return {"separate_blocks": jax.default_backend() == "cpu"}


def fast_form() -> dict[str, Any]:
    """Options of `build_model` for networks that describe on these devices; see `Network.prepared`.

    On a GPU norms cost less than the biases that they are folded to; Winograd's algorithm saves a
    fifth of the time, and five times as long goes into compiling.
    """
    on_cpu = jax.default_backend() == "cpu"
    return plain_form() | {
        "positions_per_part": POSITIONS_PER_PART,
        **dict.fromkeys(("folded", "fast_blocks", "fast_offsets"), on_cpu),
    }


def from_pixels(apply: Callable, preprocessing: Preprocessing) -> Callable:
    """What a network makes of images as they are read.

    Args:
        apply: takes variables, normalised images float32[b h w 3] and their region, and more.
        preprocessing: how they are normalised.

    Returns:
        A function that takes variables, uint8[b h w 3] BGR and their region, and more.
    """

    def network(variables: Any, images: jax.Array, region: ValidRegion, *more: Any) -> Any:
        pixels = region.zero_outside(normalise(images, preprocessing))
        # Accelerators multiply in fewer bits unless they are told not to.
        with jax.default_matmul_precision("highest"):
            return apply(variables, pixels, region, *more)

    return network


@dataclasses.dataclass(frozen=True)
class Part:
    """Where one image lies in the arrays of its batch.

    Attributes:
        sizes: its height and width at each scale, as it lies in the batch: upper left.
        transposed: whether the batch holds it transposed.
        corner: x and y of its first pixel in the photograph.
    """

    sizes: tuple[Size, ...]
    transposed: bool
    corner: tuple[int, int]

    def cut(self, maps: np.ndarray, stride: int) -> np.ndarray:
        """The image's part of a map at the first scale, upright: float32[... h w c]."""
        height, width = map_size(self.sizes[0], stride)
        own = maps[..., :height, :width, :]
        return np.ascontiguousarray(own.swapaxes(-3, -2) if self.transposed else own)


def map_size(image_size: Size, stride: int) -> Size:
    """Height and width of the map of an image, of a layer with so many pixels to a position."""
    height, width = (-(-side // stride) for side in image_size)
    return height, width


@dataclasses.dataclass(frozen=True)
class Network:
    """A network without its variables; those that are equal share their compiled programs.

    Attributes:
        architecture: of the trunk.
        preprocessing: what it expects of pixels.
        mode: `exact` runs it as it was trained, on images that fill their shape; `auto` pads images
            to common shapes, transposes portraits, and runs it in its fastest form. What it gives
            differs by rounding.
    """

    architecture: Architecture
    preprocessing: Preprocessing
    mode: Mode = "auto"

    gives: ClassVar[Kind]
    names: ClassVar[frozenset[str]]
    """Of the arrays of a `Value`."""

    def __post_init__(self):
        if "masks" not in self._family.allows:
            object.__setattr__(self, "mode", "exact")
        output_of(self.architecture, self.gives)

    @property
    def _family(self) -> Family:
        return family_of(self.architecture)

    @property
    def output(self) -> Output:
        """How it is computed, as the network's family says."""
        return output_of(self.architecture, self.gives)

    @property
    def transposes(self) -> bool:
        """Whether a transposed image, by transposed kernels, has the transposed maps."""
        return "transposing" in self._family.allows

    @property
    def stride(self) -> int:
        """How many pixels of an image, along a side, are one position of its maps."""
        return self.output.stride(self.architecture)

    def form(self) -> dict[str, Any]:
        """Options of the family's `build` for the mode."""
        form = fast_form() if self.mode == "auto" else plain_form()
        return form if self._folds(form) else form | {"folded": False}

    def _folds(self, form: Mapping[str, Any]) -> bool:
        return form.get("folded", False) and "folding" in self._family.allows

    def prepared(self, variables: Mapping[str, Any]) -> Mapping[str, Any]:
        """The variables in the form that the mode takes; extra parts have one form."""
        if not self._folds(self.form()):
            return variables
        params = dict(variables["params"])
        extras = {name: params.pop(name) for name in self.output.extras}
        folded = fold_batch_norms({**variables, "params": params})
        return {"params": folded["params"] | extras}

    def function(self) -> Callable:
        """`(variables, uint8[b h w 3] BGR, region, inputs) -> arrays` with b first; pure."""
        return from_pixels(self.apply(), self.preprocessing)

    def apply(self) -> Callable:
        """`(variables, float32[b h w 3], region, inputs) -> arrays`."""
        return self.output.function(self.architecture, **self.form())

    def inputs(self, sizes: np.ndarray, shape: Size) -> Any:
        """What the function takes of each image besides its pixels: arrays with b first.

        Args:
            sizes: int32[b 2], of the images.
            shape: to which they are padded.
        """
        if self.output.inputs is None:
            return ()
        of_maps = -(-sizes // self.stride)
        return self.output.inputs(self.architecture, of_maps, map_size(shape, self.stride))

    def values(self, scales: Sequence[Any], parts: Sequence[Part | None]) -> list[Value | None]:
        """What the images of a batch have, None where there is none.

        Args:
            scales: what the function gave at each scale, b first.
            parts: where each image lies.
        """
        raise NotImplementedError

    def value_bytes(self, size: Size) -> int:
        """About what a photograph of this size has, in bytes."""
        raise NotImplementedError

    def settings(self) -> dict[str, Any]:
        """What decides over the values besides weights and preprocessing, as JSON has it."""
        return {"gives": self.gives, "mode": self.mode}


class GlobalNetwork(Network):
    """Unit descriptors; of several scales, the unit mean.

    Source: the authors' public inference code.
    """

    gives = "global"
    names = frozenset({"descriptor"})

    def apply(self) -> Callable:
        """Gives float32[b d] of unit length."""
        function = super().apply()
        return lambda *inputs: l2_normalise(function(*inputs))

    def values(self, scales: Sequence[Any], parts: Sequence[Part | None]) -> list[Value | None]:
        """A value is `descriptor`, float32[d]."""
        rows = np.asarray(mean_descriptors(scales))
        return [part and {"descriptor": row} for row, part in zip(rows, parts, strict=True)]

    def value_bytes(self, size: Size) -> int:
        """The same for every size."""
        return 4 * self.architecture.outputs


@jax.jit
def mean_descriptors(scales: Sequence[jax.Array]) -> jax.Array:
    """The unit means of the descriptors of images at several scales: float32[b d] each."""
    return l2_normalise(jnp.mean(jnp.stack(scales), axis=0))


class DenseNetwork(Network):
    """Maps that are compared with another image's. A value is `maps`, float32[s h w d]."""

    gives = "dense"
    names = frozenset({"maps"})

    def values(self, scales: Sequence[Any], parts: Sequence[Part | None]) -> list[Value | None]:
        """A value is `maps`, float32[s h w d]."""
        [batch] = map(np.asarray, scales)
        return [
            part and {"maps": part.cut(maps, self.stride)}
            for maps, part in zip(batch, parts, strict=True)
        ]

    def value_bytes(self, size: Size) -> int:
        """About what the maps take, in bytes."""
        height, width = map_size(size, self.stride)
        return 4 * self.output.channels(self.architecture) * height * width


@dataclasses.dataclass(frozen=True)
class LocalNetwork(Network):
    """Local features: the most active positions of a map, without attention.

    A value is what `local_features.LocalFeatures` holds.

    Attributes:
        whitening: what makes descriptors of activations; without it they are the activations.
    """

    whitening: Whitening | None = dataclasses.field(default=None, compare=False)

    gives: ClassVar[Kind] = "local"
    names: ClassVar[frozenset[str]] = frozenset(
        {"keypoints", "descriptors", "scores", "scales", "stride"}
    )

    def values(self, scales: Sequence[Any], parts: Sequence[Part | None]) -> list[Value | None]:
        """A value is what `LocalFeatures` holds."""
        [batch] = map(np.asarray, scales)
        return [
            part and self._features(part.cut(maps, self.stride), part.corner)
            for maps, part in zip(batch, parts, strict=True)
        ]

    def _features(self, maps: np.ndarray, corner: tuple[int, int]) -> Value:
        rows, columns = positions = strongest_positions(maps, KEYPOINTS).T
        activations = maps[rows, columns]
        first = self.output.first(self.architecture)
        keypoints = self.stride * positions[::-1].T + first + corner
        return {
            "keypoints": keypoints.astype(np.float32),
            "descriptors": activations if self.whitening is None else self.whitening(activations),
            "scores": np.linalg.norm(activations, axis=1),
            "scales": np.ones(len(keypoints), np.float32),
            "stride": np.array(self.stride),
        }

    def value_bytes(self, size: Size) -> int:
        """What the keypoints take that there are at most, in bytes."""
        height, width = map_size(size, self.stride)
        return 4 * min(KEYPOINTS, height * width) * (LOCAL_WIDTH + 4)

    def settings(self) -> dict[str, Any]:
        """How many keypoints there are, and how they are whitened, besides."""
        fitted = None if self.whitening is None else self.whitening.sha256
        return super().settings() | {"keypoints": KEYPOINTS, "whitening": fitted}
