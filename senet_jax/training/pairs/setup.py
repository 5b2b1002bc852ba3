"""From the settings of a training on pairs to all that it is made of."""

import dataclasses
import itertools
from collections.abc import Callable, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from senet_jax.losses.loss import Dimensions
from senet_jax.models.cvnet import (
    RERANKER,
    PairRegion,
    Reranker,
    initial_reranker,
    reranker_shapes,
    resizings,
)
from senet_jax.training.export import trained_on
from senet_jax.training.optimizer import Duration, make_optimizer
from senet_jax.training.pairs.settings import PairTrainingSettings
from senet_jax.training.pairs.triples import PARTS
from senet_jax.training.start import Start
from senet_jax.training.state import TrainState, create_state
from senet_jax.training.step import Batch, Metrics, make_update
from senet_jax.weights import Weights, flatten

# Of the parts of triples; the last is of another class.
_PAIRS, _ANOTHER = tuple(itertools.permutations(range(len(PARTS)), 2)), len(PARTS) - 1
# Positions of a map.
_SMALL = 64
_OF_RERANKER = f"params/{RERANKER}/"


@dataclasses.dataclass(frozen=True, eq=False)
class PairSetup:
    """What settings mean once the weights are read, and it is known how many images there are.

    Attributes:
        settings: of the training.
        weights: whose trunk is looked at.
        class_count: of the data.
        duration: of the training.
    """

    settings: PairTrainingSettings
    weights: Weights
    class_count: int
    duration: Duration

    accumulate = 1

    @property
    def images_per_step(self) -> int:
        """How many images all devices look at in a step."""
        return len(PARTS) * self.settings.batch_size

    def make_step(
        self, axis_name: str | None = None
    ) -> Callable[[TrainState, Batch], tuple[TrainState, Metrics]]:
        """The function of a step; see `step.make_update`."""
        optimizer = make_optimizer(self.settings.optimizer, self.duration)
        clip_norm = self.settings.optimizer.clip_norm
        return make_update(_loss_of_part, optimizer, clip_norm=clip_norm, axis_name=axis_name)

    def start(self) -> Start:
        """What is taken of the weights: all, frozen, but for a re-ranker that they may have."""
        of_trunk = self.weights.variables()
        return Start({}, {"frozen network": len(dict(flatten(of_trunk)))}, ("re-ranker",), ())

    def initial_state(self, start: Start | None = None) -> TrainState:
        """The state before the first step: nothing is taken."""
        del start
        return self._state_of(initial_reranker(self.weights.architecture, self.settings.seed))

    def abstract_state(self) -> TrainState:
        """The state's structure, with shapes and dtypes in place of arrays.

        Raises:
            UserError: a regular expression of the optimiser's settings finds no parameter.
        """
        return jax.eval_shape(self._state_of, reranker_shapes(self.weights.architecture))

    def _state_of(self, params: Any) -> TrainState:
        settings = self.settings
        dimensions = Dimensions(self.class_count, self.weights.architecture.outputs, settings.seed)
        optimizer = make_optimizer(settings.optimizer, self.duration)
        state = create_state({"params": params, "batch_stats": {}}, optimizer, (), dimensions)
        settings.optimizer.check_found(state.params)
        return state

    def trained(self, params: Mapping[str, Any], settings: Mapping[str, Any]) -> Weights:
        """The weights with the re-ranker that was trained in place of the one that they had.

        Args:
            params: of the re-ranker.
            settings: by which it was trained.
        """
        kept = {p: t for p, t in self.weights.tensors.items() if not p.startswith(_OF_RERANKER)}
        learned = {path: np.asarray(leaf) for path, leaf in flatten(params, _OF_RERANKER)}
        source = {"training": settings, **trained_on(settings)}
        if self.weights.random:
            source["note"] = "the network is random, its re-ranker was trained"
        return dataclasses.replace(self.weights, tensors=kept | learned, source=source, sha256=None)


def _loss_of_part(params: Any, state: TrainState, batch: Batch) -> tuple[jax.Array, Any]:
    loss, accuracy = pair_loss(params["network"], *(batch[part] for part in PARTS))
    return loss, (state, {}, {"loss": loss, "pair_accuracy": accuracy})


def pair_loss(
    params: Any, anchors: jax.Array, positives: jax.Array, negatives: jax.Array
) -> tuple[jax.Array, jax.Array]:
    """How far the re-ranker is from telling pairs of a class from others.

    Softmax cross entropy over its two outputs for all pairs of a triple, in both orders, since each
    image's map costs more than the pairs that it is in. Pairs of a class and others weigh the same.

    Args:
        params: of the re-ranker.
        anchors: float32[b h w c], maps before the last ReLU of stage 3.
        positives: of other images of their classes, alike.
        negatives: of images of other classes, alike.

    Returns:
        The loss, float32[], and the share of pairs whose larger output is right, weighed alike.
    """
    count, height, width, _ = anchors.shape
    size = height, width
    variables, reranker = {"params": params}, Reranker(small=height * width <= _SMALL)
    stage3 = jnp.concatenate([anchors, positives, negatives])
    maps: Any = reranker.apply(variables, stage3, resizings(size, size), method="maps")
    of_parts = maps.reshape(3, count, *maps.shape[1:])
    queries, keys = np.array(_PAIRS).T
    region = PairRegion(jnp.tile(jnp.array([*size, *size]), (len(_PAIRS) * count, 1)))
    logits: Any = reranker.apply(
        variables,
        jnp.concatenate(of_parts[queries]),
        jnp.concatenate(of_parts[keys]),
        region,
        method="logits",
    )
    logits = logits.reshape(len(_PAIRS), count, 2)
    same = jnp.array([_ANOTHER not in pair for pair in _PAIRS], jnp.int32)[:, None]
    losses = optax.softmax_cross_entropy_with_integer_labels(logits, jnp.tile(same, count))
    weights = jnp.where(same, 1 / jnp.sum(same), 1 / jnp.sum(1 - same)) / (2 * count)
    are_right = jnp.argmax(logits, axis=-1) == same
    return jnp.sum(weights * losses), jnp.sum(weights * are_right)
