"""One step of training on one device; with a named axis, one device's part of it.

Nothing here knows how many devices there are, nor which losses. Over a mapped axis every device
has its own images and its own rows of what the losses spread; all else is replicated and stays
equal.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
import optax
from jax import lax

from senet_jax.losses.loss import Inputs, Loss, Step
from senet_jax.models.registry import build_model
from senet_jax.models.settings import Settings
from senet_jax.training.optimizer import clip_by_norm, map_with_path
from senet_jax.training.settings import StepSettings
from senet_jax.training.state import TrainState

Batch = dict[str, jax.Array]
Metrics = dict[str, jax.Array]


def make_step(
    architecture: Settings,
    optimizer: optax.GradientTransformation,
    losses: Sequence[Loss],
    settings: StepSettings,
    *,
    class_count: int,
    clip_norm: float = 0.0,
    axis_name: str | None = None,
    from_maps: bool = False,
) -> Callable[[TrainState, Batch], tuple[TrainState, Metrics]]:
    """The function of a step.

    Args:
        architecture: the network.
        optimizer: gradients to updates.
        losses: whose weighted sum is minimised.
        settings: how the gradient is computed.
        class_count: of the data.
        clip_norm: the largest norm of the gradient; 0 for none.
        axis_name: the mapped axis, or None on one device.
        from_maps: whether the network begins behind its trunk, whose maps the `images` then are.

    Returns:
        (state, batch) -> (state, metrics). A batch is `images` float32[b h w 3], normalised,
        `labels` int32[b] and, for losses of pairs, `positives` float32[b h w 3], another image of
        each class. Metrics are means over all devices: `loss`, `loss_NAME` of each loss,
        `gradient_norm`, and the losses' own.
    """
    options = {
        "dtype": jnp.dtype(settings.precision),
        "axis_name": axis_name if settings.sync_batch_norm else None,
        "remat": settings.remat,
        "descriptor_norm": settings.descriptor_norm,
        "from_maps": from_maps,
    }
    by_batch = settings.batch_norm == "batch"
    models = {train: build_model(architecture, train=train, **options) for train in (True, False)}

    def describe(variables: Any, images: jax.Array, train: bool) -> tuple[jax.Array, Any]:
        (embeddings, _), updated = models[train].apply(
            variables, images, mutable=["batch_stats"] if train else []
        )
        return embeddings, updated.get("batch_stats", {}) if train else variables["batch_stats"]

    def loss_of_part(params: Any, state: TrainState, batch: Batch):
        variables = {"params": params["network"], "batch_stats": state.batch_stats}
        embeddings, batch_stats = describe(variables, batch["images"], by_batch)
        inputs = Inputs(
            embeddings, batch["labels"], batch.get("positives"), class_count, describe, axis_name
        )
        total, states, kept, metrics = jnp.zeros(()), {}, {}, {}
        for loss in losses:
            result = loss(params, state.losses[loss.name], inputs)
            total += loss.weight * result.value
            states[loss.name], kept[loss.name] = result.state, result.kept
            metrics |= {f"loss_{loss.name}": result.value} | dict(result.metrics)
        after = state.replace(batch_stats=batch_stats, losses=states)
        return total, (after, kept, metrics | {"loss": total})

    return make_update(
        loss_of_part,
        optimizer,
        losses,
        accumulate=settings.accumulate,
        clip_norm=clip_norm,
        axis_name=axis_name,
    )


def make_update(
    loss_of_part: Callable[[Any, TrainState, Batch], tuple[jax.Array, Any]],
    optimizer: optax.GradientTransformation,
    losses: Sequence[Loss] = (),
    *,
    accumulate: int = 1,
    clip_norm: float = 0.0,
    axis_name: str | None = None,
) -> Callable[[TrainState, Batch], tuple[TrainState, Metrics]]:
    """The function of a step that descends the gradient of any loss.

    Args:
        loss_of_part: the parameters, the state before the step and a part of a device's batch ->
            the loss, and beside it the state with what changes but by the gradient, what each of
            the losses keeps of the part, and the metrics.
        optimizer: gradients to updates.
        losses: whose states change once more after the update.
        accumulate: in how many parts a device goes through its batch.
        clip_norm: see `make_step`.
        axis_name: see `make_step`.

    Returns:
        See `make_step`; the metrics are those of `loss_of_part` and `gradient_norm`.
    """

    def mean_over_devices(tree: Any) -> Any:
        return tree if axis_name is None else lax.pmean(tree, axis_name)

    def gradients_of_part(state: TrainState, batch: Batch):
        gradients, (after, kept, metrics) = jax.grad(loss_of_part, has_aux=True)(
            state.params, state, batch
        )
        return after, (gradients, kept, metrics)

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        parts = jax.tree.map(lambda a: a.reshape(accumulate, -1, *a.shape[1:]), batch)
        if accumulate == 1:
            after, (gradients, kept, metrics) = gradients_of_part(state, batch)
        else:
            after, (gradients, kept, metrics) = lax.scan(gradients_of_part, state, parts)
            gradients, metrics = jax.tree.map(lambda a: jnp.mean(a, axis=0), (gradients, metrics))
            kept = jax.tree.map(lambda a: a.reshape(-1, *a.shape[2:]), kept)

        devices = 1 if axis_name is None else lax.axis_size(axis_name)
        # What every device's queries say of rows that are spread is already added up in them.
        rows, replicated = _apart(gradients, state)
        rows = jax.tree.map(lambda gradient: gradient / devices, rows)
        replicated = mean_over_devices(replicated)
        norm = _global_norm(rows, replicated, axis_name)
        gradients = _together(rows, replicated)
        if clip_norm:
            gradients = clip_by_norm(gradients, norm, clip_norm)
        updates, optimizer_state = optimizer.update(gradients, state.optimizer, state.params)
        params: Any = optax.apply_updates(state.params, updates)

        variables = {"params": params["network"], "batch_stats": after.batch_stats}
        states = {
            loss.name: loss.after_step(
                after.losses[loss.name],
                Step(variables, batch["labels"], kept[loss.name], axis_name),
            )
            for loss in losses
        }
        state = state.replace(
            step=state.step + 1,
            params=params,
            batch_stats=mean_over_devices(after.batch_stats),
            losses=states,
            optimizer=optimizer_state,
        )
        return state, mean_over_devices(metrics) | {"gradient_norm": norm}

    return step


def _apart(params: Any, state: TrainState) -> tuple[Any, Any]:
    """Those whose rows are spread over devices, and the replicated ones; None for the others."""

    def those(by_rows: bool) -> Any:
        return map_with_path(
            lambda path, leaf: leaf if state.is_by_rows(f"params/{path}") == by_rows else None,
            params,
        )

    return those(True), those(False)


def _together(rows: Any, replicated: Any) -> Any:
    return jax.tree.map(
        lambda row, other: other if row is None else row,
        rows,
        replicated,
        is_leaf=lambda leaf: leaf is None,
    )


def _global_norm(rows: Any, replicated: Any, axis_name: str | None) -> jax.Array:
    squares = sum((jnp.sum(leaf**2) for leaf in jax.tree.leaves(rows)), start=jnp.zeros(()))
    if axis_name is not None:
        squares = lax.psum(squares, axis_name)
    return jnp.sqrt(squares + optax.tree.norm(replicated) ** 2)
