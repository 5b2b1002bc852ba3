import jax
import jax.numpy as jnp
import pytest

from configs import common
from senet_jax.data.sampling import Grouping
from senet_jax.system.errors import UserError
from senet_jax.training.setup import (
    Setup,
    make_augmentation,
    make_grouping,
    make_setup,
    rate_note,
)
from tests.training import landmarks


def _config(**changes):
    config = common.train("tiny")
    config.update_from_flattened_dict({k.replace("__", "."): v for k, v in changes.items()})
    return config


def test_the_recipe_on_gldv2_clean():
    """SPEC: 1,580,470 images in batches of 144 for 25 epochs are 274 thousand steps."""
    setup = make_setup(_config(), 81_313, 1_580_470 / 144)
    assert setup.total_steps == 274_387
    assert setup.optimizer.warmup_steps == 54_877
    assert setup.optimizer.total_steps == setup.total_steps
    assert setup.queue_length == 73_728
    options = setup.step
    assert (options.classification_weight, options.contrastive_weight) == (0.5, 0.5)
    assert (options.scale, options.margin_radians, options.class_count) == (30, 0.15, 81_313)
    assert setup.optimizer.learning_rate == pytest.approx(0.01 * 144 / 256)
    state = setup.abstract_state()
    assert state.params["classes"].shape == (81_408, 128)
    assert state.queue.descriptors.shape == (73_728, 128)


def test_another_batch_with_the_rate_of_the_recipe_is_said():
    assert rate_note(_config()) is None
    assert rate_note(_config(optimizer__learning_rate=0.001)) is None
    assert rate_note(_config(batch_size=32, optimizer__learning_rate=0.00125)) is None
    assert rate_note(_config(batch_size=32)) == (
        "config.optimizer.learning_rate 0.005625 is the recipe's, for a batch of 144; "
        "for config.batch_size 32 the linear rule gives --config.optimizer.learning_rate=0.00125"
    )


@pytest.mark.parametrize("make_state", ["initial_state", "abstract_state"])
def test_an_expression_that_finds_nothing_is_one_line_before_the_first_step(
    make_state, monkeypatch
):
    config = _config(optimizer__no_weight_decay=("biass",))
    setup = make_setup(config, class_count=10, steps_per_epoch=3.0)
    monkeypatch.setattr(
        Setup, "initial_variables", lambda setup, start: landmarks.initial(setup.architecture)
    )
    with pytest.raises(UserError, match=r"no_weight_decay has 'biass', .* such as classes, netw"):
        getattr(setup, make_state)()


def test_every_setting_arrives():
    setup = make_setup(
        _config(
            losses__contrastive_weight=0.0,
            losses__margin_kind="arc",
            precision="bfloat16",
            optimizer__no_weight_decay=("bias",),
            optimizer__rate_multipliers=(("fc", 2.0), ("classes", 10.0)),
            optimizer__clip_norm=5.0,
            epochs=0.01,
            optimizer__warmup_epochs=0.0,
            accumulate=2,
        ),
        class_count=10,
        steps_per_epoch=3.0,
    )
    assert setup.total_steps == 1
    assert setup.queue_length == 0
    assert setup.step.dtype == jnp.bfloat16
    assert (setup.step.margin_kind, setup.step.clip_norm, setup.step.accumulate) == ("arc", 5, 2)
    assert setup.optimizer.no_weight_decay == ("bias",)
    assert list(setup.optimizer.rate_multipliers.items()) == [("fc", 2.0), ("classes", 10.0)]


def test_the_abstract_state_is_that_of_the_first(monkeypatch):
    setup = make_setup(_config(losses__queue_length=64), 12, 3.0)
    monkeypatch.setattr(Setup, "initial_variables", lambda setup, start: landmarks.initial())
    state = setup.initial_state()
    abstract = setup.abstract_state()
    assert jax.tree.structure(state) == jax.tree.structure(abstract)
    for leaf, shape in zip(jax.tree.leaves(state), jax.tree.leaves(abstract), strict=True):
        assert (leaf.shape, leaf.dtype) == (shape.shape, shape.dtype)


def test_changes_of_images():
    augmentation = make_augmentation(_config(data__widest_aspect=2.0, data__smallest_area=0.5))
    assert augmentation.aspect == (0.5, 2.0)
    assert augmentation.area == (0.5, 1.0)
    assert augmentation.side == 512


def test_groups():
    assert make_grouping(_config()) is None
    groups = make_grouping(_config(data__group_classes=4, data__group_views=2))
    assert groups == Grouping(4, 2)
