"""A network on all devices of a process, for batches of images."""

import copy
import functools
from collections.abc import Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from senet_jax.features.networks import GlobalNetwork, Network, Part, Value
from senet_jax.features.plan import Mode
from senet_jax.models.architecture import Architecture
from senet_jax.models.inference import transpose
from senet_jax.models.preprocessing import Preprocessing
from senet_jax.models.valid_region import WHOLE, ValidRegion
from senet_jax.system.runtime import cpu_compiler_options
from senet_jax.weights import Weights

# A program of R50 takes 210 of the 65,530 mappings that Linux gives a process, and XLA ends the
# process when there are no more. In mode `exact` every shape has one.
PROGRAMS_KEPT = 100
SPREAD, EVERYWHERE = PartitionSpec("images"), PartitionSpec()


@functools.cache
def _compiled(network: Network, mesh: Mesh, options: tuple[tuple[str, str], ...]) -> Any:
    """The compiled function of a network.

    Every device runs the program that a single one would run on its share, and so gives the same to
    the bit; only that on CPUs the number of threads, by which products of matrices are split, has
    to be the same.
    """
    function = jax.shard_map(
        network.function(),
        mesh=mesh,
        in_specs=(EVERYWHERE, SPREAD, SPREAD, SPREAD),
        out_specs=SPREAD,
    )
    return jax.jit(function, compiler_options=dict(options))


class Runner:
    """A network with its variables on all devices of this process.

    Args:
        network: what is run.
        variables: as they were trained.
        compiler_options: of its programs, see `jax.jit`.

    Attributes:
        network: the network.
        variables: in the form that it takes, on all devices.
        devices: how many batches it takes together, one on each device.
    """

    def __init__(
        self,
        network: Network,
        variables: Mapping[str, Any],
        compiler_options: Mapping[str, str] | None = None,
    ):
        mesh = Mesh(np.array(jax.local_devices()), "images")
        self._spread = NamedSharding(mesh, SPREAD)
        everywhere = NamedSharding(mesh, EVERYWHERE)
        variables = network.prepared(variables)
        if network.mode == "auto" and network.transposes:
            self._transposed = jax.device_put(transpose(variables), everywhere)
        self.variables = jax.device_put(variables, everywhere)
        self._function = _compiled(network, mesh, tuple((compiler_options or {}).items()))
        self._programs: set[tuple[int, ...]] = set()
        self.network, self.devices = network, mesh.size

    @property
    def mode(self) -> Mode:
        """See `Network`."""
        return self.network.mode

    @property
    def transposes(self) -> bool:
        """See `Network`."""
        return self.network.transposes

    def with_network(self, network: Network) -> "Runner":
        """The same variables and programs, for an equal network that makes other values of them."""
        other = copy.copy(self)
        other.network = network
        return other

    def __call__(
        self, images: np.ndarray, sizes: np.ndarray | None = None, *, transposed: bool = False
    ) -> Any:
        """What the network makes of images at one scale.

        Args:
            images: uint8[b h w 3] BGR with zeros around what is image; `devices` divides b.
            sizes: int32[b 2], the upper left part of each that is image; None for all of it.
            transposed: whether the images are transposed; not for `exact`.

        Returns:
            Arrays with b first; for a `GlobalNetwork` float32[b d] of unit length.
        """
        if images.shape not in self._programs:
            if len(self._programs) >= PROGRAMS_KEPT:
                self._function.clear_cache()
                self._programs.clear()
            self._programs.add(images.shape)
        put = functools.partial(jax.device_put, device=self._spread)
        whole = images.shape[1], images.shape[2]
        filled = np.tile(np.array(whole, np.int32), (len(images), 1)) if sizes is None else sizes
        inputs = jax.tree.map(put, self.network.inputs(filled, whole))
        region = WHOLE if sizes is None else ValidRegion(put(sizes))
        variables = self._transposed if transposed else self.variables
        return self._function(variables, put(images), region, inputs)

    def values(self, scales: Sequence[Any], parts: Sequence[Part | None]) -> list[Value | None]:
        """See `Network.values`."""
        return self.network.values(scales, parts)


class Describer(Runner):
    """A network that describes images, on all devices of this process.

    Args:
        architecture: of a network that describes.
        preprocessing: what it expects.
        variables: its `params` and `batch_stats`.
        mode: see `Network`.
        compiler_options: see `Runner`.

    Attributes:
        width: of a descriptor.
    """

    def __init__(
        self,
        architecture: Architecture,
        preprocessing: Preprocessing,
        variables: Mapping[str, Any],
        mode: Mode = "auto",
        compiler_options: Mapping[str, str] | None = None,
    ):
        network = GlobalNetwork(architecture, preprocessing, mode)
        super().__init__(network, variables, compiler_options)
        self.width = architecture.outputs

    @classmethod
    def of(cls, weights: Weights, mode: Mode = "auto") -> "Describer":
        """The network of a weights folder."""
        options = cpu_compiler_options()
        return cls(weights.architecture, weights.preprocessing, weights.variables(), mode, options)
