"""Images of noise with the spectrum of photographs, for measurements that need no photographs."""

import pathlib

import cv2
import numpy as np

from senet_jax.data.revisitop import Photograph


def write_images(
    folder: pathlib.Path, sizes: np.ndarray, rng: np.random.Generator
) -> list[Photograph]:
    """Writes such images as PNG files.

    Args:
        folder: where they are written.
        sizes: int[n 2], height and width.
        rng: of the noise.
    """
    names = []
    for index, (height, width) in enumerate(sizes.tolist()):
        names.append(f"{index}.png")
        cv2.imwrite(str(folder / names[-1]), noise_image(height, width, rng))
    return [Photograph(folder, name) for name in names]


def noise_image(height: int, width: int, rng: np.random.Generator) -> np.ndarray:
    """uint8[h w 3], amplitudes falling with the frequency as those of photographs do."""
    rows, columns = np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None]
    frequency = np.maximum(np.hypot(rows, columns), 1 / max(height, width))
    spectrum = np.fft.rfft2(rng.normal(size=(3, height, width))) / frequency
    image = np.fft.irfft2(spectrum, (height, width)).transpose(1, 2, 0)
    image = (image - image.mean()) / image.std() * rng.uniform(30, 70) + rng.uniform(90, 160)
    return image.clip(0, 255).astype(np.uint8)
