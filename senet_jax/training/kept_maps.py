"""The maps of a trunk that is not trained, of views of photographs, made once and kept."""

import dataclasses
import hashlib
import json
import pathlib
from typing import Any

import jax
import numpy as np

from senet_jax.data.augment import Augmentation, augment
from senet_jax.data.image_source import ImageSource
from senet_jax.data.transforms import decode
from senet_jax.models.preprocessing import Preprocessing, normalise
from senet_jax.models.registry import build_model
from senet_jax.system.checksummed import load_arrays, save_arrays
from senet_jax.system.errors import UserError, printable
from senet_jax.system.progress import Progress
from senet_jax.system.threads import in_order
from senet_jax.training.head_settings import MapSettings
from senet_jax.weights import Weights

_IMAGES_AT_ONCE = 8
_READ_AHEAD = 2


def kept_maps(
    source: ImageSource, weights: Weights, name: str, settings: MapSettings
) -> np.ndarray:
    """The maps of all views of all photographs, from the folder if they are there.

    The file is named after all that they depend on. One that is broken is made again.

    Args:
        source: the photographs.
        weights: of a network with the trunk.
        name: of the maps.
        settings: of the views.

    Returns:
        float16[n v h w c].

    Raises:
        UserError: a photograph cannot be read, or the file cannot be written.
    """
    contents = [hashlib.sha256(source.read(index)).hexdigest() for index in range(len(source.keys))]
    views = dataclasses.replace(settings, images="", maps="")
    origin = [source.sha256, contents, weights.sha256, name, dataclasses.asdict(views)]
    file_name = hashlib.sha256(json.dumps(origin).encode()).hexdigest()[:16]
    path = pathlib.Path(settings.maps, f"{file_name}.npz")
    if path.exists():
        try:
            return load_arrays(path)["maps"]
        except (ValueError, KeyError):
            print(f"{path} is broken, and made again", flush=True)
    maps = _maps(source, weights, name, settings)
    save_arrays(path, maps=maps)
    return maps


def _maps(source: ImageSource, weights: Weights, name: str, settings: MapSettings) -> np.ndarray:
    model, variables = build_model(weights.architecture), weights.variables()
    trunk = jax.jit(lambda pixels: model.apply(variables, pixels)[1][name])
    count = len(source.keys)
    progress = Progress("maps of the trunk", count, "photographs")
    kept: np.ndarray | None = None

    def read(index: int) -> np.ndarray:
        return views_of(source, index, weights.preprocessing, settings)

    pixels = in_order(read, range(count), _READ_AHEAD)
    for first in range(0, count, _IMAGES_AT_ONCE):
        some = [next(pixels) for _ in range(min(_IMAGES_AT_ONCE, count - first))]
        # The last ones fill their program with views of the first.
        filled = np.stack([*some, *[some[0]] * (_IMAGES_AT_ONCE - len(some))])
        found = np.asarray(trunk(filled.reshape(-1, *filled.shape[2:])), np.float16)
        found = found.reshape(*filled.shape[:2], *found.shape[1:])
        if kept is None:
            kept = np.zeros((count, *found.shape[1:]), np.float16)
        kept[first : first + len(some)] = found[: len(some)]
        progress.advance(len(some))
    assert kept is not None
    return kept


def views_of(
    source: ImageSource, index: int, preprocessing: Preprocessing, settings: MapSettings
) -> np.ndarray:
    """The views of a photograph, the same ones whenever they are asked for.

    Returns:
        float32[v side side 3], normalised; the first is all of the photograph.

    Raises:
        UserError: the photograph cannot be read.
    """
    try:
        image = decode(source.read(index))
    except (OSError, UserError) as error:
        name = printable(source.keys[index])
        raise UserError(f"{name} cannot be read: {error}; remove it or get it again") from error
    shape = image.shape[1] / image.shape[0]
    whole: dict[str, Any] = {"area": (1.0, 1.0), "aspect": (shape, shape), "lighting_sigma": 0.0}
    changes = [Augmentation(settings.side, flip=False, **whole)]
    changes += [Augmentation(settings.side, area=(settings.smallest_area, 1.0))] * (
        settings.views - 1
    )
    rng = np.random.default_rng((0, index))
    views = [augment(image, rng, each) for each in changes]
    return np.stack([normalise(pixels, preprocessing, light) for pixels, light in views])
