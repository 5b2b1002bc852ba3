"""CVNet's re-ranker in PyTorch by its definition, with random weights that let mistakes show."""

import copy
import functools
import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

from senet_jax.convert.translate import weights_from_state
from tests.oracles.lively_twin import (
    architecture_named,
    lively_twin,
    smooth_images,
    state_of,
)

TRUNK = "tiny_learnable"
_WIDTHS = ((9, 16), (16, 16, 32), (32, 32, 32, 64), (64, 64, 64, 128))
_KERNELS = (5, 3, 3, 3)
_LAST_STRIDES = (2, 2, 2, 1)


class CentrePivot(nn.Module):
    """[b c h w u v] -> [b d h' w' u' v']; planes are the batch of each convolution."""

    def __init__(self, inputs, outputs, kernel, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2)
        self.conv2 = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2)
        self.stride = stride

    def forward(self, x):
        s = self.stride
        of_queries = x[..., ::s, ::s].permute(0, 4, 5, 1, 2, 3)  # [b u v c h w]
        of_keys = x[:, :, ::s, ::s].permute(0, 2, 3, 1, 4, 5)  # [b h w c u v]
        over_query = self.conv1(of_queries.flatten(0, 2)).unflatten(0, of_queries.shape[:3])
        over_key = self.conv2(of_keys.flatten(0, 2)).unflatten(0, of_keys.shape[:3])
        return over_query.permute(0, 3, 4, 5, 1, 2) + over_key.permute(0, 3, 1, 2, 4, 5)


class RerankerTwin(nn.Module):
    """From the maps of two images before the last ReLU of stage 3 to a score, one pair at a time.

    Its `state_dict` has the keys of CVNet's checkpoints.
    """

    def __init__(self, features):
        super().__init__()
        self.conv2ds = nn.ModuleList(
            nn.Conv2d(features, 256, 3, padding=1, bias=False) for _ in range(3)
        )
        self.cv_learner = nn.Module()
        for block in range(4):
            layers = nn.Sequential()
            widths = _WIDTHS[block]
            for index in range(len(widths) - 1):
                last = index == len(widths) - 2
                stride = _LAST_STRIDES[block] if last else 1
                conv = CentrePivot(widths[index], widths[index + 1], _KERNELS[block], stride)
                layers.extend([conv, nn.GroupNorm(4, widths[index + 1]), nn.ReLU()])
            self.cv_learner.add_module(f"block{block + 1}", layers)
        self.cv_learner.mlp = nn.Sequential(nn.Linear(128, 128), nn.ReLU(), nn.Linear(128, 2))

    def scales(self, stage3):
        """The map at each scale, after the convolution of that scale."""
        height, width = stage3.shape[2:]
        for conv, area in zip(self.conv2ds, (0.25, 0.5, 1.0), strict=True):
            sides = [max(1, round(side * math.sqrt(area))) for side in (height, width)]
            yield conv(F.interpolate(stage3, sides, mode="bilinear", align_corners=True))

    def correlations(self, query, key):
        """[1 9 h w u v]: every scale of the query with every scale of the key, resized."""
        channels = []
        for q in self.scales(query):
            for k in self.scales(key):
                products = torch.einsum("bchw,bcuv->bhwuv", q, k)
                norms = torch.einsum("bhw,buv->bhwuv", q.norm(dim=1), k.norm(dim=1))
                cosine = products / (norms + 1e-8)
                for first, size in ((1, query.shape[2:]), (3, key.shape[2:])):
                    moved = cosine.movedim((first, first + 1), (-2, -1))
                    resized = F.interpolate(
                        moved.flatten(1, 2), size, mode="bilinear", align_corners=True
                    )
                    resized = resized.unflatten(1, moved.shape[1:3])
                    cosine = resized.movedim((-2, -1), (first, first + 1))
                channels.append(cosine)
        return torch.stack(channels, dim=1).clamp(min=0)

    def logits(self, query, key):
        x = self.correlations(query, key)
        for block in range(4):
            x = self.cv_learner.get_submodule(f"block{block + 1}")(x)
        return self.cv_learner.mlp(x.mean(dim=(2, 3, 4, 5)))

    def forward(self, query, key):
        return self.logits(query, key).softmax(dim=1)[:, 1]


def stage3_of_twin(twin, images):
    """The map before the last ReLU of stage 3: [b 3 h w] -> [b c h' w']."""
    *others, last = twin.s3
    maps = twin.s2(twin.s1(twin.stem(images)))
    for block in others:
        maps = block(maps)
    return (last.bn(last.proj(maps)) if last.projects else maps) + last.f(maps)


@functools.cache
def lively_reranker():
    """A re-ranker of the trunk `TRUNK` in which every tensor is random, and scores are spread."""
    trunk = lively_twin(TRUNK)
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        twin = RerankerTwin(architecture_named(TRUNK).stage_widths[2]).eval()
        for norm in (m for m in twin.modules() if isinstance(m, nn.GroupNorm)):
            norm.weight.uniform_(0.5, 1.5)
            norm.bias.normal_(0, 0.1)
        maps = stage3_of_twin(trunk, smooth_images((4, 3, 48, 64)))
        logits = torch.cat([twin.logits(a[None], b[None]) for a in maps for b in maps])
        last = twin.cv_learner.mlp[2]
        factor = 2 / (logits[:, 1] - logits[:, 0]).std()
        last.weight *= factor
        last.bias.copy_(-factor * (logits - last.bias).mean(dim=0))
    return twin


@functools.cache
def lively_cvnet_weights():
    """The `Weights` of trunk and re-ranker, as from a checkpoint of CVNet."""
    state = state_of(lively_twin(TRUNK), "encoder_q.") | state_of(lively_reranker())
    return weights_from_state(state, {"file": "twin"}, architecture_named(TRUNK))


def scores_of_twin(queries, keys, dtype):
    """float64[p] for pairs of maps, float32[h w c] each, computed in `dtype`."""
    twin = copy.deepcopy(lively_reranker()).to(dtype)

    def to_torch(maps):
        return torch.from_numpy(np.array(maps)).to(dtype).permute(2, 0, 1)[None]

    with torch.no_grad():
        pairs = zip(queries, keys, strict=True)
        scores = [twin(to_torch(query), to_torch(key)) for query, key in pairs]
    return torch.cat(scores).double().numpy()
