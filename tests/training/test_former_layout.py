"""Checkpoints made before each loss had a state of its own; `fixtures` holds some.

`checkpoints_*` are steps of a network of two layers, whose leaves are numbers drawn by their names;
`states.json` has settings of trainings, and dtype and shape of each leaf of their states.
"""

import json
import pathlib
import re
import shutil
import zlib

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from senet_jax.config import completed, read
from senet_jax.losses.classification import Classification
from senet_jax.losses.loss import Dimensions
from senet_jax.losses.momentum_contrast import Contrastive
from senet_jax.system.errors import UserError
from senet_jax.training.checkpoint import Checkpoints
from senet_jax.training.former_layout import names_now
from senet_jax.training.optimizer import Duration, OptimizerSettings, make_optimizer
from senet_jax.training.settings import TrainingSettings
from senet_jax.training.setup import make_setup
from senet_jax.training.state import create_state
from senet_jax.training.stored_steps import description, named_leaves

FIXTURES = pathlib.Path(__file__).parent / "fixtures"
BOTH = (Classification(), Contrastive(queue_length=8))
TRAININGS = {
    "both": ("sgd", BOTH),
    "contrastive": ("adamw", BOTH[1:]),
    "classification": ("sgd", BOTH[:1]),
}


def _state(optimizer, losses):
    variables = {
        "params": {"fc": {"kernel": jnp.zeros((3, 4)), "bias": jnp.zeros(4)}},
        "batch_stats": {"bn": {"mean": jnp.zeros(3)}},
    }
    chain = make_optimizer(OptimizerSettings(name=optimizer), Duration(total_steps=10))
    return create_state(variables, chain, losses, Dimensions(class_count=3, width=4, seed=0))


def _name_then(path):
    path = re.sub("^losses/([a-z]*)/running$", r"running/\1", path)
    return re.sub("^losses/contrastive/", "", path)


@pytest.mark.parametrize("name", TRAININGS)
def test_a_training_is_resumed_with_every_number(name, tmp_path):
    shutil.copytree(FIXTURES / f"checkpoints_{name}", tmp_path / "checkpoints")
    target = _state(*TRAININGS[name])
    with Checkpoints(tmp_path / "checkpoints") as checkpoints:
        state, meta = checkpoints.restore(target)
        assert meta == {"step": 7, "of": name}
        assert jax.tree.structure(state) == jax.tree.structure(target)
        leaves = named_leaves(state)
        assert leaves.pop("step") == 7
        for path, leaf in leaves.items():
            numbers = np.random.RandomState(zlib.crc32(_name_then(path).encode()))
            expected = (1000 * numbers.standard_normal(leaf.shape)).astype(leaf.dtype)
            np.testing.assert_array_equal(leaf, expected, err_msg=path)
        # What it saves from here on has the names of today.
        checkpoints.save(8, state, {"step": 8})
        again, _ = checkpoints.restore(target)
    assert named_leaves(again).keys() == named_leaves(target).keys()


def test_another_loss_is_one_line(tmp_path):
    shutil.copytree(FIXTURES / "checkpoints_classification", tmp_path / "checkpoints")
    with (
        Checkpoints(tmp_path / "checkpoints") as checkpoints,
        pytest.raises(UserError, match=r"has losses/contrastive/.* not at all, this config makes"),
    ):
        checkpoints.restore(_state(*TRAININGS["both"]))


@pytest.mark.parametrize("name", ["both", "demo"])
def test_settings_of_that_time_make_the_same_state(name):
    then = json.loads((FIXTURES / "states.json").read_text())[name]
    leaves = {
        path: {"dtype": dtype, "shape": shape} for path, (dtype, shape) in then["leaves"].items()
    }
    settings = read(TrainingSettings, completed(TrainingSettings, then["settings"]))
    state = make_setup(settings, class_count=12, steps_per_epoch=25.0).abstract_state()
    assert {now: leaves[path] for now, path in names_now(leaves).items()} == {
        path: description(leaf) for path, leaf in named_leaves(state).items()
    }
