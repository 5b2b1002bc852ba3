"""The maps of images for CVNet-Rerank: each image's computed once, and kept on disk."""

import hashlib
import json
import os
import pathlib
from typing import Any, Literal

import jax
import numpy as np

from senet_jax.data.file_state import content_digest
from senet_jax.data.revisitop import Photograph
from senet_jax.data.transforms import UnreadableImage
from senet_jax.features.origin import origin_of_network
from senet_jax.features.reader import read_pyramid
from senet_jax.features.runner import fast_form, from_pixels, in_fast_form
from senet_jax.models.cvnet import (
    SCALES,
    WIDTH,
    Reranker,
    Resizing,
    reranker_params,
    resizings,
    stage3_before_relu,
)
from senet_jax.models.families.cvnet import RERANKER
from senet_jax.models.registry import build_model
from senet_jax.models.valid_region import ValidRegion
from senet_jax.system.checksummed import load_arrays, save_arrays
from senet_jax.weights import Weights

# Images are padded to multiples, so that few programs are compiled.
SIDE_MULTIPLE = 64

Size = tuple[int, int]


def map_size(image_size: Size, stride: int) -> Size:
    """Height and width of the map of an image, of a layer with so many pixels to a position."""
    height, width = (-(-side // stride) for side in image_size)
    return height, width


def padded_to_program(image: np.ndarray) -> tuple[np.ndarray, ValidRegion]:
    """An image as a batch of its own, in a shape that it shares with others, and where it is.

    uint8[h w 3] -> uint8[1 h' w' 3].
    """
    room = [(0, -side % SIDE_MULTIPLE) for side in image.shape[:2]]
    padded = np.pad(image, (*room, (0, 0)))[None]
    return padded, ValidRegion(np.array([image.shape[:2]], np.int32))


class MapNetwork:
    """From an image to its maps: the trunk of CVNet, and the first layers of its re-ranker.

    Args:
        weights: of CVNet, saved, with a re-ranker.

    Attributes:
        key: which network it is, a SHA-256 of its origin.
        reranker: the parameters of the re-ranker, on the device.

    Raises:
        UserError: the weights have no re-ranker.
    """

    def __init__(self, weights: Weights):
        architecture, preprocessing = weights.architecture, weights.preprocessing
        model = build_model(architecture, **fast_form())
        self.key = hashlib.sha256(json.dumps(origin_of_network(weights)).encode()).hexdigest()
        self._stride = architecture.stride(3)
        self.reranker = jax.device_put(reranker_params(weights.variables([RERANKER])))
        self._trunk = jax.device_put(in_fast_form(weights.variables()))

        def maps(
            variables: tuple[Any, Any],
            pixels: jax.Array,
            region: ValidRegion,
            to_scales: tuple[Resizing, ...],
        ) -> jax.Array:
            trunk, reranker = variables
            stage3 = stage3_before_relu(model, trunk, pixels, region)
            return Reranker().apply({"params": reranker}, stage3, to_scales, method="maps")

        self._network = jax.jit(from_pixels(maps, preprocessing))

    def map_size(self, image_size: Size) -> Size:
        """Height and width of the maps of an image."""
        return map_size(image_size, self._stride)

    def __call__(self, image: np.ndarray) -> np.ndarray:
        """uint8[h w 3] BGR -> float32[s h' w' d]."""
        padded, region = padded_to_program(image)
        height, width = size = self.map_size(image.shape[:2])
        to_scales = resizings(size, self.map_size(padded.shape[1:3]))
        maps = self._network((self._trunk, self.reranker), padded, region, to_scales)
        return np.asarray(maps)[0, :, :height, :width]


class MapCache:
    """Maps of photographs in a folder that does not outgrow its limit.

    A photograph is known by the bytes of its file and its box, so a file that is changed has other
    maps. Where there is no room, the maps that were not used for the longest time are removed; a
    broken file is made again.

    Args:
        network: what makes the maps.
        folder: where they are kept; other networks may keep theirs there as well.
        limit_bytes: how large the maps in the folder may be together.
        dtype: in which they are kept; float16 takes half of the room and of the digits.

    Attributes:
        network: likewise.
        folder: likewise.
        limit_bytes: likewise.
    """

    def __init__(
        self,
        network: MapNetwork,
        folder: str | os.PathLike,
        limit_bytes: int,
        dtype: Literal["float32", "float16"] = "float32",
    ):
        self.network, self.folder = network, pathlib.Path(folder)
        self.limit_bytes, self._dtype = limit_bytes, np.dtype(dtype)
        self._keys: dict[Photograph, str] = {}
        files = [(path, path.stat()) for path in self.folder.glob("*.npz")]
        files.sort(key=lambda file: file[1].st_mtime_ns)
        # The least recently used first.
        self._bytes_of = {path: status.st_size for path, status in files}

    def bytes_of_maps(self, map_size: Size) -> int:
        """What the maps of an image take on disk."""
        return len(SCALES) * WIDTH * map_size[0] * map_size[1] * self._dtype.itemsize

    def key(self, photograph: Photograph) -> str:
        """Which maps they are, a SHA-256: of the network, the file, the box, and the type.

        Raises:
            UnreadableImage: the file cannot be read.
        """
        if photograph not in self._keys:
            try:
                content = content_digest(photograph.path).hex()
            except OSError as error:
                raise UnreadableImage(
                    f"cannot read the image {photograph.path}: {error.strerror}; check the file"
                ) from error
            parts = [self.network.key, content, photograph.box, self._dtype.name]
            self._keys[photograph] = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
        return self._keys[photograph]

    def __contains__(self, photograph: Photograph) -> bool:
        """Whether the maps are there already."""
        return self._path(photograph) in self._bytes_of

    def __getitem__(self, photograph: Photograph) -> np.ndarray:
        """The maps of a photograph: float32[s h w d].

        Raises:
            UnreadableImage: the photograph cannot be read.
            UserError: its box is not in the image, or the folder cannot be written.
        """
        path = self._path(photograph)
        maps = _read(path)
        if maps is None:
            maps = self.make(photograph)
        else:
            os.utime(path)
            self._bytes_of[path] = self._bytes_of.pop(path, path.stat().st_size)
        return maps.astype(np.float32)

    def make(self, photograph: Photograph) -> np.ndarray:
        """Computes and keeps the maps of a photograph; returns them as they are kept.

        Raises:
            UnreadableImage: the photograph cannot be read.
            UserError: its box is not in the image, or the folder cannot be written.
        """
        [image] = read_pyramid(photograph, [1.0])
        maps = self.network(image).astype(self._dtype)
        path = self._path(photograph)
        save_arrays(path, maps=maps)
        self._bytes_of.pop(path, None)
        self._bytes_of[path] = path.stat().st_size
        while sum(self._bytes_of.values()) > self.limit_bytes:
            oldest = next(iter(self._bytes_of))
            oldest.unlink(missing_ok=True)
            del self._bytes_of[oldest]
        return maps

    def _path(self, photograph: Photograph) -> pathlib.Path:
        return self.folder / f"{self.key(photograph)}.npz"


def _read(path: pathlib.Path) -> np.ndarray | None:
    """The maps in a file; None if it is not there, or broken."""
    try:
        maps = load_arrays(path)["maps"]
    except (ValueError, KeyError):
        return None
    is_whole = maps.ndim == 4 and (maps.shape[0], maps.shape[3]) == (len(SCALES), WIDTH)
    return maps if is_whole else None
