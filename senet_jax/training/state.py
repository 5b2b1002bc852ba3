"""All that a training is at one moment."""

from collections.abc import Sequence
from typing import Any

import flax.struct
import jax
import jax.numpy as jnp
import optax

from senet_jax.losses.loss import Dimensions, Loss
from senet_jax.training.optimizer import map_with_path


class TrainState(flax.struct.PyTreeNode):
    """The state before a step; a checkpoint holds all of it.

    Attributes:
        step: int32[], how many steps are done.
        params: `network`, the tree of the Flax module, and the parameters of the losses by their
            names.
        batch_stats: of the network.
        losses: name of a loss -> its state.
        optimizer: the state of the optimiser.
        by_rows: paths of the parameters, `classes`, and of the leaves of the losses' states,
            `losses/contrastive/queue/labels`, whose rows are spread over devices. All else is
            replicated.
    """

    step: jax.Array
    params: dict[str, Any]
    batch_stats: Any
    losses: dict[str, Any]
    optimizer: optax.OptState
    by_rows: tuple[str, ...] = flax.struct.field(pytree_node=False)

    def is_by_rows(self, path: str) -> bool:
        """Whether the rows of a leaf are spread over devices.

        Whatever the optimiser keeps for each row of a parameter is spread with it.
        """
        if path.startswith(("params/", "optimizer/")):
            return "/network/" not in path and path.endswith(
                tuple(f"/{name}" for name in self.by_rows)
            )
        return path in self.by_rows


def create_state(
    variables: dict[str, Any],
    optimizer: optax.GradientTransformation,
    losses: Sequence[Loss],
    dimensions: Dimensions,
) -> TrainState:
    """The state before the first step.

    Args:
        variables: `params` and `batch_stats` of the network.
        optimizer: whose state is made.
        losses: whose parameters and states are made.
        dimensions: of the training.

    Raises:
        ValueError: two losses call a parameter the same.
    """
    params, states, by_rows = {"network": variables["params"]}, {}, []
    for loss in losses:
        own = loss.initial_params(dimensions)
        if shared := params.keys() & own.keys():
            raise ValueError(f"the loss {loss.name} has parameters of another: {sorted(shared)}")
        params |= own
        states[loss.name] = loss.initial_state(dimensions, variables)
        for path in loss.by_rows:
            of_params = path.split("/")[0] in own
            by_rows.append(path if of_params else f"losses/{loss.name}/{path}")
    return TrainState(
        step=jnp.zeros((), jnp.int32),
        params=params,
        batch_stats=variables["batch_stats"],
        losses=states,
        optimizer=optimizer.init(params),
        by_rows=tuple(by_rows),
    )


def leaves_by_rows(state: TrainState) -> Any:
    """A tree like the state, True where the rows of a leaf are spread over devices."""
    return map_with_path(lambda path, _: state.is_by_rows(path), state)
