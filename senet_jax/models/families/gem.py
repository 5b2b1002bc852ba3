"""GeM, as cirtorch trains it on SfM-120k: ResNets whose maps are pooled with a learned power.

Its checkpoints are a dict of `state_dict`, torchvision's trunk as a sequence, and `meta`, which has
the normalisation of the images and the whitening `Lw` that is applied last. Those with a layer
`whiten`, which was trained with the network, need no `Lw`.
"""

import dataclasses
import re
from collections.abc import Collection, Mapping
from typing import Any, Literal

import numpy as np

from senet_jax.models.architecture import DEPTHS, Architecture
from senet_jax.models.checkpoint_keys import (
    LINEAR,
    Beside,
    Layout,
    Naming,
    layout_of_rank,
    place_of_blocks,
)
from senet_jax.models.families.resnet import (
    TRUNK_ALLOWS,
    stage3_output,
    torchvision_key,
    trunk_output,
)
from senet_jax.models.family import Family
from senet_jax.models.preprocessing import Preprocessing
from senet_jax.system.errors import UserError, shown


@dataclasses.dataclass(frozen=True, kw_only=True)
class GeMSettings(Architecture):
    """A trunk, and how its pooled maps are whitened.

    Attributes:
        self_similarity: there is none.
        head: `projected` (by a mean and a matrix, after the sizes of an image are pooled) or
            `whitened` (by a layer, before).
    """

    self_similarity: None = None
    head: Literal["projected", "whitened"] = "projected"


TRAINING_SET = "SfM-120k"
_WHITENING = "retrieval-SfM-120k"
_MEAN, _MATRIX = "meta.Lw.m", "meta.Lw.P"
_OF_HEAD = {
    "params/pool/p": "pool.p",
    "params/whiten/kernel": "whiten.weight",
    "params/whiten/bias": "whiten.bias",
    "params/projection/mean": _MEAN,
    "params/projection/matrix": _MATRIX,
}
_COLUMN = Layout(lambda a: a[:, None], lambda a: a[:, 0])  # [c] <-> [c 1]
_FIRST_STAGE = 4
_BLOCKS = r"features\.[4-7]\.\d+\.(?:conv|bn|downsample)"


def _key(path: str) -> str | None:
    if path in _OF_HEAD:
        return _OF_HEAD[path]
    key = torchvision_key(path)
    if key is None:
        return None
    root, _, rest = key.partition(".")
    place = {"conv1": 0, "bn1": 1}.get(root)
    if place is None:
        place = _FIRST_STAGE - 1 + int(root.removeprefix("layer"))
    return f"features.{place}.{rest}"


def _layout(path: str, rank: int) -> Layout:
    if _OF_HEAD.get(path) == _MEAN:
        return _COLUMN
    return LINEAR if _OF_HEAD.get(path) == _MATRIX else layout_of_rank(path, rank)


def _is_of(keys: Collection[str]) -> bool:
    return any(re.match(_BLOCKS, key) for key in keys)


def _beside(value: Mapping[str, Any]) -> Beside:
    """The whitening for several sizes of an image, and the normalisation, from `meta`."""
    meta = value.get("meta")
    if not isinstance(meta, Mapping):
        return Beside()
    preprocessing = None
    if "mean" in meta and "std" in meta:
        preprocessing = Preprocessing("RGB", meta["mean"], meta["std"])
    of_sets = meta.get("Lw")
    if not isinstance(of_sets, Mapping) or not of_sets:
        return Beside(preprocessing=preprocessing)
    name = _WHITENING if _WHITENING in of_sets or len(of_sets) > 1 else next(iter(of_sets))
    of_set = of_sets.get(name)
    whitening = of_set.get("ms") if isinstance(of_set, Mapping) else None
    mean, matrix = map(whitening.get, "mP") if isinstance(whitening, Mapping) else (None, None)
    if not isinstance(mean, np.ndarray) or not isinstance(matrix, np.ndarray):
        raise UserError(
            f"has no arrays `m` and `P` under meta.Lw[{shown(name)}]['ms'] (it has "
            f"{', '.join(map(shown, of_sets))}); get the checkpoint again"
        )
    return Beside({_MEAN: mean, _MATRIX: matrix}, preprocessing)


_CIRTORCH = Naming(
    "cirtorch",
    _key,
    _is_of,
    _layout,
    place_of_blocks(_BLOCKS, beside=r"(pool|whiten)\.", head=r"pool\.", trunk=r"features\."),
    training_set=TRAINING_SET,
    licence="MIT",
    beside=_beside,
)


def _has_depths(settings: GeMSettings, keys: Collection[str]) -> bool:
    found = {m.groups() for key in keys if (m := re.match(r"features\.([4-7])\.(\d+)\.", key))}
    depths = tuple(sum(stage == str(_FIRST_STAGE + i) for stage, _ in found) for i in range(4))
    return settings.depths == depths


def _with_head_of(
    settings: GeMSettings, naming: Naming, shapes: Mapping[str, tuple[int, ...]]
) -> GeMSettings:
    """A trunk with the whitening of a checkpoint."""
    has_layer = "whiten.weight" in shapes
    return dataclasses.replace(settings, head="whitened" if has_layer else "projected")


def _build(settings: GeMSettings, **options: Any) -> Any:
    from senet_jax.models.gem import GeM  # Flax takes a second to import.
    from senet_jax.models.layers import LayerOptions

    return GeM(settings, LayerOptions(**options))


def _random(settings: GeMSettings, seed: int) -> Mapping[str, Any]:
    from senet_jax.models.random_weights import random_projected

    return random_projected(settings, seed)


FAMILY = Family(
    name="gem",
    settings=GeMSettings,
    build=_build,
    gives={"global": trunk_output(_build), "local": stage3_output(_build)},
    allows=TRUNK_ALLOWS,
    models=tuple(GeMSettings(f"gem_r{depth}", depths=DEPTHS[depth]) for depth in (50, 101)),
    preprocessing=Preprocessing("RGB", mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225)),
    scales=(1.0,),
    long_side=1024,
    namings=(_CIRTORCH,),
    fits=_has_depths,
    adapted=_with_head_of,
    random=_random,
)
