"""GeM beside a twin in PyTorch, from a checkpoint in cirtorch's layout."""

import dataclasses
import functools

import jax.numpy as jnp
import numpy as np
import pytest
import torch
from torch.nn.functional import interpolate

from senet_jax.convert.checkpoint import read_checkpoint
from senet_jax.convert.sources import read_source
from senet_jax.convert.translate import adapted_to
from senet_jax.features.runner import Describer
from senet_jax.models import registry
from senet_jax.models.families.gem import GeMSettings
from senet_jax.models.gem import shrink
from senet_jax.models.valid_region import WHOLE, ValidRegion
from tests.data.pictures import picture
from tests.oracles import gem_twin
from tests.oracles.gem_twin import gem_checkpoint, gem_descriptors
from tests.tolerances import FEW_ROUNDINGS, TIMES_THE_TWIN

SIZE, PADDED = (57, 76), (64, 80)
TINY = GeMSettings(
    "gem_tiny",
    depths=gem_twin.DEPTHS,
    stem_width=gem_twin.STEM_WIDTH,
    stage_widths=gem_twin.WIDTHS,
    stage_strides=gem_twin.STRIDES,
    outputs=gem_twin.WIDTHS[-1],
)


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setitem(registry.ARCHITECTURES, TINY.name, TINY)


def _saved(folder, checkpoint, **options):
    torch.save(checkpoint, folder / "gem.pth", **options)
    return str(folder / "gem.pth")


@functools.cache
def _of_pytorch(has_layer, dtype, count):
    checkpoint = gem_checkpoint(has_layer)
    mean, std = (torch.tensor(checkpoint["meta"][key]) for key in ("mean", "std"))
    rgb = [picture(*SIZE, seed)[..., ::-1].copy() for seed in range(count)]
    images = (torch.from_numpy(np.stack(rgb)) / 255 - mean) / std
    return gem_descriptors(checkpoint, images.permute(0, 3, 1, 2), dtype).double().numpy()


@pytest.mark.parametrize(
    ("has_layer", "form"),
    [
        (False, "padded"),
        pytest.param(False, "transposed", marks=pytest.mark.slow),
        pytest.param(False, "exact", marks=pytest.mark.slow),
        pytest.param(True, "exact", marks=pytest.mark.slow),
    ],
)
def test_descriptors_are_those_of_the_twin(tiny, tmp_path, has_layer, form):
    weights, _ = read_source(_saved(tmp_path, gem_checkpoint(has_layer)))
    assert weights.provenance == "gem_tiny, trained on SfM-120k, licence MIT"
    describer = Describer.of(weights, "exact" if form == "exact" else "auto")
    images = np.stack([picture(*SIZE, seed) for seed in range(describer.devices)])
    sizes = None
    if form != "exact":
        (height, width), (rows, columns) = SIZE, PADDED
        images = np.pad(images, ((0, 0), (0, rows - height), (0, columns - width), (0, 0)))
        sizes = np.tile(np.int32(SIZE), (len(images), 1))
    if form == "transposed":
        images, sizes = images.swapaxes(1, 2), sizes[:, ::-1]
    ours = np.asarray(describer(images, sizes, transposed=form == "transposed"), np.float64)
    theirs, exact = (
        _of_pytorch(has_layer, dtype, len(ours)) for dtype in (torch.float32, torch.float64)
    )
    assert np.linalg.norm(ours - exact) <= TIMES_THE_TWIN * np.linalg.norm(theirs - exact)


@pytest.mark.parametrize(("size", "scale"), [((2, 3), 0.5), ((31, 64), 2**-0.5)])
def test_images_are_shrunk_as_pytorch_does(size, scale):
    image = np.random.default_rng(0).normal(size=(1, *size, 3)).astype(np.float32)
    tensor = torch.from_numpy(image).permute(0, 3, 1, 2).double()
    wanted = interpolate(tensor, scale_factor=scale, mode="bilinear")[0].permute(1, 2, 0).numpy()
    found, _ = shrink(jnp.asarray(image), WHOLE, scale)
    np.testing.assert_allclose(found[0], wanted, atol=5 * FEW_ROUNDINGS)
    padded = np.pad(image, ((0, 0), (0, 5), (0, 9), (0, 0)), constant_values=7)
    found, inside = shrink(jnp.asarray(padded), ValidRegion(jnp.array([size])), scale)
    height, width = np.asarray(inside.sizes)[0]
    assert (height, width) == wanted.shape[:2]
    np.testing.assert_allclose(found[0, :height, :width], wanted, atol=5 * FEW_ROUNDINGS)
    assert not np.any(found[0, height:]) and not np.any(found[0, :, width:])


def test_a_side_of_one_pixel_stays_one():
    image = jnp.full((1, 1, 5, 3), 0.25)
    for padded in (image, jnp.pad(image, ((0, 0), (0, 3), (0, 0), (0, 0)))):
        found, inside = shrink(padded, ValidRegion(jnp.array([[1, 5]])), 0.5)
        assert np.asarray(inside.sizes).tolist() == [[1, 2]]
        np.testing.assert_allclose(found[0, 0], 0.25, atol=FEW_ROUNDINGS)


def test_the_head_follows_the_checkpoint(tmp_path):
    state = read_checkpoint(_saved(tmp_path, gem_checkpoint(True))).state
    assert adapted_to(state, TINY) == dataclasses.replace(TINY, head="whitened")
