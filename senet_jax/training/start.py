"""What a training takes of the weights that it starts from: whole parts of the network, or none."""

import dataclasses
from collections.abc import Mapping
from typing import Any

import jax.numpy as jnp

from senet_jax.models.architecture import Architecture
from senet_jax.models.preprocessing import Preprocessing
from senet_jax.models.registry import describes, variable_shapes
from senet_jax.models.senet import DESCRIPTOR_NORM
from senet_jax.system.errors import UserError
from senet_jax.weights import Weights, flatten, unflatten

# The parts of a network by the names of their modules, as a user knows them; others by the latter.
_PARTS = {
    "trunk": "trunk",
    "ssm": "self_similarity",
    "pool": "pooling power",
    "fc": "head",
    DESCRIPTOR_NORM: "descriptor_norm",
    "reranker": "re-ranker",
}
# What makes a part another one although its tensors have the same shapes, in networks that have it.
_SWITCHES = {"trunk": "stage_strides", "ssm": "self_similarity"}


@dataclasses.dataclass(frozen=True)
class Start:
    """What is taken, and what is not.

    Attributes:
        tensors: path of the Flax variable -> its value, float32: those that are taken.
        taken: the parts of the network that they are, with the number of tensors.
        fresh: the parts that keep the authors' initialisation.
        unused: the parts of the weights that the network does not have.
    """

    tensors: Mapping[str, Any]
    taken: Mapping[str, int]
    fresh: tuple[str, ...]
    unused: tuple[str, ...]

    def applied(self, variables: dict[str, Any]) -> dict[str, Any]:
        """The variables of the network with what is taken in its place."""
        return unflatten(dict(flatten(variables)) | dict(self.tensors))

    def __str__(self) -> str:
        parts = [f"{part} taken ({count} tensors)" for part, count in self.taken.items()]
        parts += [f"{part} fresh" for part in self.fresh]
        return ", ".join(parts + [f"{part} not used" for part in self.unused])


def start_from(
    weights: Weights,
    architecture: Architecture,
    preprocessing: Preprocessing,
    *,
    descriptor_norm: bool,
) -> Start:
    """Takes of weights each part of a network whole.

    A part that the weights lack is fresh, and so is the last layer where theirs is a classifier's.
    So is the descriptor's norm: in weights it is folded into the last layer, and a fresh one leaves
    the descriptors as they are until the first step.

    Args:
        weights: what is started from.
        architecture: of the network that is trained.
        preprocessing: of its images.
        descriptor_norm: whether it has a batch norm after its last layer.

    Raises:
        UserError: a part is another one in the weights than in the network.
    """
    theirs = weights.architecture
    if weights.preprocessing != preprocessing:
        raise UserError(
            f"config.start holds {theirs.name}, which takes {weights.preprocessing}; a training of "
            f"config.model {architecture.name} prepares images for {preprocessing}; choose weights "
            "of that network or of its trunk"
        )
    shapes = flatten(variable_shapes(architecture, descriptor_norm=descriptor_norm))
    wanted, found = _by_part({path: leaf.shape for path, leaf in shapes}), _by_part(weights.tensors)
    unused = [_called(part) for part in found if part not in wanted]
    if not describes(theirs) and found.pop("fc", None):
        unused.append(f"its classifier of {theirs.outputs} classes")
    shared = [part for part in wanted if part in found]
    for part in shared:
        _check_same(part, wanted[part], found[part], architecture, theirs)
    return Start(
        tensors={
            path: jnp.asarray(tensor, jnp.float32)
            for part in shared
            for path, tensor in found[part].items()
        },
        taken={_called(part): len(found[part]) for part in shared},
        fresh=tuple(_called(part) for part in wanted if part not in found),
        unused=tuple(unused),
    )


def _by_part(named: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """`params/trunk/stem/...` is of the part `trunk`; in the order of `_PARTS`, then any others."""
    parts: dict[str, dict[str, Any]] = {part: {} for part in _PARTS}
    for path, value in named.items():
        parts.setdefault(path.split("/")[1], {})[path] = value
    return {part: entries for part, entries in parts.items() if entries}


def _check_same(
    part: str,
    wanted: Mapping[str, tuple[int, ...]],
    found: Mapping[str, Any],
    ours: Architecture,
    theirs: Architecture,
) -> None:
    shapes = {path: tensor.shape for path, tensor in found.items()}
    different = next((p for p in (*wanted, *shapes) if wanted.get(p) != shapes.get(p)), None)
    if different:
        there, here = (shape.get(different, "missing") for shape in (shapes, wanted))
        why = f"{different} is {there} there and {here} here"
    elif part in _SWITCHES and _switch(ours, part) != _switch(theirs, part):
        why = f"its {_SWITCHES[part]} is {_switch(theirs, part)}"
    else:
        return
    raise UserError(
        f"config.start holds {theirs.name}, whose {_called(part)} is not that of {ours.name}, "
        f"config.model: {why}; choose weights of the same network or of the ImageNet trunk of its "
        "depth"
    )


def _called(part: str) -> str:
    return _PARTS.get(part, part)


def _switch(settings: Architecture, part: str) -> Any:
    return getattr(settings, _SWITCHES[part], None)
