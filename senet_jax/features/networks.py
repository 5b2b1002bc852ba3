"""What networks give of images: the one place that says how each kind of output is computed.

- `global`: a descriptor of unit length, the mean over the scales;
- `dense`: the maps that a pairwise re-ranker compares, here those of CVNet-Rerank;
- `local`: keypoints with a descriptor each, here the most active positions after stage 3.

A network is a pure function of variables and pixels for the devices, and a function of NumPy arrays
that takes one image's part out of what a batch gave. It holds no variables.
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp
import numpy as np

from senet_jax.data.transforms import Preprocessing, normalise
from senet_jax.features.local_features import Whitening, strongest_positions
from senet_jax.features.plan import Mode
from senet_jax.models.architecture import Architecture
from senet_jax.models.cvnet import (
    SCALES,
    WIDTH,
    Reranker,
    Resizing,
    resizings,
    stage3_before_relu,
    stage3_stride,
)
from senet_jax.models.inference import fold_batch_norms
from senet_jax.models.layers import l2_normalise
from senet_jax.models.senet import build_model
from senet_jax.models.valid_region import ValidRegion

# Positions of R50 have 50 KB of self-similarities each.
POSITIONS_AT_ONCE = 4096
# Of each photograph; 500 of 128 numbers are 256 KB.
KEYPOINTS, LOCAL_WIDTH = 500, 128

Gives = Literal["global", "dense", "local"]
Size = tuple[int, int]
Value = dict[str, np.ndarray]
"""What a network gives of one photograph: arrays by name."""


def plain_form() -> dict[str, Any]:
    """Options of `build_model` for networks that describe as they were trained.

    XLA is known to compile blocks badly on CPUs alone; see `models.resnet.Stage`.
    """
    return {"blocks_apart": jax.default_backend() == "cpu"}


def fast_form() -> dict[str, Any]:
    """Options of `build_model` for networks that describe on these devices, see `in_fast_form`.

    On a GPU norms cost less than the biases that they are folded to; Winograd's algorithm saves a
    fifth of the time, and five times as long goes into compiling.
    """
    on_cpu = jax.default_backend() == "cpu"
    return plain_form() | {
        "positions_at_once": POSITIONS_AT_ONCE,
        **dict.fromkeys(("folded", "fast_blocks", "fast_offsets"), on_cpu),
    }


def in_fast_form(variables: Mapping[str, Any]) -> Mapping[str, Any]:
    """The variables that a network takes in `fast_form`."""
    return fold_batch_norms(variables) if fast_form()["folded"] else variables


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

    gives: ClassVar[Gives]
    names: ClassVar[frozenset[str]]
    """Of the arrays of a `Value`."""
    transposes: ClassVar[bool] = True
    """Whether a transposed image, by transposed kernels, has the transposed maps."""

    @property
    def stride(self) -> int:
        """How many pixels, along a side, lie between neighbouring positions after stage 3."""
        return stage3_stride(self.architecture)

    def prepared(self, variables: Mapping[str, Any]) -> Mapping[str, Any]:
        """The variables in the form that the mode takes."""
        return in_fast_form(variables) if self.mode == "auto" else variables

    def function(self) -> Callable:
        """`(variables, uint8[b h w 3] BGR, region, inputs) -> arrays` with b first; pure."""
        return from_pixels(self.apply(self.model()), self.preprocessing)

    def model(self) -> Any:
        """The Flax module in the form that the mode takes."""
        form = fast_form() if self.mode == "auto" else plain_form()
        return build_model(self.architecture, **form)

    def apply(self, model: Any) -> Callable:
        """`(variables, float32[b h w 3], region, inputs) -> arrays`."""
        raise NotImplementedError

    def inputs(self, sizes: np.ndarray, shape: Size) -> Any:
        """What the function takes of each image besides its pixels: arrays with b first.

        Args:
            sizes: int32[b 2], of the images.
            shape: to which they are padded.
        """
        return ()

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

    def apply(self, model: Any) -> Callable:
        """Gives float32[b d] of unit length."""

        def descriptors(
            variables: Any, images: jax.Array, region: ValidRegion, inputs: Any
        ) -> jax.Array:
            return l2_normalise(model.apply(variables, images, region)[0])

        return descriptors

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
    """CVNet's maps: the trunk, and the first layers of the re-ranker.

    Its variables are `trunk` and `reranker`. A value is `maps`, float32[s h w d].
    """

    gives = "dense"
    names = frozenset({"maps"})

    def prepared(self, variables: Mapping[str, Any]) -> Mapping[str, Any]:
        """The trunk in the form that the mode takes; the re-ranker has one form."""
        return {**variables, "trunk": super().prepared(variables["trunk"])}

    def apply(self, model: Any) -> Callable:
        """Gives float32[b s h w d]; `inputs` are the resizings of each image."""

        def maps(
            variables: Mapping[str, Any],
            images: jax.Array,
            region: ValidRegion,
            to_scales: tuple[Resizing, ...],
        ) -> jax.Array:
            stage3 = stage3_before_relu(model, variables["trunk"], images, region)

            def of_image(stage3: jax.Array, to_scales: tuple[Resizing, ...]) -> jax.Array:
                params = {"params": variables["reranker"]}
                return Reranker().apply(params, stage3[None], to_scales, method="maps")[0]

            return jax.vmap(of_image)(stage3, to_scales)

        return maps

    def inputs(self, sizes: np.ndarray, shape: Size) -> tuple[Resizing, ...]:
        """The resizings of each image's map, see `models.cvnet.resizings`."""
        whole = map_size(shape, self.stride)
        each = [resizings(map_size(tuple(size), self.stride), whole) for size in sizes.tolist()]
        return jax.tree.map(lambda *matrices: np.stack(matrices), *each)

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
        return 4 * len(SCALES) * WIDTH * height * width


@dataclasses.dataclass(frozen=True)
class LocalNetwork(Network):
    """Local features: the most active positions after stage 3, without attention.

    A value is what `local_features.LocalFeatures` holds.

    Attributes:
        whitening: what makes descriptors of activations; without it they are the activations.
    """

    whitening: Whitening | None = dataclasses.field(default=None, compare=False)

    gives: ClassVar[Gives] = "local"
    names: ClassVar[frozenset[str]] = frozenset(
        {"keypoints", "descriptors", "scores", "scales", "stride"}
    )

    def apply(self, model: Any) -> Callable:
        """Gives the maps after stage 3, float32[b h w c]."""

        def stage3(
            variables: Any, images: jax.Array, region: ValidRegion, inputs: Any
        ) -> jax.Array:
            return model.apply(variables, images, region)[1]["s3"]

        return stage3

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
        # Position j looks at the pixel `stride * j`: convolutions are padded by half of their size.
        keypoints = self.stride * positions[::-1].T + corner
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


NETWORKS: Mapping[Gives, type[Network]] = {
    network.gives: network for network in (GlobalNetwork, DenseNetwork, LocalNetwork)
}
