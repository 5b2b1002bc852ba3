"""L_con: momentum contrast with a labelled queue, with the angular margin of L_cls."""

from typing import NamedTuple

import jax
import jax.numpy as jnp

from senet_jax.losses import margin, sharded_softmax
from senet_jax.models.layers import l2_normalise
from senet_jax.system.errors import UserError

UNFILLED = -1


class Queue(NamedTuple):
    """The latest keys, first in, first out; on a mapped axis, one device's rows of it.

    Device i holds the i-th block of the rows, so the rows of all devices, one block after the
    other, are the same queue whatever their number: saved on eight, it resumes on two.

    Attributes:
        descriptors: float32[r d], of length 1, or zero where unfilled.
        labels: int32[r], or `UNFILLED`.
        position: int32[], the row of all rows that the next key takes; the same on all devices.
    """

    descriptors: jax.Array
    labels: jax.Array
    position: jax.Array


def empty_queue(length: int, width: int) -> Queue:
    """The queue at the start; its length is a multiple of every number of devices in use."""
    return Queue(
        descriptors=jnp.zeros((length, width), jnp.float32),
        labels=jnp.full(length, UNFILLED, jnp.int32),
        position=jnp.zeros((), jnp.int32),
    )


def enqueue(
    queue: Queue, keys: jax.Array, labels: jax.Array, axis_name: str | None = None
) -> Queue:
    """The queue after the oldest rows gave way to the keys of the global batch.

    Whether it comes before the loss of the same step or after it is open; see `contrastive_loss`.

    Args:
        queue: this device's rows.
        keys: float[b d], this device's, of any length.
        labels: int32[b].
        axis_name: the mapped axis, or None on one device.

    Raises:
        UserError: the queue is shorter than the global batch.
    """
    keys = sharded_softmax.gather(l2_normalise(keys), axis_name)
    labels = sharded_softmax.gather(labels, axis_name)
    own_length = len(queue.labels)
    length = own_length * sharded_softmax.axis_size(axis_name)
    if len(labels) > length:
        raise UserError(
            f"a queue of {length} rows cannot take a batch of {len(labels)} keys; "
            "make the queue at least as long as the global batch"
        )
    places = (queue.position + jnp.arange(len(labels))) % length
    first = sharded_softmax.row_numbers(own_length, axis_name)[0]
    rows = jnp.where(places < first, own_length, places - first)  # Past the end: not ours.
    return Queue(
        descriptors=queue.descriptors.at[rows].set(keys, mode="drop"),
        labels=queue.labels.at[rows].set(labels, mode="drop"),
        position=(queue.position + len(labels)) % length,
    )


def contrastive_loss(
    embeddings: jax.Array,
    keys: jax.Array | None,
    labels: jax.Array,
    queue: Queue,
    running: jax.Array,
    *,
    scale: float,
    margin_radians: float,
    kind: margin.Kind,
    max_positives: int,
    axis_name: str | None = None,
) -> tuple[jax.Array, tuple[jax.Array, dict[str, jax.Array]]]:
    """The loss of one device's embeddings against their keys and the queue of all devices.

    Per query the mean over its positives p, which are its own key and the queue's rows of the same
    label, of `-log(e^(s C(p, 1)) / (e^(s C(p, 1)) + sum of e^(s C(n, 0))))` over the negatives n,
    the queue's rows of other labels. Unfilled rows are neither, and nor are other keys of the
    batch, unless they have entered the queue before. See `margin` for C and `sharded_softmax` for
    the letters and for what becomes of the gradients; only the embeddings have one.

    Three points are open in what is known of the paper: which positive decides whether a negative
    is hard (here the positive of the same term), which mean feeds the running scalar (here that
    over all pairs of query and positive of the global batch), and whether the keys of a step enter
    the queue before its loss (here the caller decides).

    Args:
        embeddings: float[b d], of any length; a bfloat16 goes to float32 before anything else.
        keys: float[b d], of the paired images, of any length; None if the queue holds them.
        labels: int32[b], from 0, of both.
        queue: this device's rows.
        running: float32[], this loss's own running scalar, the same on all devices.
        scale: s, one over the temperature.
        margin_radians: m.
        kind: "curricular", or "arc" without a curriculum.
        max_positives: how many rows of the queue count as positives of a query. If it has more,
            those of the lowest rows count, and the rest are neither positive nor negative.
        axis_name: the mapped axis, or None on one device.

    Returns:
        The mean over this device's queries, the running scalar after the step, and metrics of the
        global batch: `positive_cosine`, the mean before the margin; `positives` and
        `positives_left_out`, the means per query.
    """
    embeddings = l2_normalise(embeddings)
    queries = sharded_softmax.gather(embeddings, axis_name)
    cosines = sharded_softmax.cosines_of(queries, queue.descriptors)  # [B r]
    is_same = sharded_softmax.gather(labels, axis_name)[:, None] == queue.labels
    is_negative = ~is_same & (queue.labels != UNFILLED)

    positives, is_there = _positives_at_home(cosines, is_same, max_positives, axis_name)
    if keys is not None:
        keys = jax.lax.stop_gradient(l2_normalise(keys))
        paired = jnp.sum(embeddings * keys, axis=1, keepdims=True)
        positives = jnp.concatenate([paired, positives], axis=1)  # [b p]
        is_there = jnp.concatenate([jnp.ones_like(paired, bool), is_there], axis=1)
    count = jnp.sum(is_there, axis=1)
    mean_count = sharded_softmax.mean(count, axis_name)
    positive_cosine = (
        sharded_softmax.mean(jnp.sum(jnp.where(is_there, positives, 0), axis=1), axis_name)
        / mean_count
    )
    running = margin.updated_running(running, positive_cosine)

    thresholds = margin.negative_threshold(positives, margin_radians, kind)
    log_sums, peaks = _log_sums_of_negatives(
        cosines, is_negative, thresholds, running, scale, axis_name
    )
    positive_logits = scale * margin.positive_cosine(positives, margin_radians)
    terms = jax.nn.softplus(log_sums + (peaks[:, None] - positive_logits))  # [b p]
    per_query = jnp.sum(jnp.where(is_there, terms, 0), axis=1) / count

    all_positives = jnp.sum(
        sharded_softmax.send_home(jnp.sum(is_same, axis=1), axis_name), axis=0
    ) + (keys is not None)
    metrics = {
        "positive_cosine": positive_cosine,
        "positives": mean_count,
        "positives_left_out": sharded_softmax.mean(all_positives, axis_name) - mean_count,
    }
    return jnp.mean(per_query), (running, metrics)


def _positives_at_home(
    cosines: jax.Array, is_positive: jax.Array, limit: int, axis_name: str | None
) -> tuple[jax.Array, jax.Array]:
    """[B r] -> [b p]: the cosines of each query's first positives in the queue, and which exist."""
    values, is_there = (
        jnp.moveaxis(sharded_softmax.send_home(found, axis_name), 0, 1)  # [b D p]
        for found in _first(cosines, is_positive, limit)
    )
    return _first(values.reshape(len(values), -1), is_there.reshape(len(values), -1), limit)


def _first(values: jax.Array, is_wanted: jax.Array, limit: int) -> tuple[jax.Array, jax.Array]:
    """[n r] -> [n p]: the first wanted values of each line, and which of the p are wanted."""
    # Of equal elements `top_k` takes those of lower index first.
    is_there, indices = jax.lax.top_k(is_wanted.astype(jnp.int32), min(limit, values.shape[1]))
    return jnp.take_along_axis(values, indices, axis=1), is_there == 1


def _log_sums_of_negatives(
    cosines: jax.Array,
    is_negative: jax.Array,
    thresholds: jax.Array,
    running: jax.Array,
    scale: float,
    axis_name: str | None,
) -> tuple[jax.Array, jax.Array]:
    """The logarithms of the sums of e^(s C(n, 0) - peak): [b p], per threshold; and peak: [b].

    In the order of their cosines, the negatives below a threshold come first and the hard ones
    last. So the sums from the left of all plain terms, and from the right of all hard ones, hold
    the answer to any threshold, however many there are. For a scale of 30 and a running scalar
    from -.5 no answer is less than e^-75 of the peak, which float32 can hold.

    Args:
        cosines: [B r].
        is_negative: [B r].
        thresholds: [b p].
        running: [].
        scale: s.
        axis_name: the mapped axis, or None on one device.
    """
    after_all = 4.0  # Where what is no negative sorts to.
    ordered = jnp.sort(jnp.where(is_negative, cosines, after_all), axis=1)
    plain, hard = (
        jnp.where(ordered < after_all, scale * values, sharded_softmax.NO_LOGIT)
        for values in (ordered, margin.hard_negative_cosine(ordered, running))
    )
    peaks = sharded_softmax.peak(jnp.maximum(plain, hard), axis_name)
    all_peaks = sharded_softmax.gather(peaks, axis_name)[:, None]
    plain_sums = jax.lax.cumsum(jnp.exp(plain - all_peaks), axis=1)
    hard_sums = jax.lax.cumsum(jnp.exp(hard - all_peaks), axis=1, reverse=True)

    below = jax.vmap(lambda line, sought: jnp.searchsorted(line, sought, side="right"))(
        ordered, sharded_softmax.gather(thresholds, axis_name)
    )
    sums = jnp.take_along_axis(
        jnp.pad(plain_sums, ((0, 0), (1, 0))), below, axis=1
    ) + jnp.take_along_axis(jnp.pad(hard_sums, ((0, 0), (0, 1))), below, axis=1)
    return sharded_softmax.log_of_sums(sums, axis_name), peaks
