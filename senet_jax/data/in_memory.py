"""Images as a caller of the library has them: pixels in memory, or paths of files."""

import dataclasses
import os
import pathlib
from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import numpy as np

from senet_jax.data.image_header import Header
from senet_jax.data.revisitop import Photograph
from senet_jax.system.errors import UserError, shown
from senet_jax.system.files import local_path

Order: TypeAlias = Literal["rgb", "bgr"]
Image: TypeAlias = np.ndarray | str | os.PathLike[str]
Box: TypeAlias = Sequence[float] | np.ndarray


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class InMemoryPhotograph(Photograph):
    """Pixels instead of an image file; the path is a name for messages, and nothing is there.

    Attributes:
        pixels: uint8[h w 3] BGR.

    Raises:
        UserError: the pixels are of another type or shape, or there are none.
    """

    pixels: np.ndarray

    def __post_init__(self):
        Photograph.__post_init__(self)  # `super()` does not know classes that have slots.
        fault = _fault(self.pixels)
        if fault is not None:
            raise UserError(
                f"{self.file_name} is {self.pixels.dtype}{list(self.pixels.shape)}, {fault}"
            )

    def header(self) -> Header:
        """The size of the pixels."""
        height, width = self.pixels.shape[:2]
        return Header(height, width, is_upright=True)

    def read(self) -> np.ndarray:
        """The pixels, uint8[h w 3] BGR; copied if they are scattered in memory."""
        return np.ascontiguousarray(self.pixels)


def _fault(pixels: np.ndarray) -> str | None:
    """What is wrong with an array as an image, and how to mend it."""
    shape = pixels.shape
    if pixels.dtype != np.uint8:
        return "not uint8; give the pixels as they are decoded, 0 to 255, not normalised"
    if pixels.ndim == 2:
        return "without channels; stack a grey image three times, np.stack([image] * 3, axis=-1)"
    if pixels.ndim != 3:
        return "not one image [height width 3]"
    if 0 in shape:
        return "which is empty; an image has a pixel at least"
    if shape[2] == 3:
        return None
    if shape[0] == 3:
        return "with its channels first; move them last, np.moveaxis(image, 0, -1)"
    if shape[2] == 4:
        return "with a fourth channel; leave it out, image[..., :3]"
    return "not [height width 3]"


def as_photographs(
    images: Image | Sequence[Image], boxes: Sequence[Box | None] | np.ndarray | None, order: Order
) -> list[Photograph]:
    """What a caller has of images, one or many, as photographs.

    Args:
        images: uint8[h w 3] or the path of a file, a list of either, or uint8[n h w 3].
        boxes: (x1, y1, x2, y2) or None for each; None for no boxes at all.
        order: of the channels of arrays.

    Raises:
        UserError: there is none, both kinds are mixed, one is of another type or shape, or the
            boxes are others or not as many.
    """
    if order not in ("rgb", "bgr"):
        raise UserError(f"order is {shown(order)}; give 'rgb' or 'bgr'")
    given: Any = images
    each = list(given) if are_many(given) else [given]
    if not each:
        raise UserError("there is no image to describe; give one at least")
    if len({isinstance(image, np.ndarray) for image in each}) > 1:
        raise UserError("the images are arrays and paths mixed; give one kind in a call")
    some_boxes = [None] * len(each) if boxes is None else _boxes(boxes, len(each))
    return [
        _photograph(image, index, box, order)
        for index, (image, box) in enumerate(zip(each, some_boxes, strict=True))
    ]


def are_many(images: Any) -> bool:
    """Whether these are many images, and not one."""
    return isinstance(images, list | tuple) or (isinstance(images, np.ndarray) and images.ndim == 4)


def _photograph(
    image: Any, index: int, box: tuple[float, float, float, float] | None, order: Order
) -> Photograph:
    if isinstance(image, np.ndarray):
        pixels = image[..., ::-1] if order == "rgb" and image.ndim else image
        return InMemoryPhotograph(pathlib.Path(), f"image {index}", box, pixels=pixels)
    if not isinstance(image, str | os.PathLike):
        raise UserError(
            f"image {index} is of the type {type(image).__name__}; give a NumPy array "
            "uint8[height width 3] or the path of a file"
        )
    path = local_path(image)
    return Photograph(path.parent, path.name, box)


def _boxes(
    boxes: Sequence[Box | None] | np.ndarray, count: int
) -> list[tuple[float, float, float, float] | None]:
    if not isinstance(boxes, list | tuple | np.ndarray) or len(boxes) != count:
        raise UserError(
            f"boxes are {shown(boxes)} for {count} images; give (x1, y1, x2, y2) or None for each"
        )
    checked: list[tuple[float, float, float, float] | None] = []
    for index, box in enumerate(boxes):
        if box is None:
            checked.append(None)
            continue
        sides = np.asarray(box) if isinstance(box, list | tuple | np.ndarray) else np.zeros(0)
        if sides.shape != (4,) or sides.dtype.kind not in "iuf" or not np.isfinite(sides).all():
            raise UserError(
                f"the box of image {index} is {shown(box)}; a box is four numbers (x1, y1, x2, y2)"
            )
        x1, y1, x2, y2 = map(float, sides)
        checked.append((x1, y1, x2, y2))
    return checked
