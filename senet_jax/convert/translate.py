"""From a checkpoint's state to `Weights` and back, through the table of `mapping`."""

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from senet_jax.convert.mapping import (
    canonical_naming,
    carried_rows,
    extra_tables,
    naming_of,
    table,
)
from senet_jax.models.checkpoint_keys import Row
from senet_jax.models.registry import ARCHITECTURES, family_of
from senet_jax.models.settings import Settings
from senet_jax.system.errors import UserError, printable, shortened, shown
from senet_jax.weights import Weights, check_values

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
    state: State, source: Mapping[str, Any], architecture: Settings | None = None
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
    candidates = _candidates(state, naming)
    if architecture is None:
        architecture = _guess(state, naming, candidates)
    differences = _differences(state, architecture, naming)
    if differences:
        fitting = (c for c in candidates if not _differences(state, c, naming))
        raise MisfitError(architecture.name, differences, next((c.name for c in fitting), None))
    tensors = {}
    for row in _rows(architecture, naming):
        if row.key in state:
            check_values(row.key, state[row.key])
            tensors[row.path] = np.ascontiguousarray(row.layout.from_torch(state[row.key]))
    return Weights(
        architecture=architecture,
        preprocessing=family_of(architecture).preprocessing,
        tensors=tensors,
        carried={
            row.path: state[row.key]
            for row in carried_rows(architecture, naming)
            if row.key in state
        },
        source=source,
    )


def adapted_to(state: State, architecture: Settings) -> Settings:
    """A network with the sizes that a checkpoint has; unchanged if it cannot be one of these."""
    family = family_of(architecture)
    naming = family.naming(naming_of(state))
    return architecture if naming is None else family.adapted(architecture, naming, _shapes(state))


def state_from_weights(weights: Weights) -> dict[str, np.ndarray]:
    """The state under the authors' names: what the network's own PyTorch code loads strictly."""
    architecture, naming = weights.architecture, canonical_naming(weights.architecture)
    state = {
        row.key: row.layout.to_torch(weights.tensors[row.path])
        for row in _rows(architecture, naming)
        if row.path in weights.tensors
    }
    return state | dict(weights.carried)


def _rows(architecture: Settings, naming: str) -> list[Row]:
    """Of the network and of the extra parts, which a checkpoint may lack."""
    return [*table(architecture, naming), *itertools.chain(*extra_tables(architecture, naming))]


def _shapes(state: State) -> dict[str, tuple[int, ...]]:
    return {key: array.shape for key, array in state.items()}


def _candidates(state: State, naming: str) -> list[Settings]:
    """The named networks that a checkpoint may be of, by its names, with its sizes."""
    return [
        adapted_to(state, known)
        for known in ARCHITECTURES.values()
        if family_of(known).naming(naming) and family_of(known).fits(known, state.keys())
    ]


def _guess(state: State, naming: str, candidates: Sequence[Settings]) -> Settings:
    """The candidate whose names and shapes differ least from a checkpoint's."""
    if not candidates:
        kind = f"{naming} names" if naming else "no names that are known here"
        raise UserError(
            f"no model has the layers of this checkpoint, which begins with "
            f"{', '.join(map(shown, list(state)[:2]))} ({kind}); is it a ResNet with bottleneck "
            "blocks of depth 50, 101 or 152?"
        )
    return min(candidates, key=lambda known: len(_differences(state, known, naming)))


def _differences(state: State, architecture: Settings, naming: str) -> list[str]:
    if family_of(architecture).naming(naming) is None:
        return [f"{naming or 'unknown'} names, which {architecture.name} does not have"]
    needed = {row.key: row for row in table(architecture, naming)}
    for extra in extra_tables(architecture, naming):
        rows = {row.key: row for row in extra}
        if rows.keys() & state.keys():
            needed |= rows
    allowed = {row.key: row for row in carried_rows(architecture, naming)}
    differences = [f"{key} is missing" for key in needed if key not in state]
    for key, array in state.items():
        row = needed.get(key) or allowed.get(key)
        if row is None:
            differences.append(f"{printable(shortened(key, 80))} is unknown")
        elif array.shape != row.shape:
            differences.append(f"{key} is {list(array.shape)}, not {list(row.shape)}")
    return differences
