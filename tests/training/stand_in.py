"""A stand-in for the network's step that costs no time, and what its training leaves."""

import itertools

import jax.numpy as jnp

from senet_jax.files import read_json
from senet_jax.training.export import CHECKPOINTS, CONFIG, setup_of
from senet_jax.training.stored_steps import StoredSteps
from tests.training.landmarks import named_leaves

STEPS = 6
CTRL_C = "Ctrl-C"


def add_one(state, batch):
    """A step that adds 1 to every parameter, on whatever device."""
    params = {
        "network": _each(lambda leaf: leaf + 1, state.params["network"]),
        "classes": state.params["classes"] + 1,
    }
    loss = jnp.sum(batch["labels"]).astype(jnp.float32)
    metrics = {"loss": loss, "gradient_norm": jnp.ones(())}
    return state.replace(step=state.step + 1, params=params), metrics


def _each(function, tree):
    return {
        key: _each(function, leaf) if isinstance(leaf, dict) else function(leaf)
        for key, leaf in tree.items()
    }


class Stops:
    """In place of `Preemption`: does something before the first step and after each, or stops."""

    interrupted = False

    def __init__(self, after_step):
        self._after_step, self._steps = after_step, itertools.count()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        pass

    def requested(self):
        answer = self._after_step(next(self._steps))
        self.interrupted = answer == CTRL_C
        return bool(answer)


def assert_one_line(done, *parts):
    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    assert last.startswith("error: ") and "Traceback" not in done.stderr
    for part in parts:
        assert part in last


def saved(workdir):
    """The steps of the checkpoints, and the leaves of the latest."""
    setup = setup_of(read_json(workdir / CONFIG), workdir / CONFIG)
    stored = StoredSteps(workdir / CHECKPOINTS)
    steps = stored.steps()
    assert len(list(stored.folder.iterdir())) == len(steps)
    if not steps:
        return steps, None
    state = stored.state(steps[-1], stored.record(steps[-1]), setup.abstract_state())
    return steps, named_leaves(state)


def stop_at(wanted):
    return lambda step: step == wanted
