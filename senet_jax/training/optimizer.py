"""The optimiser, its settings and its schedule."""

import dataclasses
import re
from collections.abc import Callable, Iterator
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax

from senet_jax import config
from senet_jax.config import setting
from senet_jax.system.errors import UserError, reason, shown


def _pattern_and_factor(value: Any) -> str | None:
    is_pair = isinstance(value, tuple | list) and len(value) == 2
    is_right = is_pair and not config.filled(value[0]) and not config.number(0)(value[1])
    return None if is_right else "a pair"


def _batch_and_rate(value: Any) -> str | None:
    is_pair = isinstance(value, tuple | list) and len(value) == 2
    if is_pair and not config.integer(1)(value[0]) and not config.number(0, above=True)(value[1]):
        return None
    return "a pair of a batch size and a learning rate, such as (144, 0.005625)"


@dataclasses.dataclass(frozen=True, kw_only=True)
class OptimizerSettings:
    """The optimiser and its learning rate."""

    name: Literal["sgd", "adamw"] = setting(
        config.one_of("sgd", "adamw"),
        "sgd, with PyTorch's coupled weight decay, or adamw",
        "sgd",
        source="parent",
    )
    learning_rate: float = setting(
        config.number(0, above=True),
        "at the end of the warm-up; a cosine takes it to 0, step by step (the parent code's rate "
        "changes once an epoch)",
        0.005625,
        source="second-hand: .01 * batch / 256",
    )
    momentum: float = setting(config.number(0, 1), "of sgd", 0.9, source="parent")
    nesterov: bool = setting(config.yes_or_no, "Nesterov's momentum, of sgd", True, source="parent")
    weight_decay: float = setting(
        config.number(0),
        "of every parameter that no_weight_decay leaves",
        1e-4,
        source="parent",
    )
    no_weight_decay: tuple[str, ...] = setting(
        config.tuple_of(config.filled, "regular expressions"),
        "regular expressions of the paths of parameters without weight decay",
        (),
        source="parent: batch norms and biases decay as well",
    )
    rate_multipliers: tuple[tuple[str, float], ...] = setting(
        config.tuple_of(_pattern_and_factor, "(expression, factor) pairs"),
        "(regular expression of parameter paths, factor of their learning rate), ...; the "
        "first that is found counts",
        (),
    )
    warmup_start: float = setting(
        config.number(0),
        "where it begins, relative to learning_rate",
        0.1,
        source="parent; whether SENet kept it is open",
    )
    clip_norm: float = setting(config.number(0), "the largest norm of the gradient; 0: any", 0.0)

    def check(self) -> None:
        """Checks that all expressions are regular expressions.

        Raises:
            UserError: one of them is not.
        """
        for key, expressions in self._expressions():
            for expression in expressions:
                try:
                    re.compile(expression)
                except (re.error, OverflowError, RecursionError) as error:
                    raise UserError(
                        f"config.optimizer.{key} has {shown(expression)}, which is no regular "
                        f"expression: {reason(error)}; mend it"
                    ) from error

    def check_found(self, params: Any) -> None:
        """Checks that every regular expression finds a parameter.

        Args:
            params: of the training, or their shapes.

        Raises:
            UserError: one finds none; the line names some parameters.
        """
        paths = jax.tree.leaves(map_with_path(lambda path, _: path, params))
        some = ", ".join(paths[:: max(1, len(paths) // 4)])
        for key, expressions in self._expressions():
            for expression in expressions:
                if not any(re.search(expression, path) for path in paths):
                    raise UserError(
                        f"config.optimizer.{key} has {shown(expression)}, which no parameter's "
                        f"path holds; there are {len(paths)}, such as {some}; mend it or leave it "
                        "out"
                    )

    def _expressions(self) -> Iterator[tuple[str, list[str]]]:
        yield "no_weight_decay", list(self.no_weight_decay)
        yield "rate_multipliers", [expression for expression, _ in self.rate_multipliers]


@dataclasses.dataclass(frozen=True, kw_only=True)
class CourseOptimizerSettings(OptimizerSettings):
    """The same where a training is counted in epochs."""

    recipe: tuple[int, float] = setting(
        _batch_and_rate,
        "the batch_size and the learning_rate that were chosen together; where only the batch "
        "is another, a line says so",
        (144, 0.005625),
    )
    warmup_epochs: float = setting(
        config.number(0),
        "over which the learning rate grows linearly",
        5.0,
        source="parent; whether SENet kept it is open",
    )


class Duration(NamedTuple):
    """How long a training is, and its warm-up, in steps."""

    total_steps: int
    warmup_steps: int = 0


def learning_rate_schedule(settings: OptimizerSettings, duration: Duration) -> optax.Schedule:
    """Step int32[] -> learning rate float32[]: a linear warm-up, then a cosine to 0."""
    total_steps, warmup_steps = duration
    cosine = optax.cosine_decay_schedule(settings.learning_rate, max(total_steps - warmup_steps, 1))
    if not warmup_steps:
        return cosine
    warmup = optax.linear_schedule(
        settings.warmup_start * settings.learning_rate, settings.learning_rate, warmup_steps
    )
    return optax.join_schedules([warmup, cosine], [warmup_steps])


def make_optimizer(settings: OptimizerSettings, duration: Duration) -> optax.GradientTransformation:
    """Gradients to updates; leaves of its state that belong to a parameter have its path."""

    def decayed(params: Any) -> Any:
        return map_with_path(lambda path, _: not _named(path, settings.no_weight_decay), params)

    decay = optax.add_decayed_weights(settings.weight_decay, mask=decayed)
    if settings.name == "adamw":
        chain = [optax.scale_by_adam(), decay]
    else:
        chain = [decay, optax.trace(settings.momentum, settings.nesterov)]
    return optax.chain(
        *chain,
        optax.stateless(lambda updates, _: map_with_path(_multiplied(settings), updates)),
        optax.scale_by_learning_rate(learning_rate_schedule(settings, duration)),
    )


def _multiplied(settings: OptimizerSettings) -> Callable[[str, jax.Array], jax.Array]:
    def multiply(path: str, update: jax.Array) -> jax.Array:
        for pattern, factor in settings.rate_multipliers:
            if re.search(pattern, path):
                return update * factor
        return update

    return multiply


def _named(path: str, patterns: tuple[str, ...]) -> bool:
    return any(re.search(pattern, path) for pattern in patterns)


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
