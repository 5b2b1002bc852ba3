"""GeM in PyTorch, written down from the layout of cirtorch's checkpoints."""

import functools

import torch
from torch import nn
from torch.nn import functional

DEPTHS, STEM_WIDTH, WIDTHS, STRIDES = (1, 1, 1, 1), 16, (32, 64, 96, 128), (1, 2, 1, 1)
"""The sizes of SENet's `tiny`."""
POWER = 2.6
SCALES = (1, 1 / 2 ** (1 / 2), 1 / 2)
SET = "retrieval-SfM-120k"
MEAN, STD = [0.48, 0.45, 0.41], [0.23, 0.22, 0.21]


class _Block(nn.Module):
    def __init__(self, before, width, stride):
        super().__init__()
        self.conv1 = nn.Conv2d(before, width // 4, 1, bias=False)
        self.conv2 = nn.Conv2d(width // 4, width // 4, 3, stride, 1, bias=False)
        self.conv3 = nn.Conv2d(width // 4, width, 1, bias=False)
        self.bn1, self.bn2 = nn.BatchNorm2d(width // 4), nn.BatchNorm2d(width // 4)
        self.bn3 = nn.BatchNorm2d(width)
        self.downsample = nn.Sequential(
            nn.Conv2d(before, width, 1, stride, bias=False), nn.BatchNorm2d(width)
        )

    def forward(self, maps):
        inner = functional.relu(self.bn1(self.conv1(maps)))
        inner = functional.relu(self.bn2(self.conv2(inner)))
        return functional.relu(self.bn3(self.conv3(inner)) + self.downsample(maps))


class _Pool(nn.Module):
    def __init__(self):
        super().__init__()
        self.p = nn.Parameter(torch.full((1,), POWER))

    def forward(self, maps):
        return maps.clamp(min=1e-6).pow(self.p).mean((2, 3)).pow(1 / self.p)


def _over_norm(vectors):
    return vectors / (vectors.norm(dim=1, keepdim=True) + 1e-6)


class GeMTwin(nn.Module):
    """The network, of one size of an image."""

    def __init__(self, has_layer=False):
        super().__init__()
        stem = nn.Conv2d(3, STEM_WIDTH, 7, 2, 3, bias=False), nn.BatchNorm2d(STEM_WIDTH), nn.ReLU()
        befores = (STEM_WIDTH, *WIDTHS)
        stages = (
            nn.Sequential(_Block(*sizes)) for sizes in zip(befores, WIDTHS, STRIDES, strict=False)
        )
        self.features = nn.Sequential(*stem, nn.MaxPool2d(3, 2, 1), *stages)
        self.pool = _Pool()
        self.whiten = nn.Linear(WIDTHS[-1], WIDTHS[-1]) if has_layer else None

    def forward(self, images):
        vectors = _over_norm(self.pool(self.features(images)))
        return vectors if self.whiten is None else _over_norm(self.whiten(vectors))


@functools.cache
def gem_checkpoint(has_layer=False):
    """A checkpoint of a twin in which every tensor is random and vectors are centred."""
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(3)
        twin = GeMTwin(has_layer)
        for norm in (m for m in twin.modules() if isinstance(m, nn.BatchNorm2d)):
            norm.weight.uniform_(0.5, 1.5)
            norm.bias.normal_(0, 0.1)
            norm.momentum = None
        images = torch.randn(6, 3, 96, 128).cumsum(2).cumsum(3) / 30
        vectors = twin(images)
        mean = twin.eval()(images).mean(0)
        width = vectors.shape[1]
        matrix = torch.randn(width, width, dtype=torch.float64)
        if twin.whiten is not None:
            twin.whiten.bias -= mean
    meta = {"architecture": "resnet50", "pooling": "gem", "mean": MEAN, "std": STD}
    if not has_layer:
        whitening = {"m": mean.double()[:, None].numpy(), "P": matrix.numpy().T}
        wrong = {key: 0 * array for key, array in whitening.items()}
        meta["Lw"] = {SET: {"ss": wrong, "ms": whitening}}
    return {"meta": meta, "state_dict": twin.state_dict()}


def gem_descriptors(checkpoint, images, dtype):
    """Unit descriptors of normalised images, float[b 3 h w], at all sizes: [b d]."""
    state, meta = checkpoint["state_dict"], checkpoint["meta"]
    twin = GeMTwin("whiten.weight" in state).eval()
    twin.load_state_dict(state)
    twin, images = twin.to(dtype), images.to(dtype)
    with torch.no_grad():
        resized = (
            images
            if scale == 1
            else functional.interpolate(images, scale_factor=scale, mode="bilinear")
            for scale in SCALES
        )
        power = 1.0 if twin.whiten is not None else twin.pool.p.item()
        vectors = sum(twin(each).pow(power) for each in resized) / len(SCALES)
        vectors = functional.normalize(vectors.pow(1 / power))
        if twin.whiten is not None:
            return vectors
        mean, matrix = (torch.from_numpy(meta["Lw"][SET]["ms"][k]).to(dtype) for k in "mP")
        return _over_norm((vectors - mean[:, 0]) @ matrix.T)
