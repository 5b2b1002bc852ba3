"""Small trainings on a generated world: their batches, settings and first states."""

import functools

import jax
import numpy as np

from senet_jax.data.synthetic_landmarks import TINY
from senet_jax.models.preprocessing import Preprocessing, normalise
from senet_jax.models.registry import ARCHITECTURES, build_model, initial_variables
from senet_jax.training.optimizer import OptimizerOptions, make_optimizer
from senet_jax.training.state import create_state
from senet_jax.training.step import StepOptions

ARCHITECTURE = ARCHITECTURES["tiny"]
# The biases of `tiny` that the next batch norm takes away again: their gradient is zero.
BEFORE_A_NORM = tuple(f"ssm/encoder/{name}/bias" for name in ("conv_0", "conv_1", "expand"))
BATCH_SIZE = 16
QUEUE_LENGTH = 64

# The recipe's optimiser, at a rate that suits sixteen images and a network without trained weights.
SGD = OptimizerOptions("sgd", learning_rate=1e-4, total_steps=100, weight_decay=1e-4)


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
    """The recipe's settings, with the losses weighed as given."""
    recipe = {
        "class_count": TINY.training_classes,
        "scale": 30.0,
        "contrastive_scale": 30.0,
        "margin_radians": 0.15,
        "contrastive_margin_radians": 0.15,
        "margin_kind": "curricular",
        "max_positives": 32,
        "network_momentum": 0.999,
    }
    return StepOptions(classification, contrastive, **(recipe | changes))


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
    """The state of a training of `tiny` before its first step, of NumPy leaves."""
    state = create_state(
        variables or initial(descriptor_norm=options.descriptor_norm),
        make_optimizer(optimizer),
        class_count=options.class_count if options.classification_weight else 0,
        queue_length=QUEUE_LENGTH if options.contrastive_weight else 0,
        width=ARCHITECTURE.outputs,
        seed=0,
    )
    return jax.tree.map(np.asarray, state)


def named_leaves(tree):
    """The leaves of a tree by their paths, `network/fc/kernel`."""
    return {
        jax.tree_util.keystr(path, simple=True, separator="/"): np.asarray(leaf)
        for path, leaf in jax.tree.leaves_with_path(tree)
    }
