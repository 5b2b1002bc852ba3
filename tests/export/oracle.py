"""What PyTorch describes from the pixels that an export takes, with the same weights."""

import numpy as np
import torch

from senet_jax.models.preprocessing import Preprocessing, normalise
from tests.oracles.lively_twin import lively_twin


def described(name, images):
    """Unit descriptors float64[b d] of uint8[b h w 3] RGB, by `lively_twin(name)`."""
    pixels = normalise(images[..., ::-1], Preprocessing()).transpose(0, 3, 1, 2)
    with torch.no_grad():
        found = lively_twin(name)(torch.from_numpy(np.ascontiguousarray(pixels)))["descriptor"]
    found = found.double().numpy()
    return found / np.linalg.norm(found, axis=1, keepdims=True)
