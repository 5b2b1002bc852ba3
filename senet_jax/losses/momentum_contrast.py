"""L_con in a training: a second network, which follows the first, makes the keys of a queue."""

import dataclasses
import math
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import jax
import jax.numpy as jnp
import optax
from jax import lax

from senet_jax.config import integer, number, one_of, setting, yes_or_no
from senet_jax.losses import margin
from senet_jax.losses.contrastive import contrastive_loss, empty_queue, enqueue
from senet_jax.losses.loss import Dimensions, Inputs, Loss, Result, Step
from senet_jax.system.errors import UserError

State = dict[str, Any]
"""`queue`; `running`, float32[]; `momentum_network`: `params` and `batch_stats` of the second
network, the exponential moving average that makes the keys."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Contrastive(Loss):
    """L_con, momentum contrast with labels; see `contrastive_loss`."""

    name: ClassVar[str] = "contrastive"
    by_rows: ClassVar[tuple[str, ...]] = ("queue/descriptors", "queue/labels")
    pairs: ClassVar[bool] = True

    weight: float = setting(
        number(0),
        "of L_con; 0 leaves it out, with its queue and its second network",
        0.5,
        source="second-hand",
    )
    margin_kind: margin.Kind = margin.kind_setting()
    scale: float = setting(
        number(0, above=True), "one over the temperature, of L_con", 30.0, source="second-hand"
    )
    margin_radians: float = setting(
        number(0, math.pi), "the margin of L_con", 0.15, source="second-hand"
    )
    queue_length: int = setting(
        integer(1),
        "keys in the queue of L_con, over all devices",
        73_728,
        source="open; a common guess, 512 x 144",
        key="queue_length",
    )
    max_positives: int = setting(
        integer(1),
        "positives of a query in the queue that count; the rest is left out",
        32,
        key="max_positives",
    )
    network_momentum: float = setting(
        number(0, 1),
        "of the second network, which makes the keys",
        0.999,
        source="second-hand",
        key="network_momentum",
    )
    keys_first: bool = setting(
        yes_or_no,
        "whether the keys of a step are in the queue for its own loss: then all keys of the batch "
        "are positives or negatives of its queries",
        False,
        source="open",
        key="keys_first",
    )
    keys_batch_norm: Literal["batch", "running"] = setting(
        one_of("batch", "running"),
        "normalise keys by their own batch's statistics, or by running averages",
        "batch",
        source="open",
        key="keys_batch_norm",
    )

    def check(self, batch_size: int) -> None:
        """Checks that the queue takes a batch."""
        if self.queue_length < batch_size:
            raise UserError(
                f"config.losses.queue_length is {self.queue_length}, config.batch_size "
                f"{batch_size}; the queue takes at least a batch"
            )

    def initial_state(self, dimensions: Dimensions, variables: Mapping[str, Any]) -> State:
        """An empty queue, and a copy of the network."""
        return {
            "momentum_network": jax.tree.map(jnp.copy, dict(variables)),
            "queue": empty_queue(self.queue_length, dimensions.width),
            "running": jnp.zeros(()),
        }

    def __call__(self, params: Any, state: State, inputs: Inputs) -> Result:
        """Makes the keys; keeps those that enter the queue after the step."""
        if inputs.positives is None:
            raise ValueError("a batch without positives")
        network, queue = state["momentum_network"], state["queue"]
        made, batch_stats = inputs.describe(network, inputs.positives, self._keys_train)
        keys: jax.Array | None = lax.stop_gradient(made)
        if self.keys_first:
            queue, keys = enqueue(queue, keys, inputs.labels, inputs.axis_name), None
        value, (running, metrics) = contrastive_loss(
            inputs.embeddings,
            keys,
            inputs.labels,
            queue,
            state["running"],
            scale=self.scale,
            margin_radians=self.margin_radians,
            kind=self.margin_kind,
            max_positives=self.max_positives,
            axis_name=inputs.axis_name,
        )
        after = {
            "momentum_network": {**network, "batch_stats": batch_stats},
            "queue": queue,
            "running": running,
        }
        return Result(value, after, metrics, kept=() if keys is None else keys)

    def after_step(self, state: State, step: Step) -> State:
        """Lets the keys in, and the second network follow."""
        queue, network = state["queue"], state["momentum_network"]
        if not self.keys_first:
            queue = enqueue(queue, step.kept, step.labels, step.axis_name)
        batch_stats = network["batch_stats"]
        if not self._keys_train:
            batch_stats = self._followed(step.variables["batch_stats"], batch_stats)
        if step.axis_name is not None:
            batch_stats = lax.pmean(batch_stats, step.axis_name)
        params = self._followed(step.variables["params"], network["params"])
        return state | {
            "momentum_network": {"params": params, "batch_stats": batch_stats},
            "queue": queue,
        }

    @property
    def _keys_train(self) -> bool:
        return self.keys_batch_norm == "batch"

    def _followed(self, new: Any, old: Any) -> Any:
        return optax.incremental_update(new, old, 1 - self.network_momentum)
