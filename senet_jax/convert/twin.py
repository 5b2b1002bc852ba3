"""The same networks in PyTorch, under the authors' names: what a checkpoint is loaded into.

Written from the facts of the architecture, without any code of the Flax modules: the comparer
runs a checkpoint through both, and the tests hold one against the other. NCHW, as PyTorch has it.
"""

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from senet_jax.models.architecture import Architecture, SelfSimilarityConfig


def _conv_bn(inputs: int, outputs: int, kernel: int, stride: int = 1):
    conv = nn.Conv2d(inputs, outputs, kernel, stride, kernel // 2, bias=False)
    return conv, nn.BatchNorm2d(outputs)


class _Stem(nn.Module):
    def __init__(self, width: int):
        super().__init__()
        self.conv, self.bn = _conv_bn(3, width, 7, 2)

    def forward(self, x):
        return F.max_pool2d(F.relu(self.bn(self.conv(x))), 3, 2, 1)


class _Transform(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.a, self.a_bn = _conv_bn(inputs, outputs // 4, 1)
        self.b, self.b_bn = _conv_bn(outputs // 4, outputs // 4, 3, stride)
        self.c, self.c_bn = _conv_bn(outputs // 4, outputs, 1)

    def forward(self, x):
        x = F.relu(self.a_bn(self.a(x)))
        x = F.relu(self.b_bn(self.b(x)))
        return self.c_bn(self.c(x))


class _Block(nn.Module):
    def __init__(self, inputs: int, outputs: int, stride: int):
        super().__init__()
        self.f = _Transform(inputs, outputs, stride)
        self.projects = inputs != outputs or stride != 1
        if self.projects:
            self.proj, self.bn = _conv_bn(inputs, outputs, 1, stride)

    def forward(self, x):
        shortcut = self.bn(self.proj(x)) if self.projects else x
        return F.relu(shortcut + self.f(x))


class _Head(nn.Module):
    def __init__(self, inputs: int, architecture: Architecture):
        super().__init__()
        self.kind = architecture.head
        self.pool: Any = nn.Module()
        if self.kind == "gem_learnable":
            self.pool.p = nn.Parameter(torch.full((1,), 3.0))
        self.fc = nn.Identity()
        if self.kind != "average":
            self.fc = nn.Linear(inputs, architecture.outputs)

    def forward(self, x):
        if self.kind in ("classifier", "average"):
            pooled = x.mean(dim=(2, 3))
        else:
            power = self.pool.p if self.kind == "gem_learnable" else 3.0
            pooled = x.clamp(min=1e-6).pow(power).mean(dim=(2, 3)).pow(1 / power)
        return pooled, self.fc(pooled)


class _SelfSimilarity(nn.Module):
    def __init__(self, features: int, config: SelfSimilarityConfig):
        super().__init__()
        self.config = config
        fused = features if config.fusion == "sum" else 2 * features
        self.FFN = nn.Sequential(
            nn.Conv2d(fused, features, 1), nn.ReLU(), nn.Conv2d(features, features, 1)
        )
        if config.similarity == "none":
            return
        self.ch_reduction_encoder = nn.Conv2d(features, config.width, 1, bias=False)
        channels = config.width if config.similarity == "channelwise" else 1
        self.SSE: Any = nn.Module()
        self.SSE.conv_in = nn.Sequential()
        for _ in range(config.window // 2):
            conv = nn.Conv3d(channels, config.width, (1, 3, 3))
            self.SSE.conv_in.append(nn.Sequential(conv, nn.BatchNorm3d(config.width), nn.ReLU()))
            channels = config.width
        self.SSE.conv1x1_out = nn.Sequential(
            nn.Conv2d(config.width, features, 1), nn.BatchNorm2d(features)
        )

    def forward(self, x):
        if self.config.similarity == "none":
            return {"fused": self.FFN(x)}
        q = self.ch_reduction_encoder(x)
        if self.config.measure == "cosine":
            q = F.normalize(q, dim=1)
        batch, channels, height, width = q.shape
        window, radius = self.config.window, self.config.window // 2
        padded = F.pad(q, (radius,) * 4)
        products = q.new_zeros(batch, channels, height, width, window, window)
        for u in range(window):
            for v in range(window):
                neighbour = padded[:, :, u : u + height, v : v + width]
                products[..., u, v] = q * neighbour
        if self.config.similarity == "direct":
            products = products.sum(dim=1, keepdim=True)
        similarity = products.clamp(min=0)
        encoded = self.SSE.conv_in(similarity.flatten(2, 3))
        encoded = encoded.mean(dim=(3, 4)).unflatten(2, (height, width))
        structure = self.SSE.conv1x1_out(encoded)
        if self.config.fusion == "sum":
            fused = self.FFN(x + structure)
        else:
            fused = self.FFN(torch.cat([x, structure], dim=1))
        return {"q": q, "self_similarity": similarity, "structure": structure, "fused": fused}


class Twin(nn.Module):
    """A network of `senet_jax.models` in PyTorch; its `state_dict` has the authors' keys.

    Called with float[b 3 h w] it returns the same named maps as the Flax module, channels first:
    `stem`, `s1` to `s4` [b c h w], `q`, `self_similarity` [b c h w u v], `structure`, `fused`,
    `pooled` [b c], `descriptor` [b d].
    """

    def __init__(self, architecture: Architecture):
        super().__init__()
        self.stem = _Stem(architecture.stem_width)
        inputs = architecture.stem_width
        for index in range(4):
            stage = nn.Sequential()
            width = architecture.stage_widths[index]
            for block in range(architecture.depths[index]):
                stride = architecture.stage_strides[index] if block == 0 else 1
                stage.add_module(f"b{block + 1}", _Block(inputs, width, stride))
                inputs = width
            self.add_module(f"s{index + 1}", stage)
        self.SSM = None
        if architecture.self_similarity is not None:
            self.SSM = _SelfSimilarity(inputs, architecture.self_similarity)
        self.head = _Head(inputs, architecture)

    def forward(self, images: torch.Tensor) -> dict[str, torch.Tensor]:
        """Runs the network; see the class."""
        maps = {"stem": self.stem(images)}
        for name, before in (("s1", "stem"), ("s2", "s1"), ("s3", "s2"), ("s4", "s3")):
            maps[name] = self.get_submodule(name)(maps[before])
        fused = maps["s4"]
        if self.SSM is not None:
            maps |= self.SSM(fused)
            fused = maps["fused"]
        maps["pooled"], maps["descriptor"] = self.head(fused)
        return maps
