"""What can be extracted without a network."""

import numpy as np

from senet_jax.features.networks import mean_descriptors


class MeanColour:
    """In place of a network: the mean colour of what is image, of unit length."""

    width, transposes = 3, True

    def __init__(self, mode="auto", devices=1):
        self.mode, self.devices = mode, devices
        self.shapes, self.filled = [], []

    def __call__(self, images, sizes=None, *, transposed=False):
        self.shapes.append(images.shape)
        assert len(images) % self.devices == 0 and (self.mode == "auto") == (sizes is not None)
        if sizes is None:
            sizes = np.full((len(images), 2), images.shape[1:3])
        cut = [image[:height, :width] for image, (height, width) in zip(images, sizes, strict=True)]
        assert sum(image.sum() for image in cut) == images.sum()  # There are zeros around it.
        self.filled.append(sum(part.shape > (1, 1, 3) for part in cut))
        means = np.stack([part.mean(axis=(0, 1)) for part in cut]).astype(np.float32)
        return means / np.maximum(np.linalg.norm(means, axis=1, keepdims=True), 1e-12)

    def values(self, scales, parts):
        rows = np.asarray(mean_descriptors(scales))
        return [part and {"descriptor": row} for row, part in zip(rows, parts, strict=True)]
