"""A network on all devices of a process, for batches of images."""

import concurrent.futures
import contextlib
import copy
import dataclasses
import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from senet_jax.features.networks import GlobalNetwork, Network, Part, Value
from senet_jax.features.plan import Mode
from senet_jax.features.precision import Precision, check_precision
from senet_jax.models.architecture import Architecture
from senet_jax.models.inference import transpose
from senet_jax.models.preprocessing import Preprocessing
from senet_jax.models.valid_region import WHOLE, ValidRegion
from senet_jax.system.runtime import cpu_compiler_options
from senet_jax.weights import Weights

# A program of R50 takes 210 of the 65,530 mappings that Linux gives a process, and XLA ends the
# process when there are no more. In mode `exact` every shape has one.
PROGRAMS_KEPT = 100
COMPILED_AT_ONCE = 8
SPREAD, EVERYWHERE = PartitionSpec("images"), PartitionSpec()


@dataclasses.dataclass(frozen=True, eq=False)
class Programs:
    """What is compiled of a network.

    Attributes:
        function: compiles for each shape when it is called with the first of it.
        ahead: the programs that are compiled before, or are to be, by the shape of their images.
    """

    function: Any
    ahead: dict[tuple[int, ...], concurrent.futures.Future] = dataclasses.field(
        default_factory=dict
    )

    def of_shape(self, shape: tuple[int, ...]) -> Any:
        """What takes images of a shape; waits for a program that is being compiled.

        Where that failed, as it may beside others for want of memory, it is compiled once more.
        """
        program = self.ahead.get(shape)
        try:
            return self.function if program is None else program.result()
        except (concurrent.futures.CancelledError, jax.errors.JaxRuntimeError):
            return self.function


@functools.cache
def _compiled(network: Network, mesh: Mesh, options: tuple[tuple[str, str], ...]) -> Programs:
    """The programs of a network.

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
    return Programs(jax.jit(function, compiler_options=dict(options)))


class Runner:
    """A network with its variables on all devices of this process.

    Args:
        network: what is run.
        variables: as they were trained.
        compiler_options: of its programs, see `jax.jit`.

    Raises:
        UserError: the devices do not have the network's precision.

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
        check_precision(network.precision)
        mesh = Mesh(np.array(jax.local_devices()), "images")
        self._spread = NamedSharding(mesh, SPREAD)
        everywhere = NamedSharding(mesh, EVERYWHERE)
        variables = network.prepared(variables)
        if network.mode == "auto" and network.transposes:
            self._transposed = jax.device_put(transpose(variables), everywhere)
        self.variables = jax.device_put(variables, everywhere)
        self._compiled = _compiled(network, mesh, tuple((compiler_options or {}).items()))
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
                self._compiled.function.clear_cache()
                self._programs.clear()
            self._programs.add(images.shape)
        put = functools.partial(jax.device_put, device=self._spread)
        inputs = jax.tree.map(put, self._inputs(images.shape, sizes))
        region = WHOLE if sizes is None else ValidRegion(put(sizes))
        variables = self._transposed if transposed else self.variables
        function = self._compiled.of_shape(images.shape)
        return function(variables, put(images), region, inputs)

    def _inputs(self, shape: tuple[int, ...], sizes: np.ndarray | None) -> Any:
        """See `Network.inputs`; without sizes, of images that fill the shape, [b h w 3]."""
        whole = shape[1], shape[2]
        filled = np.tile(np.array(whole, np.int32), (shape[0], 1)) if sizes is None else sizes
        return self.network.inputs(filled, whole)

    @contextlib.contextmanager
    def compiling_ahead(self, shapes: Iterable[tuple[int, int, int]]) -> Iterator[None]:
        """Compiles programs in threads while something else is done; not for `exact`.

        What has not begun when that ends is not compiled.

        Args:
            shapes: b, h and w of images, in the order in which they are needed.
        """
        ahead = self._compiled.ahead
        pool = concurrent.futures.ThreadPoolExecutor(COMPILED_AT_ONCE, "compile")
        try:
            for shape in ((*shape, 3) for shape in shapes):
                if shape not in ahead or ahead[shape].cancelled():
                    ahead[shape] = pool.submit(self._compile, shape)
            yield
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def _compile(self, shape: tuple[int, ...]) -> Any:
        def like(array: Any) -> jax.ShapeDtypeStruct:
            return jax.ShapeDtypeStruct(array.shape, array.dtype, sharding=self._spread)

        images = jax.ShapeDtypeStruct(shape, np.uint8, sharding=self._spread)
        sizes: Any = jax.ShapeDtypeStruct((shape[0], 2), np.int32, sharding=self._spread)
        inputs = jax.tree.map(like, self._inputs(shape, None))
        lowered = self._compiled.function.lower(self.variables, images, ValidRegion(sizes), inputs)
        return lowered.compile()

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
        precision: see `Network`.
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
        precision: Precision = "float32",
        compiler_options: Mapping[str, str] | None = None,
    ):
        network = GlobalNetwork(architecture, preprocessing, mode, precision)
        super().__init__(network, variables, compiler_options)
        self.width = architecture.outputs

    @classmethod
    def of(
        cls, weights: Weights, mode: Mode = "auto", precision: Precision = "float32"
    ) -> "Describer":
        """The network of a weights folder."""
        network = weights.architecture, weights.preprocessing, weights.variables()
        return cls(*network, mode, precision, cpu_compiler_options())
