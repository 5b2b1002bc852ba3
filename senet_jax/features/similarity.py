"""How alike the positions of two images are, by the maps within a network."""

from collections.abc import Mapping, Sequence

import numpy as np

from senet_jax.system.errors import UserError

COMPARED = ("s4", "head", "structure", "fused")
"""The maps that `similarity` compares: in the paper's letters F, D and F^s (Figure S1).
EfficientNet-Lite0 has `head` in place of `s4`."""


def similarity(
    a: Mapping[str, np.ndarray], b: Mapping[str, np.ndarray], names: Sequence[str] = COMPARED
) -> dict[str, np.ndarray]:
    """How alike each position of an image is to each position of another, for pictures.

    Where the structure agrees as well, the fused map is more alike than the trunk's, and else
    less: Figure S1 of the paper's supplement.

    Args:
        a: `Model.maps` of an image.
        b: `Model.maps` of another image, or of the same.
        names: of the maps that are compared: the trunk's last map, of a ResNet `s4` and of
            EfficientNet-Lite0 `head`, `structure` and `fused`.

    Returns:
        Cosine similarities float32[h_a w_a h_b w_b] of those of them that both have.
        `.max(axis=(2, 3))` says where a has something of b; `[y, x]` where b has what is at one
        position of a.

    Raises:
        UserError: they have no such map in common, or of different networks.
    """
    common = [name for name in names if name in a and name in b]
    if not common:
        raise UserError(
            f"the images have no map in common of {', '.join(names)}; give what Model.maps gives"
        )
    return {name: _cosines(name, a[name], b[name]) for name in common}


def _cosines(name: str, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    if a.ndim != 3 or b.ndim != 3 or a.shape[2] != b.shape[2]:
        raise UserError(
            f"the maps {name} are {list(a.shape)} and {list(b.shape)}; give those of one network, "
            "[height width channels]"
        )
    units = [
        of / np.maximum(np.linalg.norm(of, axis=-1, keepdims=True), np.finfo(np.float32).tiny)
        for of in (a, b)
    ]
    return np.einsum("hwc,ijc->hwij", *units, optimize=True)
