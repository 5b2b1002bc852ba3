"""The losses by name; a config has the keys of those whose `NAME_weight` it holds."""

from collections.abc import Mapping
from typing import Any, TypeVar

from senet_jax.losses.classification import Classification
from senet_jax.losses.loss import Loss
from senet_jax.losses.momentum_contrast import Contrastive

Kind = TypeVar("Kind", bound=type[Loss])

LOSSES: dict[str, type[Loss]] = {loss.name: loss for loss in (Classification, Contrastive)}
"""In the order in which they are added up."""


def register(loss: Kind) -> Kind:
    """Makes a loss known by its name, as a decorator of its class.

    A config file that is loaded again replaces the loss that it has registered.

    Raises:
        ValueError: another loss has the name.
    """
    known = LOSSES.setdefault(loss.name, loss)
    if known.__qualname__ != loss.__qualname__:
        raise ValueError(f"the loss '{loss.name}' is {known.__qualname__} already")
    LOSSES[loss.name] = loss
    return loss


def chosen(values: Mapping[str, Any]) -> dict[str, type[Loss]]:
    """The losses that the section `losses` of a config holds, by name."""
    return {name: loss for name, loss in LOSSES.items() if f"{name}_weight" in values}
