import dataclasses

import jax
import numpy as np
import pytest

from tests.training import landmarks
from tests.training.landmarks import named_leaves


def test_the_first_state():
    state = landmarks.first_state(landmarks.step_options(0.5, 0.5))
    assert (state.step, state.losses["contrastive"]["queue"].position) == (0, 0)
    assert state.params["classes"].shape == (512, 128)  # 12 classes and padding.
    assert state.params["classes"].std() == pytest.approx(0.01, rel=0.02)
    contrastive = state.losses["contrastive"]
    assert contrastive["queue"].descriptors.shape == (landmarks.QUEUE_LENGTH, 128)
    assert set(state.losses) == {"classification", "contrastive"}
    initial = landmarks.initial()
    for found, expected in (
        (contrastive["momentum_network"], initial),
        (state.params["network"], initial["params"]),
        (state.batch_stats, initial["batch_stats"]),
    ):
        assert jax.tree.structure(found) == jax.tree.structure(expected)
        for leaf, other in zip(jax.tree.leaves(found), jax.tree.leaves(expected), strict=True):
            np.testing.assert_array_equal(leaf, other)


def test_without_a_loss_there_is_nothing_of_it():
    state = landmarks.first_state(landmarks.step_options(1.0, 0.0))
    assert set(state.losses) == {"classification"}
    state = landmarks.first_state(landmarks.step_options(0.0, 1.0))
    assert (set(state.params), set(state.losses)) == ({"network"}, {"contrastive"})


@pytest.mark.parametrize("optimizer", ["sgd", "adamw"])
def test_what_is_kept_of_a_row_is_spread_with_it(optimizer):
    options = dataclasses.replace(landmarks.SGD, name=optimizer)
    state = landmarks.first_state(landmarks.step_options(0.5, 0.5), options)
    spread = {path: leaf for path, leaf in named_leaves(state).items() if state.is_by_rows(path)}
    moments = {"sgd": ["1/trace"], "adamw": ["0/mu", "0/nu"]}[optimizer]
    assert set(spread) == {
        "params/classes",
        "losses/contrastive/queue/descriptors",
        "losses/contrastive/queue/labels",
        *(f"optimizer/{moment}/classes" for moment in moments),
    }
    assert {len(leaf) for leaf in spread.values()} == {512, landmarks.QUEUE_LENGTH}
