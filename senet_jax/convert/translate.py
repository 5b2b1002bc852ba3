"""From a checkpoint's state to `Weights` and back, through the table of `mapping`."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from senet_jax.convert.mapping import (
    Naming,
    Row,
    canonical_naming,
    carried_rows,
    depths_of,
    naming_of,
    reranker_table,
    table,
)
from senet_jax.data.transforms import Preprocessing
from senet_jax.models.architecture import ARCHITECTURES, Architecture
from senet_jax.system.errors import UserError, printable, shortened, shown
from senet_jax.weights import Weights, check_values, flatten, unflatten

State = Mapping[str, np.ndarray]


class MisfitError(UserError):
    """A checkpoint's names or shapes are not those of a network.

    Attributes:
        differences: one line for each name.
    """

    def __init__(self, model: str, differences: Sequence[str], looks_like: str | None):
        more = "" if len(differences) <= 3 else ", ..."
        hint = f"it looks like {looks_like}" if looks_like else "--verbose lists all"
        super().__init__(
            f"{len(differences)} names or shapes do not fit {model}: "
            f"{', '.join(differences[:3])}{more}; {hint}, --model=NAME chooses another"
        )
        self.differences = differences


def weights_from_state(
    state: State, source: Mapping[str, Any], architecture: Architecture | None = None
) -> Weights:
    """Translates a checkpoint's state.

    Args:
        state: key -> array.
        source: what `Weights.source` shall say.
        architecture: the network; guessed from names and shapes when None. What they do not tell
            (cosine or dot product) is guessed as the paper's own choice.

    Raises:
        UserError: names, shapes, dtypes or values are not those of the network.
    """
    naming = naming_of(state)
    guessed = _guess(state, naming)
    if architecture is None:
        architecture = guessed
    differences = _differences(state, architecture, naming)
    if differences:
        fits = guessed != architecture and not _differences(state, guessed, naming)
        raise MisfitError(architecture.name, differences, guessed.name if fits else None)
    tensors = {}
    for row in table(architecture, naming):
        check_values(row.key, state[row.key])
        tensors[row.path] = np.ascontiguousarray(row.layout.from_torch(state[row.key]))
    return Weights(
        architecture=architecture,
        preprocessing=Preprocessing(),
        tensors=tensors,
        carried={
            row.path: state[row.key]
            for row in carried_rows(architecture, naming)
            if row.key in state
        },
        source=source,
    )


def with_classifier_of(state: State, architecture: Architecture) -> Architecture:
    """A trunk with the classifier that a checkpoint has: its number of classes, or none at all.

    Networks that describe come back as they are.
    """
    if architecture.describes:
        return architecture
    fc = "fc" if naming_of(state) == "torchvision" else "head.fc"
    if f"{fc}.weight" not in state and f"{fc}.bias" not in state:
        return architecture.without_classifier()
    bias = state.get(f"{fc}.bias")
    is_vector = bias is not None and bias.ndim == 1
    return dataclasses.replace(architecture, outputs=len(bias)) if is_vector else architecture


def state_from_weights(weights: Weights) -> dict[str, np.ndarray]:
    """The state under the authors' names: what the network's own PyTorch code loads strictly."""
    rows = table(weights.architecture, canonical_naming(weights.architecture))
    state = {row.key: row.layout.to_torch(weights.tensors[row.path]) for row in rows}
    return state | dict(weights.carried)


def reranker_params(weights: Weights) -> dict[str, Any]:
    """The parameters of the re-ranker that CVNet's weights carry, for `models.cvnet.Reranker`.

    Raises:
        UserError: there is none, or it holds values that are no finite numbers.
    """
    architecture = weights.architecture
    rows = reranker_table(architecture) if canonical_naming(architecture) == "cvnet" else []
    if not rows or any(row.key not in weights.carried for row in rows):
        raise UserError(
            f"these weights of {architecture.name} have no re-ranker; "
            "convert a checkpoint of CVNet-Rerank, or random:cvnet_r50:0"
        )
    leaves = {}
    for row in rows:
        check_values(row.key, weights.carried[row.key])
        leaves[row.path] = row.layout.from_torch(weights.carried[row.key]).astype(np.float32)
    return unflatten(leaves)


def with_reranker(weights: Weights, params: Mapping[str, Any]) -> Weights:
    """CVNet's weights with a re-ranker, carried as that of a checkpoint is."""
    leaves = dict(flatten(params))
    reranker = {
        row.key: row.layout.to_torch(leaves[row.path])
        for row in reranker_table(weights.architecture)
    }
    return dataclasses.replace(weights, carried={**weights.carried, **reranker})


def _guess(state: State, naming: Naming) -> Architecture:
    """The known network whose names and shapes differ least from a checkpoint's."""
    depths = depths_of(state)
    candidates = []
    for known in ARCHITECTURES.values():
        if known.depths == depths and _may_be_named(known, naming):
            candidates.append(with_classifier_of(state, known))
    if not candidates:
        raise UserError(
            f"no model has residual blocks {depths} in its stages under {naming} names, as this "
            f"checkpoint has, which begins with {', '.join(map(shown, list(state)[:2]))}; is it a "
            "ResNet with bottleneck blocks of depth 50, 101 or 152?"
        )
    return min(candidates, key=lambda known: len(_differences(state, known, naming)))


def _may_be_named(architecture: Architecture, naming: Naming) -> bool:
    if naming == "torchvision":
        return not architecture.describes
    return naming == "authors" or canonical_naming(architecture) == naming


def _differences(state: State, architecture: Architecture, naming: Naming) -> list[str]:
    if not _may_be_named(architecture, naming):
        return [f"{naming} names, which {architecture.name} does not have"]
    needed: dict[str, Row] = {row.key: row for row in table(architecture, naming)}
    allowed = {row.key: row for row in carried_rows(architecture, naming)}
    reranker = {row.key for row in reranker_table(architecture)} if naming == "cvnet" else set()
    if reranker & state.keys():
        needed |= {key: allowed[key] for key in reranker}
    differences = [f"{key} is missing" for key in needed if key not in state]
    for key, array in state.items():
        row = needed.get(key) or allowed.get(key)
        if row is None:
            differences.append(f"{printable(shortened(key, 80))} is unknown")
        elif array.shape != row.shape:
            differences.append(f"{key} is {list(array.shape)}, not {list(row.shape)}")
    return differences
