"""All that a training is at one moment."""

from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax

from senet_jax.losses import contrastive, sharded_softmax
from senet_jax.losses.contrastive import Queue
from senet_jax.models.layers import linear_init
from senet_jax.training.optimizer import map_with_path

SHARDED = ("classes", "queue/descriptors", "queue/labels")


class TrainState(flax.struct.PyTreeNode):
    """The state before a step; a checkpoint holds all of it.

    Attributes:
        step: int32[], how many steps are done.
        params: `network`, the tree of the Flax module, and `classes`, float32[r d] with the rows of
            the classifier (no rows without L_cls).
        batch_stats: of the network.
        momentum_network: `params` and `batch_stats` of the exponential moving average that makes
            the keys of L_con; empty without it.
        queue: the keys of the latest steps; empty without L_con.
        running: `classification` and `contrastive`, float32[] each: the running scalars.
        optimizer: the state of the optimiser.
    """

    step: jax.Array
    params: dict[str, Any]
    batch_stats: Any
    momentum_network: dict[str, Any]
    queue: Queue
    running: dict[str, jax.Array]
    optimizer: optax.OptState


def create_state(
    variables: dict[str, Any],
    optimizer: optax.GradientTransformation,
    *,
    class_count: int,
    queue_length: int,
    width: int,
    seed: int,
) -> TrainState:
    """The state before the first step.

    Args:
        variables: `params` and `batch_stats` of the network.
        optimizer: whose state is made.
        class_count: of the classifier; 0 without L_cls. Its rows are padded to a fixed multiple.
        queue_length: of L_con; 0 without it.
        width: of a descriptor.
        seed: of the classifier's initial rows.
    """
    rows = sharded_softmax.padded_rows(class_count)
    classes = linear_init(jax.random.key(seed), (rows, width), jnp.float32)
    params = {"network": variables["params"], "classes": classes}
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        batch_stats=variables["batch_stats"],
        momentum_network=jax.tree.map(jnp.copy, variables) if queue_length else {},
        queue=contrastive.empty_queue(queue_length, width),
        running={name: jnp.zeros(()) for name in ("classification", "contrastive")},
        optimizer=optimizer.init(params),
    )


def is_sharded(path: str) -> bool:
    """Whether a leaf of the state is spread over devices by its rows; all else is replicated.

    So are the rows of the classifier, whatever the optimiser keeps for each of them, and the
    queue's.
    """
    return path.endswith(SHARDED)


def sharded_leaves(state: TrainState) -> Any:
    """A tree like the state, True where a leaf is spread over devices by its rows."""
    return map_with_path(lambda path, _: is_sharded(path), state)
