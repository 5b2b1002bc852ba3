"""Heads on kept maps: they begin as the identity, and become ordinary weights."""

import dataclasses

import cv2
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from senet_jax.data.image_folder import image_folder
from senet_jax.features.runner import Describer
from senet_jax.losses.classification import Classification
from senet_jax.losses.loss import Dimensions
from senet_jax.losses.momentum_contrast import Contrastive
from senet_jax.models.layers import l2_normalise
from senet_jax.models.registry import ARCHITECTURES, build_model, family_of, random_variables
from senet_jax.system.errors import UserError
from senet_jax.training.head_settings import HeadSettings, MapSettings
from senet_jax.training.heads import _batches, check_trunk, initial_head, with_head
from senet_jax.training.kept_maps import kept_maps, views_of
from senet_jax.training.settings import StepSettings
from senet_jax.training.state import create_state
from senet_jax.training.step import make_step
from senet_jax.weights import Weights, flatten, load_weights, save_weights
from tests.data.pictures import encoded, picture
from tests.programs import quickly

# Those that differ in what begins as the identity.
HEADS = ("lite0_baseline", "lite0_fusion", "lite0_channel_wise", "lite0_concat")
EARLY = "early_lite0_concat"
SETTINGS = {
    "seed": 0,
    "data_found": {"name": "town", "images": 40, "classes": 4},
    "start_found": {"training_set": "ImageNet", "training_sets": ["imagenet"]},
}
SIZES = {"stem_width": 8, "depths": (1,) * 7, "widths": (8, 8, 8, 16, 16, 16, 24), "outputs": 32}


def _small(name):
    module = ARCHITECTURES[name].self_similarity
    module = module and dataclasses.replace(module, width=8)
    return dataclasses.replace(ARCHITECTURES[name], self_similarity=module, **SIZES)


@pytest.fixture(scope="module")
def trunk(tmp_path_factory):
    architecture = _small("lite0")
    weights = Weights(
        architecture,
        family_of(architecture).preprocessing,
        dict(flatten(random_variables(architecture, 0))),
        {},
        {"note": "of a test"},
    )
    folder = tmp_path_factory.mktemp("trunk") / "weights"
    save_weights(folder, weights)
    return load_weights(folder)


@pytest.fixture
def photographs(tmp_path):
    for index in range(8):
        path = tmp_path / "photographs" / f"landmark_{index % 2}" / f"{index}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(picture(70, 90, seed=index), ".png"))
    return image_folder(tmp_path / "photographs")


def _maps(shape=(4, 5, 6, 32)):
    """As a ReLU6 leaves them."""
    drawn = np.random.default_rng(0).normal(1, 2, shape)
    return jnp.asarray(np.clip(drawn, 0, 6), jnp.float32)


def _moved(head, names):
    """A head as training leaves it: the leaves of some layers changed a little."""
    rng = np.random.default_rng(1)

    def move(path, leaf):
        changed = any(key.key in names for key in path)
        return leaf + 0.1 * rng.normal(size=leaf.shape).astype(np.float32) * changed

    return jax.tree_util.tree_map_with_path(move, head)


@pytest.mark.parametrize("name", HEADS)
def test_a_head_begins_as_the_identity(name):
    architecture, maps = _small(name), _maps()
    head = initial_head(architecture, 32, 0)
    apply = quickly(build_model(architecture, from_maps=True).apply)
    pooled, _ = quickly(build_model(_small("lite0"), from_maps=True).apply)({}, maps)
    np.testing.assert_allclose(apply(head, maps)[0], pooled, rtol=2e-5)
    if "encoder" in head["params"].get("ssm", {}):
        # The structure is there, and its gain alone is 0.
        _, named = apply(_moved(head, ["expand_bn"]), maps)
        assert np.std(named["structure"]) > 0.01


@pytest.mark.parametrize("name", ["lite0_concat", EARLY])
def test_all_of_a_head_learns(name):
    architecture, losses = _small(name), (Classification(weight=1.0),)
    optimizer = optax.sgd(1e-2)
    head = initial_head(architecture, 32, 0)
    state = create_state(head, optimizer, losses, Dimensions(2, 32, 0))
    step = quickly(
        make_step(architecture, optimizer, losses, StepSettings(), class_count=2, from_maps=True)
    )
    batch = {"images": _maps(), "labels": jnp.array([0, 1, 0, 1])}
    for _ in range(2):  # In the first step the gain alone feels the structure.
        state, _ = step(state, batch)
    before, after = dict(flatten(head["params"])), dict(flatten(state.params["network"]))
    still = {path for path in before if np.array_equal(before[path], after[path])}
    # What is added before a batch norm changes nothing.
    in_vain = {f"ssm/encoder/{layer}/bias" for layer in ("conv_0", "conv_1", "expand")}
    assert before.keys() == after.keys() and still <= in_vain
    assert not any("trunk" in path for path in after)


def test_partners_are_other_photographs_and_change_no_batch():
    # A map tells its photograph; those of odd numbers are not trained on.
    maps = np.arange(40, dtype=np.float16).reshape(40, 1, 1, 1, 1)
    rows, labels = np.arange(0, 40, 2), np.arange(20, dtype=np.int32) % 5
    told = HeadSettings(model="lite0_baseline", batch_size=8)
    alone, paired = (_batches(maps, rows, labels, told, pairs) for pairs in (False, True))
    seen = set()
    for _ in range(10):
        first, second = next(alone), next(paired)
        assert set(first) == {"images", "labels"}
        np.testing.assert_array_equal(first["images"], second["images"])
        images, partners = (np.ravel(second[key]).astype(int) for key in ("images", "positives"))
        np.testing.assert_array_equal(labels[images // 2], second["labels"])
        np.testing.assert_array_equal(labels[partners // 2], second["labels"])
        assert (images != partners).all() and not (partners % 2).any()
        seen |= set(partners)
    assert seen == set(rows)


def test_a_loss_of_pairs_is_checked_with_the_others():
    told = {"model": "lite0_baseline", "batch_size": 8, "warmup_steps": 1}
    HeadSettings(**told, losses=(Contrastive(queue_length=8),)).check()
    with pytest.raises(UserError, match="a loss with a weight above 0"):
        HeadSettings(**told, losses=(Contrastive(weight=0.0, queue_length=8),)).check()
    with pytest.raises(UserError, match="the queue takes at least a batch"):
        HeadSettings(**told, losses=(Contrastive(queue_length=4),)).check()


@pytest.mark.parametrize("name", ["lite0_concat", EARLY])
def test_the_engine_describes_as_the_training_does(name, trunk, photographs, tmp_path):
    architecture = _small(name)
    maps = family_of(architecture).trunk_maps(architecture)
    settings = MapSettings(images="", maps=str(tmp_path / "maps"), side=64, views=1)
    pixels = np.stack([views_of(photographs, i, trunk.preprocessing, settings) for i in range(8)])
    whole = jax.jit(build_model(trunk.architecture).apply)
    of_trunk = whole(trunk.variables(), pixels[:, 0])[1][maps]
    head = initial_head(architecture, of_trunk.shape[-1], 0)
    head = _moved(head, ["expand_bn", "fuse_0", "fuse_1", "fc"])
    head = {**head, "batch_stats": jax.tree.map(lambda leaf: leaf + 0.1, head["batch_stats"])}
    save_weights(tmp_path / "w", with_head(trunk, architecture, head, SETTINGS))
    weights = load_weights(tmp_path / "w")
    assert weights.note == "of a test" and weights.source["training"] == SETTINGS
    assert weights.training_set == "ImageNet, then town (40 images of 4 classes)"

    of_head, _ = jax.jit(build_model(architecture, from_maps=True).apply)(head, of_trunk)
    images = [cv2.resize(picture(70, 90, seed=int(key[-5])), (64, 64)) for key in photographs.keys]
    ours = np.asarray(Describer.of(weights)(np.stack(images), np.full((8, 2), 64, np.int32)))
    np.testing.assert_allclose(ours, l2_normalise(of_head), rtol=0, atol=1e-5)

    kept = kept_maps(photographs, trunk, maps, settings)
    np.testing.assert_allclose(kept[:, 0], of_trunk, rtol=2e-3, atol=2e-3)


def test_maps_are_made_once_and_again_where_they_are_broken(trunk, photographs, tmp_path, capsys):
    settings = MapSettings(images="", maps=str(tmp_path / "maps"), side=32, views=3)
    first = kept_maps(photographs, trunk, "head", settings)
    assert first.shape == (8, 3, 1, 1, 32) and len({bytes(m) for m in first.reshape(24, 32)}) == 24
    [file] = (tmp_path / "maps").iterdir()
    made = file.stat().st_mtime_ns
    np.testing.assert_array_equal(kept_maps(photographs, trunk, "head", settings), first)
    assert file.stat().st_mtime_ns == made
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    np.testing.assert_array_equal(kept_maps(photographs, trunk, "head", settings), first)
    assert "is broken, and made again" in capsys.readouterr().out
    kept_maps(photographs, trunk, "head", dataclasses.replace(settings, smallest_area=0.9))
    assert kept_maps(photographs, trunk, "s5", settings).shape == (8, 3, 2, 2, 16)
    assert len(list((tmp_path / "maps").iterdir())) == 3


def test_a_trunk_of_another_network_is_refused(trunk):
    for name in ("lite0_concat", EARLY):
        check_trunk(trunk, _small(name))
        with pytest.raises(UserError, match=rf"has not the trunk of {name}, config\.model"):
            check_trunk(trunk, ARCHITECTURES[name])
    for name in ("tiny", "lite0"):  # The latter has nothing to learn behind its trunk.
        message = rf"config\.model is {name}, whose head is not trained alone"
        with pytest.raises(UserError, match=message):
            check_trunk(trunk, ARCHITECTURES[name])
