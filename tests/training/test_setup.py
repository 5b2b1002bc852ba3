import jax
import numpy as np
import pytest

from configs import common
from senet_jax.config import read
from senet_jax.data.sampling import Grouping
from senet_jax.system.errors import UserError
from senet_jax.training import setup as meaning
from senet_jax.training.settings import TrainingSettings
from senet_jax.training.setup import (
    Setup,
    make_augmentation,
    make_grouping,
    make_setup,
    rate_note,
)
from tests.training import landmarks


def _settings(**changes):
    config = common.train("demo")
    config.update_from_flattened_dict({k.replace("__", "."): v for k, v in changes.items()})
    return read(TrainingSettings, config)


def test_the_recipe_on_gldv2_clean():
    """SPEC: 1,580,470 images in batches of 144 for 25 epochs are 274 thousand steps."""
    setup = make_setup(_settings(), 81_313, 1_580_470 / 144)
    assert setup.duration.total_steps == 274_387
    assert setup.duration.warmup_steps == 54_877
    assert [loss.name for loss in setup.losses] == ["classification", "contrastive"]
    for loss in setup.losses:
        assert (loss.weight, loss.scale, loss.margin_radians) == (0.5, 30, 0.15)
    assert setup.settings.optimizer.learning_rate == pytest.approx(0.01 * 144 / 256)
    state = setup.abstract_state()
    assert state.params["classes"].shape == (81_408, 128)
    assert state.losses["contrastive"]["queue"].descriptors.shape == (73_728, 128)


def test_another_batch_with_the_rate_of_the_recipe_is_said():
    assert rate_note(_settings()) is None
    assert rate_note(_settings(optimizer__learning_rate=0.001)) is None
    assert rate_note(_settings(batch_size=32, optimizer__learning_rate=0.00125)) is None
    assert rate_note(_settings(batch_size=32)) == (
        "config.optimizer.learning_rate 0.005625 is the recipe's, for a batch of 144; "
        "for config.batch_size 32 the linear rule gives --config.optimizer.learning_rate=0.00125"
    )


@pytest.mark.parametrize("make_state", ["initial_state", "abstract_state"])
def test_an_expression_that_finds_nothing_is_one_line_before_the_first_step(
    make_state, monkeypatch
):
    config = _settings(optimizer__no_weight_decay=("biass",))
    setup = make_setup(config, class_count=10, steps_per_epoch=3.0)
    monkeypatch.setattr(
        Setup, "initial_variables", lambda setup, start: landmarks.initial(setup.architecture)
    )
    with pytest.raises(UserError, match=r"no_weight_decay has 'biass', .* such as classes, netw"):
        getattr(setup, make_state)()


def test_pixels_are_prepared_as_the_network_expects(monkeypatch):
    monkeypatch.setattr(meaning, "make_step", lambda *_, **__: lambda _, batch: batch)
    pixels = np.random.default_rng(0).integers(0, 256, (2, 4, 4, 3), np.uint8)
    batch = {"images": pixels, "images_light": np.zeros((2, 3), np.float32)}
    for name, expected in (
        ("demo", (pixels / 255 - [0.406, 0.456, 0.485]) / [0.225, 0.224, 0.229]),
        ("lite0", (pixels[..., ::-1] - 127.0) / 128),
    ):
        setup = make_setup(_settings(model=name), class_count=10, steps_per_epoch=3.0)
        prepared = setup.make_step()(None, batch)["images"]
        np.testing.assert_allclose(prepared, expected, rtol=0, atol=1e-6)


def test_a_network_that_has_nothing_to_learn_is_one_line():
    setup = make_setup(_settings(model="thumbnails"), class_count=10, steps_per_epoch=3.0)
    with pytest.raises(UserError, match=r"config\.model is thumbnails, which has nothing to learn"):
        setup.abstract_state()


def test_every_setting_arrives():
    setup = make_setup(
        _settings(
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
    assert setup.duration.total_steps == 1
    (loss,) = setup.losses
    assert (loss.name, loss.margin_kind) == ("classification", "arc")
    step, optimizer = setup.settings.step, setup.settings.optimizer
    assert (step.precision, step.accumulate, optimizer.clip_norm) == ("bfloat16", 2, 5)
    assert optimizer.no_weight_decay == ("bias",)
    assert optimizer.rate_multipliers == (("fc", 2.0), ("classes", 10.0))


def test_the_abstract_state_is_that_of_the_first(monkeypatch):
    setup = make_setup(_settings(losses__queue_length=144), 12, 3.0)
    monkeypatch.setattr(
        Setup, "initial_variables", lambda setup, start: landmarks.initial(setup.architecture)
    )
    state = setup.initial_state()
    abstract = setup.abstract_state()
    assert jax.tree.structure(state) == jax.tree.structure(abstract)
    for leaf, shape in zip(jax.tree.leaves(state), jax.tree.leaves(abstract), strict=True):
        assert (leaf.shape, leaf.dtype) == (shape.shape, shape.dtype)


def test_changes_of_images():
    augmentation = make_augmentation(
        _settings(data__widest_aspect=2.0, data__smallest_area=0.5).data
    )
    assert augmentation.aspect == (0.5, 2.0)
    assert augmentation.area == (0.5, 1.0)
    assert augmentation.side == 512


def test_groups():
    assert make_grouping(_settings().data) is None
    groups = make_grouping(_settings(data__group_classes=4, data__group_views=2).data)
    assert groups == Grouping(4, 2)
