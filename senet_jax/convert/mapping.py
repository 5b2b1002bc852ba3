"""The tables from the variables of networks to the keys of checkpoints, as their families say."""

import functools
from collections.abc import Collection, Mapping
from typing import Any

from senet_jax.models.checkpoint_keys import SAME, Beside, Naming, Row, counter_beside, rows
from senet_jax.models.registry import families, family_of
from senet_jax.models.settings import Settings
from senet_jax.weights import extra_shapes, tensor_shapes


def naming_of(keys: Collection[str]) -> str:
    """Whose names a checkpoint's keys are; empty if no family knows them."""
    found = (n.name for family in families() for n in family.namings if n.is_of(keys))
    return next(found, "")


def beside_state(naming: str, value: Mapping[str, Any]) -> Beside:
    """What a file of a naming says of a network besides its state.

    Raises:
        UserError: it is not what such files have; the text goes on after a path.
    """
    namings = [n for family in families() for n in family.namings if n.name == naming]
    return namings[0].beside(value) if namings else Beside()


def canonical_naming(architecture: Settings) -> str:
    """The naming in which a network's weights are written: that of its authors."""
    return _namings(architecture)[0].name


@functools.cache
def table(architecture: Settings, naming: str) -> list[Row]:
    """Every variable of a network with its key under a naming."""
    return rows(_naming(architecture, naming), tensor_shapes(architecture))


@functools.cache
def extra_tables(architecture: Settings, naming: str) -> list[list[Row]]:
    """The same for each extra part that the weights of a network may have."""
    tables = (
        rows(_naming(architecture, naming), shapes)
        for shapes in extra_shapes(architecture).values()
    )
    return [table for table in tables if table]


def carried_rows(architecture: Settings, naming: str) -> list[Row]:
    """What a checkpoint may hold besides; a row's path is its key in the canonical naming."""
    canonical = {row.path: row.key for row in table(architecture, canonical_naming(architecture))}
    return [
        Row(known, counter, (), SAME)
        for row in table(architecture, naming)
        if (counter := counter_beside(row.key)) and (known := counter_beside(canonical[row.path]))
    ]


def _namings(architecture: Settings) -> tuple[Naming, ...]:
    return family_of(architecture).namings


def _naming(architecture: Settings, name: str) -> Naming:
    naming = family_of(architecture).naming(name)
    if naming is None:
        raise KeyError(f"{architecture.name} has no {name} names")
    return naming
