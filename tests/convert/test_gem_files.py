"""Checkpoints of GeM as cirtorch writes them, and what is not quite one: one line each."""

import copy

import numpy as np
import pytest
import torch

from senet_jax.convert.checkpoint import write_checkpoint
from senet_jax.convert.sources import read_source
from senet_jax.convert.translate import state_from_weights
from senet_jax.models import registry
from senet_jax.models.preprocessing import Preprocessing
from senet_jax.system.errors import UserError
from senet_jax.weights import description, load_weights, save_weights
from tests.convert.checkpoints import save, state_dict, under_torchvision_names
from tests.models.test_gem import TINY
from tests.oracles.gem_twin import MEAN, SET, STD, gem_checkpoint


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    monkeypatch.setitem(registry.ARCHITECTURES, TINY.name, TINY)


@pytest.mark.parametrize("options", [{}, {"_use_new_zipfile_serialization": False}])
def test_files_of_both_formats(tmp_path, options):
    checkpoint = gem_checkpoint()
    torch.save(checkpoint, tmp_path / "gem.pth", **options)
    weights, _ = read_source(str(tmp_path / "gem.pth"))
    assert weights.preprocessing == Preprocessing("RGB", tuple(MEAN), tuple(STD))
    whitening = checkpoint["meta"]["Lw"][SET]["ms"]
    found = weights.tensors["params/projection/matrix"]
    np.testing.assert_array_equal(found, whitening["P"].T)
    assert found.dtype == np.float64
    np.testing.assert_array_equal(weights.tensors["params/projection/mean"], whitening["m"][:, 0])
    save_weights(tmp_path / "weights", weights)
    write_checkpoint(
        tmp_path / "back.pth",
        state_from_weights(load_weights(tmp_path / "weights")),
        description(weights),
    )
    again, _ = read_source(str(tmp_path / "back.pth"))
    assert again.preprocessing == weights.preprocessing
    for path, tensor in weights.tensors.items():
        np.testing.assert_array_equal(again.tensors[path], tensor)


def _whitening(checkpoint):
    return checkpoint["meta"]["Lw"][SET]["ms"]


CHANGES = {
    "no whitening": (lambda c: c["meta"].pop("Lw"), "meta.Lw.m is missing"),
    "no meta": (lambda c: c.pop("meta"), "meta.Lw.m is missing"),
    "one size's alone": (lambda c: c["meta"]["Lw"][SET].pop("ms"), "no arrays `m` and `P`"),
    "two other sets": (
        lambda c: c["meta"].update(Lw={"a": c["meta"]["Lw"][SET], "b": {}}),
        "it has 'a', 'b'",
    ),
    "a matrix cut off": (
        lambda c: _whitening(c).update(P=np.zeros((3, 128))),
        "meta.Lw.P is [3, 128], not [128, 128]",
    ),
    "a mean of one axis": (
        lambda c: _whitening(c).update(m=np.zeros(128)),
        "meta.Lw.m is [128], not [128, 1]",
    ),
    "no numbers": (
        lambda c: _whitening(c).update(P=np.full((128, 128), np.nan)),
        "not finite",
    ),
    "objects": (lambda c: _whitening(c).update(P=np.array([{}])), "cannot be read"),
    "a broken mean": (lambda c: c["meta"].update(mean=[0.5]), "give three numbers"),
    "another pooling": (lambda c: c["state_dict"].pop("pool.p"), "pool.p is missing"),
    "a local whitening": (
        lambda c: c["state_dict"].update({"lwhiten.bias": torch.zeros(128)}),
        "lwhiten.bias is unknown",
    ),
}


@pytest.mark.parametrize("kind", CHANGES)
def test_what_is_not_quite_one(tmp_path, kind):
    change, message = CHANGES[kind]
    checkpoint = copy.deepcopy(gem_checkpoint())
    change(checkpoint)
    torch.save(checkpoint, tmp_path / "gem.pth")
    with pytest.raises(UserError) as raised:
        read_source(str(tmp_path / "gem.pth"), "gem_tiny")
    assert message in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1


def test_a_checkpoint_of_another_system(tmp_path):
    path = save(tmp_path / "other.pth", under_torchvision_names(state_dict("tiny_classifier")))
    with pytest.raises(UserError, match="torchvision names, which gem_r101 does not have"):
        read_source(str(path), "gem_r101")
