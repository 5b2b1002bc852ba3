import contextlib
import os
import socket
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from senet_jax.system.errors import UserError
from senet_jax.training.parallel import AXIS, ParallelStep, check_divisible
from tests.tolerances import AFTER_A_SWITCH, SPREAD
from tests.training import landmarks
from tests.training.landmarks import BEFORE_A_NORM
from tests.training.spread_training import ROOT, STEPS

OPTIONS = landmarks.step_options(0.5, 0.5)


@pytest.fixture(scope="module")
def state():
    """A state of which no two numbers of a leaf are equal."""
    return jax.tree.map(
        lambda leaf: np.arange(leaf.size, dtype=leaf.dtype).reshape(leaf.shape),
        landmarks.first_state(OPTIONS),
    )


def test_to_devices_and_back_is_the_same_to_the_bit(state):
    step = ParallelStep(lambda *_: None, state)
    there = step.to_devices(state)
    assert there.params["classes"].shape == (8, 64, 128)
    assert there.losses["contrastive"]["queue"].labels.shape == (8, 8)
    back = step.to_host(there)
    assert jax.tree.structure(back) == jax.tree.structure(state)
    for leaf, expected in zip(jax.tree.leaves(back), jax.tree.leaves(state), strict=True):
        assert leaf.dtype == expected.dtype
        np.testing.assert_array_equal(leaf, expected)


def test_what_a_device_gets(state):
    """Its rows of the spread leaves, its images, all of the rest; rows come back in order."""

    def step(state, batch):
        device = jax.lax.axis_index(AXIS)
        rows = {"classes": state.params["classes"] + 1000 * device}
        seen = jax.lax.all_gather((batch["labels"], state.params["classes"][0, 0]), AXIS)
        return state.replace(step=state.step + 1, params=state.params | rows), seen

    parallel = ParallelStep(step, state)
    labels = np.arange(16, dtype=np.int32)
    batch = parallel.place({"labels": labels})
    after, (seen_labels, first_of_rows) = parallel(parallel.to_devices(state), batch)
    np.testing.assert_array_equal(seen_labels, labels.reshape(8, 2))
    np.testing.assert_array_equal(first_of_rows, state.params["classes"][::64, 0])
    after = parallel.to_host(after)
    added = np.repeat(1000 * np.arange(8, dtype=np.float32), 64)[:, None]
    np.testing.assert_array_equal(after.params["classes"], state.params["classes"] + added)
    assert after.step == state.step + 1


def test_the_second_step_is_not_compiled_anew(state):
    traced = []

    def step(state, batch):
        traced.append(1)
        return state.replace(step=state.step + 1), {"sum": jnp.sum(batch["labels"])}

    parallel, labels = ParallelStep(step, state), {"labels": np.arange(8, dtype=np.int32)}
    after = parallel.to_devices(state)
    for _ in range(3):
        after, _ = parallel(after, parallel.place(labels))
    assert len(traced) == 1
    assert int(parallel.to_host(after).step) == 3


def test_the_leaves_that_are_spread(state):
    spread = {path for path in landmarks.named_leaves(state) if state.is_by_rows(path)}
    assert spread == {
        "params/classes",
        "optimizer/1/trace/classes",
        "losses/contrastive/queue/descriptors",
        "losses/contrastive/queue/labels",
    }


@pytest.mark.parametrize("size", [8, 16, 800])
def test_a_batch_that_can_be_shared(state, size):
    check_divisible(size, 1, state)


@pytest.mark.parametrize(
    ("size", "accumulate", "message"),
    [
        (12, 1, "a batch of 12 cannot be shared by 8 devices; choose a multiple of 8"),
        (4, 1, "a batch of 4 cannot be shared by 8 devices; choose a multiple of 8"),
        (24, 2, "a batch of 24 .* 8 devices, each in 2 parts; choose a multiple of 16"),
    ],
)
def test_a_batch_that_cannot_be_shared_is_one_line(state, size, accumulate, message):
    with pytest.raises(UserError, match=message):
        check_divisible(size, accumulate, state)


def test_a_queue_that_cannot_be_shared_is_one_line(state):
    contrastive = state.losses["contrastive"]
    queue = contrastive["queue"]._replace(labels=contrastive["queue"].labels[:60])
    shorter = state.replace(losses=state.losses | {"contrastive": contrastive | {"queue": queue}})
    with pytest.raises(UserError, match="queue/labels of 60 cannot be shared by 8 devices"):
        check_divisible(16, 1, shorter)


def _train(folder, devices, *clusters):
    """Runs the training in one process, or in one for each of the clusters' arguments."""
    flags = (
        # What is compared are the sums of several devices, so a quick compilation is enough.
        "--xla_backend_optimization_level=0",
        f"--xla_force_host_platform_device_count={devices}",
    )
    processes = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.training.spread_training", folder, *arguments],
            cwd=ROOT,
            env=os.environ | {"XLA_FLAGS": " ".join(flags)},
            stdout=subprocess.DEVNULL,
        )
        for arguments in clusters or [()]
    ]
    with contextlib.ExitStack() as at_the_end:
        for process in processes:
            at_the_end.callback(process.wait)
            at_the_end.callback(process.kill)
        assert [process.wait(timeout=400) for process in processes] == [0] * len(processes)
    return folder


@pytest.fixture(scope="module")
def one_device(tmp_path_factory):
    return _train(tmp_path_factory.mktemp("one"), 1)


@pytest.fixture(scope="module")
def eight_devices(tmp_path_factory):
    return _train(tmp_path_factory.mktemp("eight"), 8)


@pytest.fixture(scope="module")
def two_processes(tmp_path_factory):
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{free.getsockname()[1]}"
    clusters = [(address, "2", str(index)) for index in range(2)]
    return _train(tmp_path_factory.mktemp("two"), 4, *clusters)


def _left(folder, index=0):
    with np.load(folder / f"{index}.npz") as file:
        return dict(file)


def _distance(found, expected):
    return np.abs(found - expected).max(initial=0) / max(np.abs(expected).max(initial=0), 1e-30)


@pytest.mark.slow
@pytest.mark.parametrize("layout", ["eight_devices", "two_processes"])
def test_however_many_devices_the_training_is_the_same(request, one_device, layout):
    alone, spread = map(_left, (one_device, request.getfixturevalue(layout)))
    assert spread.keys() == alone.keys()
    assert alone["metrics/loss"].shape == (STEPS,)
    gradients = {path for path in alone if path.startswith("last/optimizer/1/trace")}
    assert len(gradients) == sum(path.startswith("last/params") for path in alone)
    for path in alone:
        if path in gradients or path == "metrics/gradient_norm":
            # Of the biases before a norm it is all rounding.
            bound = np.inf if path.endswith(BEFORE_A_NORM) else AFTER_A_SWITCH
        else:
            bound = SPREAD
        assert _distance(spread[path], alone[path]) <= bound, path


@pytest.mark.slow
def test_all_processes_have_the_same_state_to_the_bit(two_processes):
    first, second = (_left(two_processes, index) for index in range(2))
    assert first.keys() == second.keys()
    for path in first:
        np.testing.assert_array_equal(first[path], second[path], err_msg=path)
