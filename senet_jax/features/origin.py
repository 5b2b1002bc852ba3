"""How numbers that are kept were made: with all that they depend on but the photographs' content.

For that see `data.file_state`.
"""

import hashlib
import importlib.metadata
import json
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from senet_jax import __version__
from senet_jax.data.revisitop import Photograph
from senet_jax.system.errors import UserError, shown
from senet_jax.weights import Weights

# What was not told by origins before there was another.
_ALWAYS_BEFORE = {"precision": "float32"}
LIBRARIES = ("jax", "jaxlib", "flax", "numpy", "opencv-python-headless")


def versions() -> dict[str, str]:
    """This package and the libraries whose versions decide over the last bits of a descriptor."""
    return {"senet_jax": __version__} | {
        library: importlib.metadata.version(library) for library in LIBRARIES
    }


def origin_of_network(weights: Weights) -> dict[str, Any]:
    """What decides over the numbers that a network makes of an image, as JSON has it."""
    origin = {
        "weights": weights.sha256,
        # The same tensors make other numbers in another network or from other pixels.
        "model": weights.architecture.name,
        "architecture": weights.architecture.to_json(),
        "preprocessing": weights.preprocessing.to_json(),
        "versions": versions(),
    }
    # As it comes back from a file.
    return json.loads(json.dumps(origin))


def origin_of_features(weights: Weights, settings: Mapping[str, Any]) -> dict[str, Any]:
    """What decides over what a network gives of a photograph at full size, as JSON has it.

    Args:
        weights: of the network.
        settings: see `networks.Network.settings`.
    """
    return origin_of_network(weights) | {"scales": [1.0], **settings}


def sha256_of_list(names: Sequence[str], photographs: Sequence[Photograph]) -> str:
    """Which images, in which order, and which part of each.

    Args:
        names: what the list calls them; a file may be found under another ending later.
        photographs: one for each.
    """
    digest = hashlib.sha256()
    for name, photograph in zip(names, photographs, strict=True):
        digest.update(f"{name}\t{photograph.view}\n".encode(errors="surrogateescape"))
    return digest.hexdigest()


def check_origin(there: Mapping[str, Any], wanted: Mapping[str, Any], place: pathlib.Path) -> None:
    """Raises a `UserError` unless what stands at a place was made in the wanted way."""
    for key, before, now in _differences({**_ALWAYS_BEFORE, **there}, {**_ALWAYS_BEFORE, **wanted}):
        raise UserError(
            f"{place} was made with {key} {shown(before)}, now it is {shown(now)}; "
            f"use another workdir or remove {place.parent}"
        )


def _differences(
    there: Mapping[str, Any], wanted: Mapping[str, Any], prefix: str = ""
) -> Iterator[tuple[str, Any, Any]]:
    for key in {**there, **wanted}:
        before, now = there.get(key), wanted.get(key)
        if isinstance(before, Mapping) and isinstance(now, Mapping):
            yield from _differences(before, now, f"{prefix}{key} ")
        elif before != now:
            yield f"{prefix}{key}", before, now
