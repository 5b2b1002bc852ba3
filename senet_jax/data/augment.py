"""Random changes of a training image: a crop, a mirror, the light.

Pure functions of an image and a generator of random numbers. Which changes the paper's training
used is second-hand knowledge; the numbers of the lighting are those of the public training code
that the authors' code derives from (github feymanpriv/DELG).
"""

import dataclasses
import io
import math

import cv2
import numpy as np

from senet_jax.data.image_header import parse_header
from senet_jax.data.transforms import decode
from senet_jax.system.errors import UserError

# Principal components of the colours of ImageNet, for pixels in [0, 1]; rows are R, G, B.
LIGHTING_EIGENVALUES = np.array([0.2175, 0.0188, 0.0045])
LIGHTING_EIGENVECTORS = np.array(
    [[-0.5675, 0.7192, 0.4009], [-0.5808, -0.0045, -0.8140], [-0.5836, -0.6948, 0.4203]]
)

_CROP_TRIES = 10
_REDUCTIONS = (8, 4, 2)


@dataclasses.dataclass(frozen=True)
class Augmentation:
    """How training images are changed.

    Attributes:
        side: of the square that comes out, in pixels.
        area: the smallest and the largest share of the image that a crop has.
        aspect: the smallest and the largest width of a crop, over its height.
        flip: whether every second image, by chance, is mirrored left to right.
        lighting_sigma: the standard deviation of the weights of the colours' components; 0 leaves
            the light as it is.
        reduced_decoding: whether a JPEG is decoded at an eighth, a quarter or a half of its sides
            where its crop is that much larger than `side`.

    Raises:
        UserError: a value that no image can be changed by.
    """

    side: int = 512
    area: tuple[float, float] = (0.08, 1.0)
    aspect: tuple[float, float] = (3 / 4, 4 / 3)
    flip: bool = True
    lighting_sigma: float = 0.1
    reduced_decoding: bool = False

    def __post_init__(self):
        if self.side < 1:
            raise UserError(f"the side of a crop is {self.side}; give pixels, 1 or more")
        if not 0 < self.area[0] <= self.area[1] <= 1:
            raise UserError(
                f"the area of a crop is {self.area}; give the smallest and the largest share, "
                "above 0 and up to 1"
            )
        if not 0 < self.aspect[0] <= self.aspect[1] < math.inf:
            raise UserError(
                f"the aspect of a crop is {self.aspect}; give the smallest and the largest width "
                "over height, above 0"
            )
        if not 0 <= self.lighting_sigma < math.inf:
            raise UserError(
                f"the sigma of the lighting is {self.lighting_sigma}; give 0 or a positive number"
            )


def augment_file(
    content: bytes, rng: np.random.Generator, augmentation: Augmentation
) -> tuple[np.ndarray, np.ndarray]:
    """Decodes an image file and changes it at random; see `augment`.

    Decoding at reduced scale takes the same crop, of a JPEG that its EXIF turns up to a pixel of
    what is decoded beside it, and averages pixels that linear resizing would leave out.

    Raises:
        UnreadableImage: it cannot be decoded.
    """
    header = parse_header(io.BytesIO(content)) if augmentation.reduced_decoding else None
    if header is None or not header.is_upright:  # It is upright in JPEGs alone.
        return augment(decode(content), rng, augmentation)
    crop = random_crop(header.height, header.width, rng, augmentation)
    larger = min(places.stop - places.start for places in crop) / augmentation.side
    reduction = next((by for by in _REDUCTIONS if by <= larger), 1)
    image = decode(content, reduction)
    if reduction == 1:
        return _changed(_resized(image[crop], augmentation.side), rng, augmentation)
    return _changed(_sampled(image, crop, reduction, augmentation.side), rng, augmentation)


def augment(
    image: np.ndarray, rng: np.random.Generator, augmentation: Augmentation
) -> tuple[np.ndarray, np.ndarray]:
    """Changes an image at random.

    Args:
        image: uint8[h w 3] in the order BGR.
        rng: where the randomness comes from.
        augmentation: how much the image is changed.

    Returns:
        The pixels, uint8[side side 3] BGR, and the light that is still to be added to them, for
        pixels in [0, 1], float32[3] BGR; see `models.preprocessing.normalise`.
    """
    height, width, _ = image.shape
    crop = random_crop(height, width, rng, augmentation)
    return _changed(_resized(image[crop], augmentation.side), rng, augmentation)


def _resized(image: np.ndarray, side: int) -> np.ndarray:
    return cv2.resize(image, (side, side), interpolation=cv2.INTER_LINEAR)


def _sampled(image: np.ndarray, crop: tuple[slice, slice], reduction: int, side: int) -> np.ndarray:
    """What `_resized` makes of a crop whose places are divided by a number, fractions and all."""
    to_image = np.zeros((2, 3))
    for axis, places in enumerate(reversed(crop)):
        step = (places.stop - places.start) / reduction / side
        to_image[axis, axis] = step
        to_image[axis, 2] = places.start / reduction + (step - 1) / 2  # Centres of pixels meet.
    return cv2.warpAffine(
        image,
        to_image,
        (side, side),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )


def _changed(
    image: np.ndarray, rng: np.random.Generator, augmentation: Augmentation
) -> tuple[np.ndarray, np.ndarray]:
    """What is done to a crop after it was resized."""
    if augmentation.flip and rng.random() < 0.5:
        image = cv2.flip(image, 1)
    light = random_light(rng, augmentation.lighting_sigma)
    return image, light[::-1].astype(np.float32)


def random_crop(
    height: int, width: int, rng: np.random.Generator, augmentation: Augmentation
) -> tuple[slice, slice]:
    """Draws the rows and the columns of a crop.

    The share of the area is drawn evenly, the aspect evenly in its logarithm. After ten crops that
    do not fit in, it is the largest crop of an allowed aspect in the middle of the image.
    """
    for _ in range(_CROP_TRIES):
        area = height * width * rng.uniform(*augmentation.area)
        aspect = math.exp(rng.uniform(*np.log(augmentation.aspect)))
        crop_height, crop_width = round(math.sqrt(area / aspect)), round(math.sqrt(area * aspect))
        if 0 < crop_height <= height and 0 < crop_width <= width:
            top = int(rng.integers(height - crop_height + 1))
            left = int(rng.integers(width - crop_width + 1))
            return slice(top, top + crop_height), slice(left, left + crop_width)
    narrowest, widest = augmentation.aspect
    crop_height = max(1, min(height, round(width / narrowest)))
    crop_width = max(1, min(width, round(height * widest)))
    top, left = (height - crop_height) // 2, (width - crop_width) // 2
    return slice(top, top + crop_height), slice(left, left + crop_width)


def random_light(rng: np.random.Generator, sigma: float) -> np.ndarray:
    """Draws what the lighting adds to the pixels of an image in [0, 1], float64[3] in RGB.

    A normal weight for each principal component of the colours of ImageNet, after Krizhevsky et
    al., "ImageNet classification with deep convolutional neural networks" (NeurIPS 2012).
    """
    return LIGHTING_EIGENVECTORS @ (LIGHTING_EIGENVALUES * rng.normal(0, sigma, 3))
