"""Five steps on all devices of a process, or of several, and what they leave behind.

python -m tests.training.spread_training FOLDER [HOST:PORT COUNT INDEX]

Writes FOLDER/INDEX.npz: the metrics of every step, and the leaves of the first and of the last
state by their paths.

A ReLU whose input is nearly 0 is on for one order of summation and off for another. A batch has
half a million of them, so every few steps one is switched; it changes the gradient of a batch norm
by a hundredth, and from there on nothing agrees to five digits. So that a mistake cannot hide
behind such switches, SiLU stands in for ReLU: what devices share does not depend on it.
"""

import contextlib
import pathlib
import sys
from unittest import mock

import flax.linen as nn
import jax
import numpy as np

from senet_jax.models.registry import ARCHITECTURES
from senet_jax.training.parallel import AXIS, ParallelStep
from tests.training import landmarks
from tests.training.landmarks import named_leaves

ROOT = pathlib.Path(__file__).parents[2]
STEPS = 5
NETWORK = ARCHITECTURES["tiny"]
CLS_CON = landmarks.step_options(0.5, 0.5)


def run(options, sgd, *, with_relu):
    """Metrics of every step, and the leaves of the first and the last state."""
    with contextlib.nullcontext() if with_relu else mock.patch.object(nn, "relu", nn.silu):
        return _run(options, sgd)


def _run(options, sgd):
    first = landmarks.first_state(options, sgd, landmarks.lively(NETWORK))
    step = ParallelStep(landmarks.make_step(options, NETWORK, sgd=sgd, axis_name=AXIS), first)
    state = step.to_devices(first)
    share = landmarks.BATCH_SIZE // jax.process_count()
    own = slice(jax.process_index() * share, (jax.process_index() + 1) * share)
    metrics = []
    for number in range(STEPS):
        batch = landmarks.batch(number)
        share_of_batch = {key: array[own] for key, array in batch.items()}
        state, values = step(state, step.place(share_of_batch))
        metrics.append(values)
    found = {f"metrics/{key}": np.array([each[key] for each in metrics]) for key in metrics[0]}
    for moment, leaves in (("first", first), ("last", step.to_host(state))):
        found |= {f"{moment}/{path}": leaf for path, leaf in named_leaves(leaves).items()}
    return found


def main():
    folder, *cluster = sys.argv[1:]
    index = 0
    if cluster:
        address, count, index = cluster[0], int(cluster[1]), int(cluster[2])
        jax.distributed.initialize(address, count, index)
    found = run(CLS_CON, landmarks.SGD, with_relu=False)
    np.savez(pathlib.Path(folder, f"{index}.npz"), **found)


if __name__ == "__main__":
    main()
