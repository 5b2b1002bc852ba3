"""L_cls: softmax cross-entropy over the classes, with an angular margin."""

import dataclasses
import math
from typing import Any, ClassVar

import jax
import jax.numpy as jnp

from senet_jax.config import number, setting
from senet_jax.losses import margin, sharded_softmax
from senet_jax.losses.loss import Dimensions, Inputs, Loss, Result
from senet_jax.models.layers import l2_normalise, linear_init


@dataclasses.dataclass(frozen=True, kw_only=True)
class Classification(Loss):
    """L_cls in a training: its parameters are the class matrix, its state the running scalar."""

    name: ClassVar[str] = "classification"
    by_rows: ClassVar[tuple[str, ...]] = ("classes",)

    weight: float = setting(number(0), "of L_cls; 0 leaves it out", 0.5, source="second-hand")
    margin_kind: margin.Kind = margin.kind_setting()
    scale: float = setting(
        number(0, above=True),
        "one over the temperature, of L_cls",
        30.0,
        source="parent",
        key="scale",
    )
    margin_radians: float = setting(
        number(0, math.pi), "the margin of L_cls", 0.15, source="parent", key="margin_radians"
    )

    def initial_params(self, dimensions: Dimensions) -> dict[str, jax.Array]:
        """`classes`, float32[r d], with rows up to a fixed multiple."""
        rows = sharded_softmax.padded_rows(dimensions.class_count)
        shape = (rows, dimensions.width)
        return {"classes": linear_init(jax.random.key(dimensions.seed), shape, jnp.float32)}

    def initial_state(self, dimensions: Dimensions, variables: Any) -> dict[str, jax.Array]:
        """`running`, float32[]."""
        return {"running": jnp.zeros(())}

    def __call__(
        self, params: dict[str, jax.Array], state: dict[str, jax.Array], inputs: Inputs
    ) -> Result:
        """See `classification_loss`."""
        value, (running, metrics) = classification_loss(
            inputs.embeddings,
            inputs.labels,
            params["classes"],
            state["running"],
            class_count=inputs.class_count,
            scale=self.scale,
            margin_radians=self.margin_radians,
            kind=self.margin_kind,
            axis_name=inputs.axis_name,
        )
        return Result(value, {"running": running}, metrics)


def classification_loss(
    embeddings: jax.Array,
    labels: jax.Array,
    class_matrix: jax.Array,
    running: jax.Array,
    *,
    class_count: int,
    scale: float,
    margin_radians: float,
    kind: margin.Kind,
    axis_name: str | None = None,
) -> tuple[jax.Array, tuple[jax.Array, dict[str, jax.Array]]]:
    """The loss of one device's embeddings against the classes of all devices.

    Per query `-log(e^(s C(target, 1)) / (e^(s C(target, 1)) + sum of e^(s C(other, 0))))`; see
    `margin` for C and `sharded_softmax` for the letters and for what becomes of the gradients.

    Args:
        embeddings: float[b d], of any length; a bfloat16 goes to float32 before anything else.
        labels: int32[b] in [0, class_count); any other makes the loss NaN.
        class_matrix: float32[r d], this device's rows, of any length. Rows from class_count on
            are padding: they have no probability, and their gradient is exactly zero.
        running: float32[], the running scalar, the same on all devices.
        class_count: the number of true classes on all devices together.
        scale: s, one over the temperature.
        margin_radians: m.
        kind: "curricular", or "arc" without a curriculum; with a margin of 0 the latter is plain
            cross-entropy.
        axis_name: the mapped axis, or None on one device.

    Returns:
        The mean over this device's queries, the running scalar after the step, and metrics of the
        global batch: `target_cosine`, the mean before the margin.
    """
    queries = sharded_softmax.gather(l2_normalise(embeddings), axis_name)  # [B d]
    cosines = sharded_softmax.cosines_of(queries, l2_normalise(class_matrix))  # [B r]
    classes = sharded_softmax.row_numbers(len(class_matrix), axis_name)
    is_target = sharded_softmax.gather(labels, axis_name)[:, None] == classes
    is_negative = ~is_target & (classes < class_count)

    targets = jnp.sum(jnp.where(is_target, cosines, 0), axis=1)
    targets = jnp.sum(sharded_softmax.send_home(targets, axis_name), axis=0)  # [b]
    targets = jnp.where((labels >= 0) & (labels < class_count), targets, jnp.nan)
    target_cosine = sharded_softmax.mean(targets, axis_name)
    running = margin.updated_running(running, target_cosine)

    thresholds = margin.negative_threshold(targets, margin_radians, kind)
    is_hard = cosines > sharded_softmax.gather(thresholds, axis_name)[:, None]
    negatives = jnp.where(is_hard, margin.hard_negative_cosine(cosines, running), cosines)
    logits = jnp.where(is_negative, scale * negatives, sharded_softmax.NO_LOGIT)
    peaks = sharded_softmax.peak(logits, axis_name)  # [b]
    exponentials = jnp.exp(logits - sharded_softmax.gather(peaks, axis_name)[:, None])
    log_sums = sharded_softmax.log_of_sums(jnp.sum(exponentials, axis=1), axis_name)  # [b]
    target_logits = scale * margin.positive_cosine(targets, margin_radians)
    terms = jax.nn.softplus(log_sums + (peaks - target_logits))
    return jnp.mean(terms), (running, {"target_cosine": target_cosine})
