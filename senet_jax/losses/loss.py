"""What a training asks of a loss, whichever it is.

A loss is a frozen dataclass of settings, which are its keys in the config, and four functions of
arrays without side effects. The training keeps its parameters, which the optimiser changes, and
its state, which it changes itself.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, NamedTuple

import jax

from senet_jax.config import number, setting

Tree = Any
"""A tree of arrays."""


class Dimensions(NamedTuple):
    """What a loss is made for.

    Attributes:
        class_count: how many classes the data has.
        width: of an embedding.
        seed: of initial values.
    """

    class_count: int
    width: int
    seed: int


class Inputs(NamedTuple):
    """What one device gives a loss.

    Attributes:
        embeddings: float[b d], of any length; what the loss is differentiated by.
        labels: int32[b], from 0.
        positives: float32[b h w 3], another image of each class; None unless `pairs` asks for it.
        class_count: how many classes the data has.
        describe: (variables, images, whether to train) -> the embeddings float[b d] by a network
            with other variables, and its batch statistics afterwards.
        axis_name: the mapped axis, or None on one device.
    """

    embeddings: jax.Array
    labels: jax.Array
    positives: jax.Array | None
    class_count: int
    describe: Callable[[Tree, jax.Array, bool], tuple[jax.Array, Tree]]
    axis_name: str | None


class Result(NamedTuple):
    """What a loss gives.

    Attributes:
        value: float[], the mean over the device's embeddings.
        state: of the loss, afterwards.
        metrics: by name, the same on all devices or to be averaged over them.
        kept: for `after_step`; [b ...] leaves.
    """

    value: jax.Array
    state: Tree
    metrics: Mapping[str, jax.Array]
    kept: Tree = ()


class Step(NamedTuple):
    """What a step leaves for the losses' states.

    Attributes:
        variables: `params` of the network after the step, and this device's `batch_stats`.
        labels: int32[b], of the device's whole batch.
        kept: [b ...], what the loss kept, of the device's whole batch.
        axis_name: the mapped axis, or None on one device.
    """

    variables: Mapping[str, Tree]
    labels: jax.Array
    kept: Tree
    axis_name: str | None


@dataclasses.dataclass(frozen=True, kw_only=True)
class Loss:
    """A loss; a subclass gives `name` and `__call__`, and fields by `senet_jax.config.setting`.

    Attributes:
        name: of the loss, in metrics (`loss_NAME`) and in front of its keys in the config.
        by_rows: paths of the leaves of its parameters and of its state, `queue/labels` for
            instance, whose rows are spread over devices. All else is the same on every device.
        pairs: whether it needs a second image of each class.
    """

    name: ClassVar[str]
    by_rows: ClassVar[tuple[str, ...]] = ()
    pairs: ClassVar[bool] = False

    weight: float = setting(number(0), "of the loss in the sum of all; 0 leaves it out", 1.0)

    def check(self, batch_size: int) -> None:
        """Checks what no setting alone can tell.

        Raises:
            UserError: settings that do not go together.
        """

    def initial_params(self, dimensions: Dimensions) -> dict[str, Tree]:
        """Parameters besides the network's, by names that no other loss has."""
        del dimensions
        return {}

    def initial_state(self, dimensions: Dimensions, variables: Mapping[str, Tree]) -> Tree:
        """The state before the first step.

        Args:
            dimensions: of the training.
            variables: the network's.
        """
        del dimensions, variables
        return {}

    def __call__(self, params: dict[str, Tree], state: Tree, inputs: Inputs) -> Result:
        """The loss of a device's embeddings, or of a part of its batch.

        See `sharded_softmax` for what becomes of the gradients of rows that are spread.

        Args:
            params: of the loss, with this device's rows.
            state: of the loss, with this device's rows.
            inputs: the embeddings, and what they are of.
        """
        raise NotImplementedError

    def after_step(self, state: Tree, step: Step) -> Tree:
        """The state after the optimiser's update, once a step."""
        del step
        return state
