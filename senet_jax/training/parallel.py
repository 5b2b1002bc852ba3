"""The step on all devices of all processes: the only file that knows `jax.pmap`.

Replicated leaves of the state have no axis of devices; leaves that are spread by their rows have
it in front. On the host, and so in checkpoints, the latter are whole again, in the order of the
devices: what is saved on eight devices resumes on two.
"""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np
from jax.experimental import multihost_utils
from jax.sharding import Mesh, NamedSharding
from jax.sharding import PartitionSpec as P

from senet_jax.system.errors import UserError
from senet_jax.training.optimizer import map_with_path
from senet_jax.training.state import TrainState, leaves_by_rows
from senet_jax.training.step import Batch, Metrics

AXIS = "devices"


def check_divisible(batch_size: int, accumulate: int, state: TrainState) -> None:
    """Checks that all devices of all processes can share a batch, and what is spread by rows.

    Args:
        batch_size: over all devices.
        accumulate: in how many parts a device goes through its share of the batch.
        state: whole.

    Raises:
        UserError: one of them does not divide; both numbers are named.
    """
    devices = jax.device_count()
    shared = {"a batch": (batch_size, devices * accumulate)}

    def add(path: str, leaf: Any) -> None:
        if state.is_by_rows(path):
            shared[path] = (len(leaf), devices)

    map_with_path(add, state)
    for what, (count, shares) in shared.items():
        if count % shares:
            parts = f", each in {accumulate} parts" if shares > devices else ""
            raise UserError(
                f"{what} of {count} cannot be shared by {devices} devices{parts}; choose a "
                f"multiple of {shares}"
            )


class ParallelStep:
    """A step mapped over all devices.

    Args:
        step: one device's part, with the axis named `AXIS`.
        state: whose structure tells what is spread.
    """

    def __init__(
        self, step: Callable[[TrainState, Batch], tuple[TrainState, Metrics]], state: TrainState
    ):
        self._sharded = leaves_by_rows(state)
        self._local_devices = jax.local_device_count()
        self._mesh = Mesh(np.array(jax.local_devices()), (AXIS,))
        tree = jax.tree.structure(state)

        def step_of_leaves(leaves: tuple, batch: Batch) -> tuple[tuple, Metrics]:
            state, metrics = step(jax.tree.unflatten(tree, leaves), batch)
            return tuple(jax.tree.leaves(state)), metrics

        # With several processes, pmap takes no dicts for axes: it hashes them.
        axes = tuple(0 if sharded else None for sharded in jax.tree.leaves(self._sharded))
        self._step = jax.pmap(
            step_of_leaves, AXIS, in_axes=(axes, 0), out_axes=(axes, None), donate_argnums=0
        )

    def place(self, batch: dict[str, np.ndarray]) -> dict[str, jax.Array]:
        """This process's share of a batch, [b ...], on its devices."""
        return jax.device_put(jax.tree.map(self._split, batch), NamedSharding(self._mesh, P(AXIS)))

    def __call__(self, state: Any, batch: dict[str, jax.Array]) -> tuple[Any, Metrics]:
        """Runs a step.

        Args:
            state: of `to_devices` or of the step before, which is used up.
            batch: of `place`.

        Returns:
            The state and the metrics, the same on every device of every process.
        """
        leaves, tree = jax.tree.flatten(state)
        leaves, metrics = self._step(tuple(leaves), batch)
        return jax.tree.unflatten(tree, leaves), metrics

    def lower(
        self, state: TrainState, batch: dict[str, jax.ShapeDtypeStruct]
    ) -> jax.stages.Lowered:
        """The program of the step; nothing is placed or computed.

        Args:
            state: shapes of whole leaves.
            batch: shapes of this process's share, [b ...].
        """

        def split(leaf: jax.ShapeDtypeStruct) -> jax.ShapeDtypeStruct:
            parts = self._local_devices
            shape = (parts, leaf.shape[0] // parts, *leaf.shape[1:])
            return jax.ShapeDtypeStruct(shape, leaf.dtype)

        spread = jax.tree.map(
            lambda leaf, sharded: split(leaf) if sharded else leaf, state, self._sharded
        )
        return self._step.lower(tuple(jax.tree.leaves(spread)), jax.tree.map(split, batch))

    def to_devices(self, state: TrainState) -> Any:
        """From whole NumPy leaves to what the step takes, of which this process has its part."""
        first = jax.process_index() * self._local_devices
        blocks = slice(first, first + self._local_devices)

        def place(leaf: np.ndarray, sharded: bool) -> jax.Array:
            # As the step gives it back, or the second step would be compiled once more.
            leaf = np.asarray(leaf)
            if sharded:
                leaf = leaf.reshape(jax.device_count(), -1, *leaf.shape[1:])[blocks]
            return jax.device_put(leaf, NamedSharding(self._mesh, P(AXIS) if sharded else P()))

        return jax.tree.map(place, state, self._sharded)

    def to_host(self, state: Any) -> TrainState:
        """From what the step gave to whole NumPy leaves, the same in every process.

        All processes have to call it together.
        """

        def collect(leaf: jax.Array, sharded: bool) -> np.ndarray:
            shards = sorted(leaf.addressable_shards, key=lambda shard: shard.index[0:1] or ())
            if not sharded:
                return np.asarray(shards[0].data)
            own = np.concatenate([np.asarray(shard.data) for shard in shards])  # [D r ...]
            if jax.process_count() > 1:
                own = multihost_utils.process_allgather(own)
            return own.reshape(-1, *leaf.shape[2:])

        return jax.tree.map(collect, state, self._sharded)

    def _split(self, array: np.ndarray) -> np.ndarray:
        return array.reshape(self._local_devices, -1, *array.shape[1:])
