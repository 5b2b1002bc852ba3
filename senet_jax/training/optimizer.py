"""The optimiser and its schedule, from plain settings."""

import dataclasses
import re
from collections.abc import Callable, Mapping
from typing import Any, Literal

import jax
import jax.numpy as jnp
import optax

from senet_jax.system.errors import UserError, shown

Schedule = Callable[[jax.Array], jax.Array]


@dataclasses.dataclass(frozen=True)
class OptimizerOptions:
    """Settings of the optimiser. Their values in the configs say where each is from.

    Attributes:
        name: `sgd`, with PyTorch's coupled weight decay, or `adamw`.
        learning_rate: at the end of the warm-up.
        total_steps: of the training; the rate falls to 0 over them along a cosine.
        warmup_steps: over which the rate grows linearly from `warmup_start` times itself.
        warmup_start: a factor.
        momentum: of SGD.
        nesterov: whether SGD looks ahead.
        weight_decay: of every parameter that `no_weight_decay` does not name.
        no_weight_decay: regular expressions of parameter paths, searched for.
        rate_multipliers: regular expression of parameter paths -> factor of their learning rate;
            the first that is found counts.
    """

    name: Literal["sgd", "adamw"]
    learning_rate: float
    total_steps: int
    warmup_steps: int = 0
    warmup_start: float = 0.1
    momentum: float = 0.9
    nesterov: bool = False
    weight_decay: float = 0.0
    no_weight_decay: tuple[str, ...] = ()
    rate_multipliers: Mapping[str, float] = dataclasses.field(default_factory=dict)


def learning_rate_schedule(options: OptimizerOptions) -> Schedule:
    """Step int32[] -> learning rate float32[]: a linear warm-up, then a cosine to 0."""
    cosine = optax.cosine_decay_schedule(
        options.learning_rate, max(options.total_steps - options.warmup_steps, 1)
    )
    if not options.warmup_steps:
        return cosine
    warmup = optax.linear_schedule(
        options.warmup_start * options.learning_rate, options.learning_rate, options.warmup_steps
    )
    return optax.join_schedules([warmup, cosine], [options.warmup_steps])


def make_optimizer(options: OptimizerOptions) -> optax.GradientTransformation:
    """Gradients to updates; leaves of its state that belong to a parameter have its path."""

    def decayed(params: Any) -> Any:
        return map_with_path(lambda path, _: not _named(path, options.no_weight_decay), params)

    decay = optax.add_decayed_weights(options.weight_decay, mask=decayed)
    if options.name == "adamw":
        chain = [optax.scale_by_adam(), decay]
    else:
        chain = [decay, optax.trace(options.momentum, options.nesterov)]
    return optax.chain(
        *chain,
        optax.stateless(lambda updates, _: map_with_path(_multiplied(options), updates)),
        optax.scale_by_learning_rate(learning_rate_schedule(options)),
    )


def _multiplied(options: OptimizerOptions) -> Callable[[str, jax.Array], jax.Array]:
    def multiply(path: str, update: jax.Array) -> jax.Array:
        for pattern, factor in options.rate_multipliers.items():
            if re.search(pattern, path):
                return update * factor
        return update

    return multiply


def _named(path: str, patterns: tuple[str, ...]) -> bool:
    return any(re.search(pattern, path) for pattern in patterns)


def check_expressions(options: OptimizerOptions, params: Any) -> None:
    """Checks that every regular expression of the settings finds a parameter.

    Args:
        options: the settings.
        params: of the training, or their shapes.

    Raises:
        UserError: one finds none; the line names some parameters.
    """
    paths = jax.tree.leaves(map_with_path(lambda path, _: path, params))
    some = ", ".join(paths[:: max(1, len(paths) // 4)])
    for key in ("no_weight_decay", "rate_multipliers"):
        for expression in getattr(options, key):
            if not any(re.search(expression, path) for path in paths):
                raise UserError(
                    f"config.optimizer.{key} has {shown(expression)}, which no parameter's path "
                    f"holds; there are {len(paths)}, such as {some}; mend it or leave it out"
                )


def map_with_path(function: Callable[[str, Any], Any], tree: Any) -> Any:
    """Maps the leaves of a tree together with their paths, `network/fc/kernel`."""
    return jax.tree_util.tree_map_with_path(
        lambda path, leaf: function(jax.tree_util.keystr(path, simple=True, separator="/"), leaf),
        tree,
    )


def clip_by_norm(gradients: Any, norm: jax.Array, limit: float) -> Any:
    """Scales gradients down to a global norm of `limit`, given the norm that they have."""
    factor = jnp.minimum(1.0, limit / jnp.maximum(norm, 1e-12))
    return jax.tree.map(lambda gradient: gradient * factor, gradients)
