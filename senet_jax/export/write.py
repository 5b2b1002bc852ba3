"""Writes an export, after it has described what the model describes alike."""

import dataclasses
import json
import pathlib
from typing import Any

import cv2
import jax
import numpy as np

from senet_jax import __version__
from senet_jax.api import Model
from senet_jax.export.program import FREE, SMALLEST_SIDE
from senet_jax.export.targets import TARGETS, Program, Target
from senet_jax.features.networks import GlobalNetwork
from senet_jax.features.scales import scales_of
from senet_jax.models.valid_region import WHOLE
from senet_jax.system.errors import UserError
from senet_jax.system.files import atomic_folder, write_json
from senet_jax.weights import Weights, description

DESCRIPTION = "description.json"
SHAPES = ((1, 256, 192), (2, 160, 288), (3, 97, 101))
"""Batch, height and width of the images by which an export is compared."""
TIMES_ITS_OWN = 2.0
"""How far an export may be from the model, over how far the model's own two forms are apart.

Each adds up in an order of its own, and how much of that comes out is the weights' doing.
"""
ROUNDING = 100 * float(np.finfo(np.float32).eps)
"""What is allowed at least, of unit descriptors: so far two libraries in float32 may be apart."""


@dataclasses.dataclass(frozen=True)
class Comparison:
    """An export's descriptors of some images beside the model's.

    Attributes:
        shape: batch, height and width of the images.
        cosine: the smallest cosine between the two descriptors of an image.
        distance: the largest norm of their difference.
        largest_difference: the largest difference of two numbers.
        own_distance: the same as `distance`, of the model's two forms: the one that describes, and
            the one that is trained.
    """

    shape: tuple[int, int, int]
    cosine: float
    distance: float
    largest_difference: float
    own_distance: float

    @property
    def allowed(self) -> float:
        """The largest distance that is not refused."""
        return max(ROUNDING, TIMES_ITS_OWN * self.own_distance)


def write_export(folder: pathlib.Path, weights: Weights, kind: str) -> list[Comparison]:
    """Exports a network into a folder.

    Args:
        folder: where a former export is replaced.
        weights: of a network that describes.
        kind: of `TARGETS`.

    Returns:
        How the export, as it was read again from its files, compares with the model.

    Raises:
        UserError: it differs by more than is allowed, the network cannot be exported, a
            package is missing, or the folder cannot be written.
    """
    model, trained, target = Model(weights), trained_form(weights), TARGETS[kind]
    names = {DESCRIPTION, *(name for kind in TARGETS.values() for name in kind.files)}
    described = describe(weights, target)
    with atomic_folder(folder, names, "an export") as temporary:
        target.write(temporary, weights, json.dumps(described))
        compared = [compare(model, trained, target.load(temporary), shape) for shape in SHAPES]
        check(compared, kind)
        values = [dataclasses.asdict(comparison) for comparison in compared]
        write_json(temporary / DESCRIPTION, described | {"compared_with_the_model": values})
    return compared


def describe(weights: Weights, target: Target) -> dict[str, Any]:
    """What has to be known to use an export, and where its weights are from, as JSON has it."""
    return {
        "file": target.files[0],
        "input": {
            "name": "images",
            "type": "uint8",
            "shape": [*FREE, 3],
            "channels": "RGB",
            "range": [0, 255],
            "smallest_side": SMALLEST_SIDE,
            "pixels": "as an image file is decoded, upright as its EXIF orientation says; the "
            "program normalises them itself, as `weights.preprocessing` says",
        },
        "output": {
            "name": "descriptors",
            "type": "float32",
            "shape": [FREE[0], weights.architecture.outputs],
            "unit_length": True,
        },
        "evaluation": {
            "query": "cut to its box before any resizing",
            "scales": list(scales_of(weights.architecture)),
            "resizing": "of uint8 pixels by cv2.resize(image, None, fx=scale, fy=scale): "
            "INTER_AREA below 1, INTER_LINEAR above 1, nothing at 1",
            "pooling": "the mean of the descriptors of all scales, brought to unit length",
            "similarity": "the dot product",
        },
        "weights": description(weights)
        | {"sha256": weights.sha256, "random": weights.random, "note": weights.note},
        "made_by": f"senet_jax {__version__}",
    }


def trained_form(weights: Weights) -> Program:
    """The network as it is trained, which gives the descriptors of images that fill their shape."""
    network = GlobalNetwork(weights.architecture, weights.preprocessing, "exact")
    function, variables = jax.jit(network.function()), network.prepared(weights.variables())
    return lambda images: np.asarray(function(variables, images[..., ::-1], WHOLE, ()))


def compare(
    model: Model, trained: Program, program: Program, shape: tuple[int, int, int]
) -> Comparison:
    """Describes images by a model, by the form that is trained, and by an export."""
    images = pictures(*shape)
    ours = model.describe(images, scales=[1.0]).astype(np.float64)
    theirs = program(images).astype(np.float64)
    if theirs.shape != ours.shape:
        raise UserError(
            f"the export gives {list(theirs.shape)} numbers in place of {list(ours.shape)}; "
            "nothing was written"
        )
    norms = np.linalg.norm(ours, axis=1) * np.linalg.norm(theirs, axis=1)
    return Comparison(
        shape,
        cosine=float(((ours * theirs).sum(axis=1) / norms).min()),
        distance=_distance(ours, theirs),
        largest_difference=float(np.abs(ours - theirs).max()),
        own_distance=_distance(ours, trained(images)),
    )


def _distance(some: np.ndarray, others: np.ndarray) -> float:
    return float(np.linalg.norm(some - others, axis=1).max())


def check(compared: list[Comparison], kind: str) -> None:
    """Raises a `UserError` if an export is too far from its model anywhere."""
    for found in compared:
        if not found.distance <= found.allowed:
            size = "x".join(map(str, found.shape))
            raise UserError(
                f"the export to {kind} has a distance of {found.distance:.2g} from the model on "
                f"images of {size}, and {found.allowed:.2g} is allowed; nothing was written, try "
                "another --to"
            )


def pictures(count: int, height: int, width: int) -> np.ndarray:
    """Images with coarse and fine structure, always the same: uint8[b h w 3]."""
    random = np.random.default_rng((count, height, width))
    coarse = random.integers(0, 256, (count, 9, 9, 3), np.uint8)
    smooth = [cv2.resize(image, (width, height), interpolation=cv2.INTER_CUBIC) for image in coarse]
    noise = random.integers(-12, 13, (count, height, width, 3))
    return np.clip(np.stack(smooth) + noise, 0, 255).astype(np.uint8)
