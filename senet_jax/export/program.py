"""A network as one program that describes images of any size, from the pixels on."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jax import export

from senet_jax.features.networks import GlobalNetwork
from senet_jax.models.valid_region import WHOLE
from senet_jax.weights import Weights

FREE = ("batch", "height", "width")
SMALLEST_SIDE = 32
"""Of the images: below it not all networks have a position left."""


@dataclasses.dataclass(frozen=True)
class ExportedNetwork(GlobalNetwork):
    """A network in the form that other compilers make the best of: plain layers, norms folded."""

    def form(self) -> dict[str, Any]:
        """Options of the family's `build`."""
        return {"folded": "folding" in self._family.allows, "grouped": True}


def program_of(weights: Weights) -> Callable[[jax.Array], jax.Array]:
    """The function from uint8[b h w 3] RGB to descriptors float32[b d] of unit length.

    Raises:
        UserError: the network describes nothing.
    """
    network = ExportedNetwork(weights.architecture, weights.preprocessing)
    variables = network.prepared(weights.variables())
    function = network.function()
    return lambda images: function(variables, images[..., ::-1], WHOLE, ())


def free_images() -> jax.ShapeDtypeStruct:
    """Images of which nothing is known but that they have three channels, and some pixels."""
    constraints = [f"{side} >= {SMALLEST_SIDE}" for side in FREE[1:]]
    sizes = export.symbolic_shape(", ".join(FREE), constraints=constraints)
    return jax.ShapeDtypeStruct((*sizes, 3), jnp.uint8)


def exported(weights: Weights, platforms: Sequence[str]) -> export.Exported:
    """The program of a network for some platforms."""
    return export.export(jax.jit(program_of(weights)), platforms=platforms)(free_images())


def traced(weights: Weights) -> Any:
    """The operations of a network's program, a `jax.extend.core.ClosedJaxpr`."""
    return jax.make_jaxpr(program_of(weights))(free_images())
