"""Batches on their way from the data to the step: pixels travel as bytes, one batch ahead."""

import itertools
from collections.abc import Callable, Generator, Iterator
from typing import Any

import jax

from senet_jax.data.loader import LIGHT, Batch
from senet_jax.models.preprocessing import Preprocessing, normalise
from senet_jax.system.threads import in_order


def normalised(batch: dict[str, jax.Array], preprocessing: Preprocessing) -> dict[str, jax.Array]:
    """A batch as `step.make_step` takes it, on the devices.

    Args:
        batch: as `data.loader.TrainingData` has it.
        preprocessing: what the network expects.
    """
    return {
        name: normalise(array, preprocessing, batch[name + LIGHT][:, None, None])
        if name + LIGHT in batch
        else array
        for name, array in batch.items()
        if not name.endswith(LIGHT)
    }


def placed_ahead(
    batches: Iterator[Batch], place: Callable[[Batch], Any]
) -> Generator[Any, None, None]:
    """Takes and places the next batch in a thread while the step before it is computed.

    Args:
        batches: without end.
        place: brings one to the devices.
    """
    return in_order(lambda _: place(next(batches)), itertools.count(), threads=1)
