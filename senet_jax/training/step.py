"""One step of training on one device; with a named axis, one device's part of it.

Nothing here knows how many devices there are. Over a mapped axis every device has its own images
and its own rows of the classifier and of the queue; all else is replicated and stays equal.
"""

import dataclasses
from collections.abc import Callable
from typing import Any, Literal

import jax
import jax.numpy as jnp
import optax
from jax import lax

from senet_jax.losses.classification import classification_loss
from senet_jax.losses.contrastive import contrastive_loss, enqueue
from senet_jax.losses.margin import Kind
from senet_jax.models.architecture import Architecture
from senet_jax.models.registry import build_model
from senet_jax.training.optimizer import clip_by_norm
from senet_jax.training.state import TrainState

Batch = dict[str, jax.Array]
Metrics = dict[str, jax.Array]


@dataclasses.dataclass(frozen=True)
class StepOptions:
    """Settings of a step.

    Attributes:
        classification_weight: of L_cls; 0 leaves it out.
        contrastive_weight: of L_con; 0 leaves it out.
        class_count: of the data.
        scale: one over the temperature, of L_cls.
        contrastive_scale: likewise, of L_con.
        margin_radians: of L_cls.
        contrastive_margin_radians: of L_con.
        margin_kind: of both.
        max_positives: see `contrastive_loss`.
        network_momentum: of the network that makes the keys.
        keys_first: whether keys enter the queue before the loss of their own step: then all keys of
            the batch are positives or negatives of its queries.
        keys_batch_norm: `batch` normalises keys by the statistics of their own batch, `running` by
            the running averages of that network.
        sync_batch_norm: take batch statistics over all devices.
        descriptor_norm: see `LayerOptions`.
        dtype: of the network's arithmetic; losses, norms and parameters are float32.
        remat: compute activations of residual blocks again instead of keeping them.
        accumulate: in how many parts the device's batch is gone through, to save memory. Batch
            statistics are then those of a part.
        clip_norm: the largest norm of the gradient; 0 for none.
    """

    classification_weight: float
    contrastive_weight: float
    class_count: int
    scale: float
    contrastive_scale: float
    margin_radians: float
    contrastive_margin_radians: float
    margin_kind: Kind
    max_positives: int
    network_momentum: float
    keys_first: bool = False
    keys_batch_norm: Literal["batch", "running"] = "batch"
    sync_batch_norm: bool = True
    descriptor_norm: bool = False
    dtype: Any = jnp.float32
    remat: bool = False
    accumulate: int = 1
    clip_norm: float = 0.0


def make_step(
    architecture: Architecture,
    optimizer: optax.GradientTransformation,
    options: StepOptions,
    axis_name: str | None = None,
) -> Callable[[TrainState, Batch], tuple[TrainState, Metrics]]:
    """The function of a step.

    Args:
        architecture: the network.
        optimizer: gradients to updates.
        options: the settings.
        axis_name: the mapped axis, or None on one device.

    Returns:
        (state, batch) -> (state, metrics). A batch is `images` float32[b h w 3], normalised,
        `labels` int32[b] and, for L_con, `positives` float32[b h w 3], another image of each
        class. Metrics are means over all devices: `loss`, `gradient_norm`, and the losses' own.
    """
    make = {
        "dtype": options.dtype,
        "axis_name": axis_name if options.sync_batch_norm else None,
        "remat": options.remat,
        "descriptor_norm": options.descriptor_norm,
    }
    training = build_model(architecture, train=True, **make)
    keys_train = options.keys_batch_norm == "batch"
    key_network = build_model(architecture, train=keys_train, **make)

    def mean_over_devices(tree: Any) -> Any:
        return tree if axis_name is None else lax.pmean(tree, axis_name)

    def loss_of_part(params: Any, state: TrainState, batch: Batch):
        (embeddings, _), updated = training.apply(
            {"params": params["network"], "batch_stats": state.batch_stats},
            batch["images"],
            mutable=["batch_stats"],
        )
        loss, metrics = jnp.zeros(()), {}
        running, momentum_network = dict(state.running), state.momentum_network
        queue, keys = state.queue, None
        if options.classification_weight:
            value, (running["classification"], named) = classification_loss(
                embeddings,
                batch["labels"],
                params["classes"],
                state.running["classification"],
                class_count=options.class_count,
                scale=options.scale,
                margin_radians=options.margin_radians,
                kind=options.margin_kind,
                axis_name=axis_name,
            )
            loss += options.classification_weight * value
            metrics |= {"loss_classification": value} | named
        if options.contrastive_weight:
            (keys, _), key_updated = key_network.apply(
                momentum_network, batch["positives"], mutable=["batch_stats"] if keys_train else []
            )
            keys = lax.stop_gradient(keys)
            momentum_network = momentum_network | key_updated
            if options.keys_first:
                queue, keys = enqueue(queue, keys, batch["labels"], axis_name), None
            value, (running["contrastive"], named) = contrastive_loss(
                embeddings,
                keys,
                batch["labels"],
                queue,
                state.running["contrastive"],
                scale=options.contrastive_scale,
                margin_radians=options.contrastive_margin_radians,
                kind=options.margin_kind,
                max_positives=options.max_positives,
                axis_name=axis_name,
            )
            loss += options.contrastive_weight * value
            metrics |= {"loss_contrastive": value} | named
        after = state.replace(
            batch_stats=updated["batch_stats"],
            running=running,
            momentum_network=momentum_network,
            queue=queue,
        )
        return loss, (after, keys, metrics | {"loss": loss})

    def gradients_of_part(state: TrainState, batch: Batch):
        gradients, (after, keys, metrics) = jax.grad(loss_of_part, has_aux=True)(
            state.params, state, batch
        )
        return after, (gradients, keys, metrics)

    def step(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        parts = jax.tree.map(lambda a: a.reshape(options.accumulate, -1, *a.shape[1:]), batch)
        if options.accumulate == 1:
            after, results = gradients_of_part(state, batch)
            gradients, keys, metrics = results
        else:
            after, (gradients, keys, metrics) = lax.scan(gradients_of_part, state, parts)
            gradients, metrics = jax.tree.map(lambda a: jnp.mean(a, axis=0), (gradients, metrics))
            keys = keys if keys is None else keys.reshape(-1, keys.shape[-1])

        devices = 1 if axis_name is None else lax.axis_size(axis_name)
        gradients = {
            "network": mean_over_devices(gradients["network"]),
            # What every device's queries say of these rows is already added up in them.
            "classes": gradients["classes"] / devices,
        }
        norm = _global_norm(gradients, axis_name)
        if options.clip_norm:
            gradients = clip_by_norm(gradients, norm, options.clip_norm)
        updates, optimizer_state = optimizer.update(gradients, state.optimizer, state.params)
        params = optax.apply_updates(state.params, updates)

        momentum_network, queue = after.momentum_network, after.queue
        if options.contrastive_weight:
            if not options.keys_first:
                queue = enqueue(queue, keys, batch["labels"], axis_name)
            momentum_network = {
                "params": optax.incremental_update(
                    params["network"], momentum_network["params"], 1 - options.network_momentum
                ),
                "batch_stats": mean_over_devices(
                    momentum_network["batch_stats"]
                    if keys_train
                    else optax.incremental_update(
                        after.batch_stats,
                        momentum_network["batch_stats"],
                        1 - options.network_momentum,
                    )
                ),
            }
        state = state.replace(
            step=state.step + 1,
            params=params,
            batch_stats=mean_over_devices(after.batch_stats),
            momentum_network=momentum_network,
            queue=queue,
            running=after.running,
            optimizer=optimizer_state,
        )
        return state, mean_over_devices(metrics) | {"gradient_norm": norm}

    return step


def _global_norm(gradients: dict[str, Any], axis_name: str | None) -> jax.Array:
    rows = jnp.sum(gradients["classes"] ** 2)
    if axis_name is not None:
        rows = lax.psum(rows, axis_name)
    return jnp.sqrt(rows + optax.tree.norm(gradients["network"]) ** 2)
