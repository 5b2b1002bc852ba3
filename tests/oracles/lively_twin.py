"""PyTorch twins whose random weights let mistakes show, and the same weights for Flax."""

import copy
import dataclasses
import functools

import numpy as np
import torch

from senet_jax.convert.translate import weights_from_state
from senet_jax.convert.twin import Twin
from senet_jax.models.families.cvnet import CVNetSettings
from senet_jax.models.families.resnet import ResNetSettings
from senet_jax.models.registry import ARCHITECTURES

CALIBRATION_SHAPE = (6, 3, 96, 128)


def architecture_named(name):
    """Those of the project, and small ones: for the heads that `tiny` does not have, and one whose
    last layer adds up a thousand numbers.
    """
    sizes = dataclasses.asdict(ARCHITECTURES["tiny"])
    sizes = {key: sizes[key] for key in ("depths", "stem_width", "stage_widths", "stage_strides")}
    small = {
        "tiny_wide": dataclasses.replace(
            ARCHITECTURES["tiny"], name="tiny_wide", stage_widths=(32, 64, 96, 1024)
        ),
        "tiny_classifier": ResNetSettings("tiny_classifier", outputs=17, **sizes),
        "tiny_learnable": CVNetSettings("tiny_learnable", outputs=128, **sizes),
    }
    return small.get(name) or ARCHITECTURES[name]


@functools.cache
def lively_twin(name):
    """A twin in which every tensor is random, batch norms fit the maps, and outputs are centred.

    Descriptors of plain random networks are all alike, which hides mistakes.
    """
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        twin = Twin(architecture_named(name))
        norms = [m for m in twin.modules() if isinstance(m, torch.nn.modules.batchnorm._BatchNorm)]
        for norm in norms:
            norm.weight.uniform_(0.5, 1.5)
            norm.bias.normal_(0, 0.1)
            norm.momentum = None  # The running statistics become those of the one batch below.
        if twin.head.kind == "gem_learnable":
            twin.head.pool.p.fill_(2.6)
        images = smooth_images(CALIBRATION_SHAPE)
        twin.train()(images)
        for index, norm in enumerate(norms):
            norm.running_mean += 0.1 * torch.randn_like(norm.running_mean)
            norm.running_var *= torch.empty_like(norm.running_var).uniform_(0.7, 1.4)
            norm.num_batches_tracked.fill_(2 * index + 3)
            norm.momentum = 0.1
        twin.eval()
        twin.head.fc.bias -= twin(images)["descriptor"].mean(dim=0)
    return twin


@functools.cache
def lively_weights(name):
    """The `Weights` of `lively_twin(name)`."""
    return weights_from_state(
        state_of(lively_twin(name)), {"file": "twin"}, architecture_named(name)
    )


def state_of(twin, prefix=""):
    """The twin's `state_dict` in NumPy."""
    return {prefix + key: tensor.numpy().copy() for key, tensor in twin.state_dict().items()}


def smooth_images(shape):
    """Normalised images with large and small structures: float32[b 3 h w] of PyTorch."""
    *_, height, width = shape
    images = torch.zeros(shape)
    for side in (2, 4, 8, 16, 32):
        coarse = torch.randn(*shape[:2], side, side)
        images += torch.nn.functional.interpolate(coarse, (height, width), mode="bilinear")
    return images


def maps_of_twin(twin, images, dtype):
    """Every named map for float32[b h w 3], as float64, channels last."""
    twin = copy.deepcopy(twin).to(dtype)
    with torch.no_grad():
        maps = twin(torch.from_numpy(images).to(dtype).permute(0, 3, 1, 2))
    return {name: np.moveaxis(m.double().numpy(), 1, -1) for name, m in maps.items()}
