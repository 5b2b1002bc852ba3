"""A network on all devices of a process, for batches of images."""

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from senet_jax.features.plan import Mode
from senet_jax.models.architecture import Architecture
from senet_jax.models.inference import fold_batch_norms, turn
from senet_jax.models.layers import l2_normalise
from senet_jax.models.preprocessing import Preprocessing, normalise
from senet_jax.models.registry import build_model
from senet_jax.models.valid_region import WHOLE, ValidRegion
from senet_jax.weights import Weights

# Positions of R50 have 50 KB of self-similarities each.
POSITIONS_AT_ONCE = 4096
# A program of R50 takes 210 of the 65,530 mappings that Linux gives a process, and XLA ends the
# process when there are no more. In mode `exact` every shape has one.
PROGRAMS_KEPT = 100
SPREAD, EVERYWHERE = PartitionSpec("images"), PartitionSpec()


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


@functools.cache
def _network(
    architecture: Architecture, preprocessing: Preprocessing, mode: Mode, mesh: Mesh
) -> Callable:
    """The compiled function from variables and pixels to descriptors of unit length.

    Variables, uint8[b h w 3] BGR and what of it is image -> float32[b d]. Every device runs the
    program that a single one would run on its share, and so gives the same to the bit; only that
    on CPUs the number of threads, by which products of matrices are split, has to be the same.
    """
    model = build_model(architecture, **(fast_form() if mode == "auto" else plain_form()))

    def descriptors(*inputs: Any) -> jax.Array:
        return l2_normalise(model.apply(*inputs)[0])

    network = jax.shard_map(
        from_pixels(descriptors, preprocessing),
        mesh=mesh,
        in_specs=(EVERYWHERE, SPREAD, SPREAD),
        out_specs=SPREAD,
    )
    return jax.jit(network)


class Describer:
    """A network on all devices of this process, which describes batches of images.

    Args:
        architecture: of a network that describes.
        preprocessing: what it expects.
        variables: its `params` and `batch_stats`.
        mode: `exact` runs the network as it was trained, on images that fill their shape; `auto`
            pads images to common shapes, turns portraits to landscapes, and runs the network in
            its fastest form. Descriptors differ by rounding.

    Attributes:
        mode: likewise.
        width: of a descriptor.
        lanes: how many batches are described at once, one by each device.
    """

    def __init__(
        self,
        architecture: Architecture,
        preprocessing: Preprocessing,
        variables: Mapping[str, Any],
        mode: Mode = "auto",
    ):
        mesh = Mesh(np.array(jax.local_devices()), "images")
        self._spread = NamedSharding(mesh, SPREAD)
        everywhere = NamedSharding(mesh, EVERYWHERE)
        if mode == "auto":
            variables = in_fast_form(variables)
            self._turned = jax.device_put(turn(variables), everywhere)
        self._variables = jax.device_put(variables, everywhere)
        self._network = _network(architecture, preprocessing, mode, mesh)
        self._programs: set[tuple[int, ...]] = set()
        self.mode, self.width, self.lanes = mode, architecture.outputs, mesh.size

    @classmethod
    def of(cls, weights: Weights, mode: Mode = "auto") -> "Describer":
        """The network of a weights folder."""
        return cls(weights.architecture, weights.preprocessing, weights.variables(), mode)

    def __call__(
        self, images: np.ndarray, sizes: np.ndarray | None = None, *, turned: bool = False
    ) -> jax.Array:
        """Descriptors of unit length.

        Args:
            images: uint8[b h w 3] BGR with zeros around what is image; `lanes` divides b.
            sizes: int32[b 2], the upper left part of each that is image; None for all of it.
            turned: whether the images are transposed; not for `exact`.

        Returns:
            float32[b d].
        """
        if images.shape not in self._programs:
            if len(self._programs) >= PROGRAMS_KEPT:
                self._network.clear_cache()
                self._programs.clear()
            self._programs.add(images.shape)
        put = functools.partial(jax.device_put, device=self._spread)
        region = WHOLE if sizes is None else ValidRegion(put(sizes))
        return self._network(self._turned if turned else self._variables, put(images), region)


@jax.jit
def mean_descriptors(scales: Sequence[jax.Array]) -> jax.Array:
    """The unit means of the descriptors of images at several scales: float32[b d] each."""
    return l2_normalise(jnp.mean(jnp.stack(scales), axis=0))
