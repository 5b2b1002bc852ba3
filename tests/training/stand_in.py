"""Stand-ins for a network's step and its evaluation that cost no time, and what they leave."""

import itertools

import jax.numpy as jnp
import numpy as np

from senet_jax.metrics.report import evaluate_descriptors
from senet_jax.metrics.saved import LISTED
from senet_jax.system.checksummed import read_sealed_json
from senet_jax.training.export import CHECKPOINTS, CONFIG, setup_of
from senet_jax.training.stored_steps import StoredSteps
from tests.training.landmarks import named_leaves

STEPS = 6
CTRL_C = "Ctrl-C"


def add_one(state, batch):
    """A step that adds 1 to every parameter, on whatever device."""
    params = _each(lambda leaf: leaf + 1, state.params)
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


class Evaluations:
    """In place of `Evaluator`: scores that are better at every evaluation, or worse."""

    def __init__(self, order, asks, seen):
        self._order, self._asks, self._seen, self.steps = order, asks, seen, 0

    def __call__(self, architecture, preprocessing, datasets, scales):
        self._dataset = datasets[0]
        return self

    def run(self, variables, stopped):
        self._seen()
        if self._asks and stopped():
            return None
        self.steps += 1
        truth = self._dataset.ground_truth
        rng = np.random.default_rng(0)
        descriptors = rng.normal(size=(len(truth.image_names), 8)).astype(np.float32)
        descriptors /= np.linalg.norm(descriptors, axis=1, keepdims=True)
        first_positives = [easy[0] for easy in truth.easy]
        noise = {"better": 1 / self.steps, "worse": self.steps}[self._order]
        queries = descriptors[first_positives]
        queries = queries + np.float32(noise) * rng.normal(size=queries.shape).astype(np.float32)
        queries /= np.linalg.norm(queries, axis=1, keepdims=True)
        report = evaluate_descriptors(truth, queries, [descriptors], listed=LISTED)
        return {self._dataset.name: report}


def assert_one_line(done, *parts):
    assert done.returncode == 2
    last = done.stderr.splitlines()[-1]
    assert last.startswith("error: ") and "Traceback" not in done.stderr
    for part in parts:
        assert part in last


def saved(workdir):
    """The steps of the checkpoints, and the leaves of the latest."""
    setup = setup_of(read_sealed_json(workdir / CONFIG, ""), workdir / CONFIG)
    stored = StoredSteps(workdir / CHECKPOINTS)
    steps = stored.steps()
    assert len(list(stored.folder.iterdir())) == len(steps)
    if not steps:
        return steps, None
    state = stored.state(steps[-1], stored.record(steps[-1]), setup.abstract_state())
    return steps, named_leaves(state)


def stop_at(wanted):
    return lambda step: step == wanted
