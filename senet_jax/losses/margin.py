"""The angular margin of both losses: C(cosine, is_positive) on cosines of unit vectors.

Source: CurricularFace (Huang et al., CVPR 2020) and ArcFace (Deng et al., CVPR 2019), in the form
of SPEC section 4. ArcFace is the same margin without the curriculum. Where SENet's margin, scale
and momentum differ from CVNet's is not known, so callers give the first two.
"""

import math
from typing import Any, Literal

import jax
import jax.numpy as jnp

from senet_jax.config import one_of, setting
from senet_jax.system.errors import UserError, shown

Kind = Literal["curricular", "arc"]

RUNNING_MOMENTUM = 0.99

_SMALLEST_SINE_SQUARED = 1e-12  # Below the 1.2e-7 that separates 1 from the next float32 cosine.


def kind_setting() -> Any:
    """The field `margin_kind` of a loss; all losses with a margin share the config's key."""
    return setting(
        one_of("curricular", "arc"),
        "of the losses with a margin: with or without a curriculum",
        "curricular",
        source="parent for L_cls, second-hand for L_con",
        key="margin_kind",
    )


def positive_cosine(cosine: jax.Array, margin_radians: float) -> jax.Array:
    """C(cosine, 1): cos(theta + m), or cos(theta) - m sin(pi - m) once theta reaches pi - m.

    As theta reaches pi - m the value steps down by cos(m) + m sin(m) - 1, about m^2 / 2: in this
    form of the formula, as in its source, the two branches do not meet.
    """
    beyond = math.cos(math.pi - margin_radians)
    return jnp.where(
        cosine > beyond,
        _cosine_of_sum(cosine, margin_radians),
        cosine - margin_radians * math.sin(math.pi - margin_radians),
    )


def negative_threshold(cosine: jax.Array, margin_radians: float, kind: Kind) -> jax.Array:
    """The cosine above which a negative is hard for a positive at `cosine`; it has no gradient.

    It is cos(theta + m) at every angle, also beyond pi - m; for ArcFace no negative is hard.

    Raises:
        UserError: `kind` is neither.
    """
    if kind == "curricular":
        return jax.lax.stop_gradient(_cosine_of_sum(cosine, margin_radians))
    if kind == "arc":
        return jnp.full_like(cosine, jnp.inf)
    raise UserError(f"no margin of the kind {shown(kind)}; it is curricular or arc")


def hard_negative_cosine(cosine: jax.Array, running: jax.Array) -> jax.Array:
    """C(cosine, 0) of a negative above its threshold; below it, C(cosine, 0) is the cosine."""
    return cosine * (running + cosine)


def updated_running(running: jax.Array, mean_positive_cosine: jax.Array) -> jax.Array:
    """The running scalar t after a step: float32[], without gradient.

    Args:
        running: t before the step, 0 at the start of the training.
        mean_positive_cosine: over the global batch, before the margin.
    """
    mean = jax.lax.stop_gradient(mean_positive_cosine)
    return RUNNING_MOMENTUM * running + (1 - RUNNING_MOMENTUM) * mean


def _cosine_of_sum(cosine: jax.Array, margin_radians: float) -> jax.Array:
    """cos(theta + m); at cosine 1 and -1, where the sine's slope is infinite, it counts as 0."""
    sine_squared = jnp.maximum((1 - cosine) * (1 + cosine), _SMALLEST_SINE_SQUARED)
    return cosine * math.cos(margin_radians) - jnp.sqrt(sine_squared) * math.sin(margin_radians)
