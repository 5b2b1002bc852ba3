"""LightGlue: which keypoints of two images are the same point, by attention within and across.

Source: Lindenberger, Sarlin and Pollefeys, "LightGlue: local feature matching at light speed" (ICCV
2023). All layers are run for all keypoints: nothing is stopped early and nothing is pruned.
"""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

Array = jax.Array

THRESHOLD = 0.1
"""How high the score of a match is at least."""
_LOWEST = float(jnp.finfo(jnp.float32).min)


class FeedForward(nn.Module):
    """What tokens make of themselves and of a message: float32[... d] twice -> float32[... d]."""

    @nn.compact
    def __call__(self, tokens: Array, message: Array) -> Array:
        width = tokens.shape[-1]
        hidden = nn.Dense(2 * width, name="wide")(jnp.concatenate([tokens, message], axis=-1))
        hidden = nn.LayerNorm(epsilon=1e-5, use_fast_variance=False, name="norm")(hidden)
        return nn.Dense(width, name="narrow")(nn.gelu(hidden, approximate=False))


def _attended(queries: Array, keys: Array, values: Array, are_keys: Array) -> Array:
    """float32[b 2 n h d], three times, and bool[b 2 n] -> float32[b 2 n h*d]."""
    logits = jnp.einsum("bsihd,bsjhd->bshij", queries, keys)
    weights = jax.nn.softmax(jnp.where(are_keys[:, :, None, None], logits, _LOWEST), axis=-1)
    mixed = jnp.einsum("bshij,bsjhd->bsihd", weights, values)
    return mixed.reshape(*mixed.shape[:3], -1)


class SelfAttention(nn.Module):
    """Attention within an image, which knows where keypoints lie relative to each other."""

    heads: int

    @nn.compact
    def __call__(self, tokens: Array, turns: tuple[Array, Array], are_there: Array) -> Array:
        width = tokens.shape[-1]
        mixed = nn.Dense(3 * width, name="qkv")(tokens)
        mixed = mixed.reshape(*tokens.shape[:-1], self.heads, -1, 3)
        queries, keys, values = (mixed[..., part] for part in range(3))
        scale = queries.shape[-1] ** -0.5
        queries, keys = _turned(queries, turns) * scale, _turned(keys, turns)
        message = nn.Dense(width, name="out")(_attended(queries, keys, values, are_there))
        return tokens + FeedForward(name="ffn")(tokens, message)


def _turned(values: Array, turns: tuple[Array, Array]) -> Array:
    """Each pair of neighbours turned by its angle: float32[b 2 n h d], float32[b 2 n d/2] twice."""
    cosines, sines = (turn[..., None, :] for turn in turns)
    first, second = values[..., ::2], values[..., 1::2]
    pair = first * cosines - second * sines, second * cosines + first * sines
    return jnp.stack(pair, axis=-1).reshape(values.shape)


class CrossAttention(nn.Module):
    """Attention of each image's keypoints to those of the other."""

    heads: int

    @nn.compact
    def __call__(self, tokens: Array, are_there: Array) -> Array:
        width = tokens.shape[-1]
        shape = *tokens.shape[:-1], self.heads, -1
        keys = nn.Dense(width, name="qk")(tokens).reshape(shape)
        values = nn.Dense(width, name="v")(tokens).reshape(shape)
        keys *= keys.shape[-1] ** -0.25
        mixed = _attended(keys, keys[:, ::-1], values[:, ::-1], are_there[:, ::-1])
        message = nn.Dense(width, name="out")(mixed)
        return tokens + FeedForward(name="ffn")(tokens, message)


class Assignment(nn.Module):
    """The logarithm of how sure it is that two keypoints match: float32[b n n]."""

    @nn.compact
    def __call__(self, tokens: Array, are_there: Array) -> Array:
        width = tokens.shape[-1]
        projected = nn.Dense(width, name="final_proj")(tokens) * width**-0.25
        logits = jnp.einsum("bid,bjd->bij", projected[:, 0], projected[:, 1])
        are_pairs = are_there[:, 0, :, None] & are_there[:, 1, None, :]
        logits = jnp.where(are_pairs, logits, _LOWEST)
        matchable = jax.nn.log_sigmoid(nn.Dense(1, name="matchability")(tokens)[..., 0])
        certain = matchable[:, 0, :, None] + matchable[:, 1, None, :]
        both = jax.nn.log_softmax(logits, axis=1) + jax.nn.log_softmax(logits, axis=2)
        return jnp.where(are_pairs, both + certain, -jnp.inf)


class LightGlue(nn.Module):
    """From the keypoints of pairs of images to their matches.

    Attributes:
        width: of a token, a keypoint on its way.
        layers: how often it attends to its own image and to the other.
        heads: of each attention.
    """

    width: int
    layers: int
    heads: int

    @nn.compact
    def __call__(self, points: Array, descriptors: Array, counts: Array) -> tuple[Array, Array]:
        """Matches pairs of images.

        Args:
            points: float32[b 2 n 2], x and y, relative to the middle of the image and to half of
                its longer side.
            descriptors: float32[b 2 n d].
            counts: int32[b 2], how many of n each image has.

        Returns:
            For each keypoint of the first images which one of the second is the same, int32[b n],
            -1 if none is, and the score of the match, float32[b n], 0 if there is none.
        """
        are_there = jnp.arange(points.shape[2]) < counts[..., None]  # [b 2 n]
        tokens = nn.Dense(self.width, name="input_proj")(descriptors)
        angles = nn.Dense(self.width // self.heads // 2, use_bias=False, name="posenc")(points)
        turns = jnp.cos(angles), jnp.sin(angles)
        for index in range(self.layers):
            tokens = SelfAttention(self.heads, name=f"self_{index}")(tokens, turns, are_there)
            tokens = CrossAttention(self.heads, name=f"cross_{index}")(tokens, are_there)
        last = Assignment(name=f"assignment_{self.layers - 1}")
        return mutual_best(last(tokens, are_there))


def mutual_best(log_scores: Array) -> tuple[Array, Array]:
    """Pairs that are each other's best, with a score above `THRESHOLD`; see `LightGlue`.

    Args:
        log_scores: float32[b n m].
    """
    best, back = jnp.argmax(log_scores, axis=2), jnp.argmax(log_scores, axis=1)
    scores = jnp.exp(jnp.max(log_scores, axis=2))
    is_mutual = jnp.take_along_axis(back, best, axis=1) == jnp.arange(log_scores.shape[1])
    is_match = is_mutual & (scores > THRESHOLD)
    return jnp.where(is_match, best, -1), jnp.where(is_match, scores, 0.0)


def parameter_shapes(model: LightGlue, descriptor_width: int) -> dict[str, Any]:
    """The tree of its parameters, shapes in place of arrays, with those that checkpoints add.

    Checkpoints have the head of every layer, by which matching may be stopped early, and the
    confidence for that.
    """
    points = jax.ShapeDtypeStruct((1, 2, 1, 2), jnp.float32)
    descriptors = jax.ShapeDtypeStruct((1, 2, 1, descriptor_width), jnp.float32)
    counts = jax.ShapeDtypeStruct((1, 2), jnp.int32)
    init = jax.eval_shape(model.init, jax.random.key(0), points, descriptors, counts)
    params: Mapping[str, Any] = init["params"]
    head = params[f"assignment_{model.layers - 1}"]
    unused = {"r": jax.ShapeDtypeStruct((1,), jnp.float32)}
    heads = {f"assignment_{index}": {**head, **unused} for index in range(model.layers)}
    confidence = {f"confidence_{index}": head["matchability"] for index in range(model.layers - 1)}
    return {**params, **heads, **confidence}
