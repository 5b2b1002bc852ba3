"""Small trainings on a generated world: their batches, settings and first states."""

import dataclasses
import functools

import jax
import numpy as np

from senet_jax.data.synthetic_landmarks import TINY
from senet_jax.losses.classification import Classification
from senet_jax.losses.loss import Dimensions, Loss
from senet_jax.losses.momentum_contrast import Contrastive
from senet_jax.models.preprocessing import Preprocessing, normalise
from senet_jax.models.registry import ARCHITECTURES, build_model, initial_variables
from senet_jax.training import step as training_step
from senet_jax.training.optimizer import Duration, OptimizerSettings, make_optimizer
from senet_jax.training.settings import StepSettings
from senet_jax.training.state import create_state

# Of the networks with all layers, the one that is traced and compiled in the least time.
ARCHITECTURE = ARCHITECTURES["demo"]
# Its biases that the next batch norm takes away again: their gradient is zero.
BEFORE_A_NORM = tuple(f"ssm/encoder/{name}/bias" for name in ("conv_0", "conv_1", "expand"))
BATCH_SIZE = 16
QUEUE_LENGTH = 64

# The recipe's optimiser, at a rate that suits sixteen images and a network without trained weights.
SGD = OptimizerSettings(learning_rate=1e-4, nesterov=False)
DURATION = Duration(total_steps=100)


@dataclasses.dataclass(frozen=True)
class Options:
    """The settings of a step."""

    losses: tuple[Loss, ...]
    step: StepSettings = dataclasses.field(default_factory=StepSettings)
    clip_norm: float = 0.0


def batch(step, size=BATCH_SIZE):
    """Pictures of landmarks, their labels, and other pictures of the same landmarks."""
    rng = np.random.default_rng(step)
    labels = rng.integers(TINY.training_classes, size=size)
    views = rng.permuted(np.tile(np.arange(TINY.training_views), (size, 1)), axis=1)
    return {
        "images": _pictures(labels, views[:, 0]),
        "positives": _pictures(labels, views[:, 1]),
        "labels": labels.astype(np.int32),
    }


def _pictures(labels, views):
    pictures = [
        TINY.training_view(*divmod(int(label), TINY.siblings), int(view))
        for label, view in zip(labels, views, strict=True)
    ]
    return normalise(np.stack(pictures), Preprocessing())


def step_options(classification=1.0, contrastive=0.0, **changes):
    """The recipe's settings, with the losses weighed as given; without a weight they are left out.

    A change is of every loss that has the setting, or else of the step.
    """
    losses = (
        Classification(weight=classification),
        Contrastive(weight=contrastive, queue_length=QUEUE_LENGTH),
    )
    return changed(Options(tuple(loss for loss in losses if loss.weight)), **changes)


def changed(options, **changes):
    """Settings with others for some."""
    for key, value in changes.items():
        if key == "clip_norm":
            options = dataclasses.replace(options, clip_norm=value)
        elif hasattr(options.step, key):
            step = dataclasses.replace(options.step, **{key: value})
            options = dataclasses.replace(options, step=step)
        else:
            losses = [
                dataclasses.replace(loss, **{key: value}) if hasattr(loss, key) else loss
                for loss in options.losses
            ]
            assert losses != list(options.losses), key
            options = dataclasses.replace(options, losses=tuple(losses))
    return options


def make_step(options, architecture=ARCHITECTURE, sgd=SGD, duration=DURATION, axis_name=None):
    """The function of a step."""
    return training_step.make_step(
        architecture,
        make_optimizer(sgd, duration),
        options.losses,
        options.step,
        class_count=TINY.training_classes,
        clip_norm=options.clip_norm,
        axis_name=axis_name,
    )


@functools.cache
def initial(architecture=ARCHITECTURE, descriptor_norm=False):
    """Variables of a network that has learned nothing."""
    model = build_model(architecture, descriptor_norm=descriptor_norm)
    return jax.tree.map(np.asarray, initial_variables(model, seed=0))


def lively(architecture=ARCHITECTURE, descriptor_norm=False):
    """Variables as after some training: biases that are not 0 and scales that are not 1."""
    rng = np.random.default_rng(0)

    def change(path, leaf):
        if path[-1].key == "bias":
            leaf = leaf + rng.normal(0, 0.1, leaf.shape)
        elif path[-1].key == "scale":
            leaf = leaf * rng.uniform(0.5, 1.5, leaf.shape)
        return leaf.astype(np.float32)

    return jax.tree_util.tree_map_with_path(change, initial(architecture, descriptor_norm))


def first_state(options, optimizer=SGD, variables=None):
    """The state of a training before its first step, of NumPy leaves."""
    state = create_state(
        variables or initial(descriptor_norm=options.step.descriptor_norm),
        make_optimizer(optimizer, DURATION),
        options.losses,
        Dimensions(TINY.training_classes, ARCHITECTURE.outputs, seed=0),
    )
    return jax.tree.map(np.asarray, state)


def named_leaves(tree):
    """The leaves of a tree by their paths, `network/fc/kernel`."""
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): np.asarray(leaf)
        for path, leaf in jax.tree.leaves_with_path(tree)
    }
