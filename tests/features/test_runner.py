import concurrent.futures
import os
import pathlib
import subprocess
import sys
import types

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from senet_jax.features import runner as describer_module
from senet_jax.features.networks import fast_form, mean_descriptors
from senet_jax.features.runner import Describer
from senet_jax.weights import save_weights
from tests.data.pictures import picture
from tests.features.extraction_command import ROOT
from tests.oracles.lively_twin import lively_weights
from tests.tolerances import BATCHED, FEW_ROUNDINGS

NAME = "tiny_baseline"
SHAPES = [(24, 32), (9, 30), (24, 1), (1, 1)]


def _batch(devices, seed=0):
    """Two pictures a device, of several sizes, at the corner of 24x32: images and sizes."""
    sizes = np.array([SHAPES[index % len(SHAPES)] for index in range(2 * devices)], np.int32)
    images = np.zeros((len(sizes), 24, 32, 3), np.uint8)
    for index, (height, width) in enumerate(sizes):
        images[index, :height, :width] = picture(height, width, seed + index)
    return images, sizes


def test_every_scale_counts_the_same():
    """Each descriptor has unit length, and so has their mean."""
    scales = [jnp.array([[1.0, 0], [0, 1]]), jnp.array([[0, 1.0], [0, 1]])]
    scales.append(jnp.array([[0, 1.0], [0, 1]]))
    expected = [np.array([1, 2]) / 5**0.5, [0, 1]]
    np.testing.assert_allclose(mean_descriptors(scales), expected, rtol=FEW_ROUNDINGS)


@pytest.fixture(scope="module")
def describer():
    return Describer.of(lively_weights(NAME))


def test_it_runs_on_every_device(describer):
    assert describer.devices == jax.local_device_count() > 1
    assert (describer.mode, describer.width) == ("auto", 128)


def test_descriptors_have_unit_length_whatever_is_padded(describer):
    images, sizes = _batch(describer.devices)
    descriptors = describer(images, sizes)
    assert descriptors.shape == (len(images), 128) and descriptors.dtype == np.float32
    lengths = np.linalg.norm(np.asarray(descriptors, np.float64), axis=1)
    np.testing.assert_allclose(lengths, 1, rtol=FEW_ROUNDINGS)
    # What stands in the padding is not seen.
    noisy = images.copy()
    for image, (height, width) in zip(noisy, sizes, strict=True):
        image[height:] = image[:, width:] = 99
    np.testing.assert_array_equal(describer(noisy, sizes), descriptors)


def test_transposed_images_have_the_descriptors_of_upright_ones(describer):
    images, sizes = _batch(describer.devices)
    transposed = describer(images.swapaxes(1, 2), sizes[:, ::-1], transposed=True)
    difference = np.linalg.norm(transposed - describer(images, sizes), axis=1)
    assert difference.max() <= BATCHED


def test_an_image_does_not_depend_on_its_device(describer):
    images, sizes = _batch(describer.devices)
    descriptors = np.asarray(describer(images, sizes))
    moved = np.asarray(describer(np.roll(images, 6, axis=0), np.roll(sizes, 6, axis=0)))
    np.testing.assert_array_equal(np.roll(moved, -6, axis=0), descriptors)


def test_accelerators_have_another_form_and_the_same_descriptors(describer, monkeypatch):
    images, sizes = _batch(describer.devices)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    # Compiled functions are kept for a network, whatever the device.
    monkeypatch.setattr(describer_module, "_compiled", describer_module._compiled.__wrapped__)
    left_out = {name for name, value in fast_form().items() if not value}
    assert left_out == {"folded", "fast_blocks", "fast_offsets", "separate_blocks"}
    there = Describer.of(lively_weights(NAME))(images, sizes)
    difference = np.linalg.norm(there - describer(images, sizes), axis=1)
    assert 0 < difference.max() <= BATCHED


DESCRIBE = """
import sys
import numpy as np
from senet_jax.features.runner import Describer
from senet_jax.weights import load_weights
folder, devices = sys.argv[1:]
describer = Describer.of(load_weights(folder + "/weights"))
assert describer.devices == int(devices)
images, sizes = np.load(folder + "/images.npy"), np.load(folder + "/sizes.npy")
step = 2 * describer.devices
parts = [
    np.asarray(describer(images[start : start + step], sizes[start : start + step]))
    for start in range(0, len(images), step)
]
np.save(f"{folder}/{devices}.npy", np.concatenate(parts))
"""


@pytest.mark.slow
def test_four_devices_give_the_bytes_of_one(tmp_path):
    """By as many threads: how many share a product of matrices decides over its last bits."""
    save_weights(tmp_path / "weights", lively_weights("tiny"))
    images, sizes = _batch(4)
    np.save(tmp_path / "images.npy", images)
    np.save(tmp_path / "sizes.npy", sizes)
    for devices in (1, 4):
        flags = f"--xla_force_host_platform_device_count={devices}"
        subprocess.run(
            [sys.executable, "-c", DESCRIBE, tmp_path, str(devices)],
            cwd=ROOT,
            env=os.environ | {"XLA_FLAGS": flags, "NPROC": "4"},
            check=True,
        )
    one, four = (np.load(tmp_path / f"{devices}.npy") for devices in (1, 4))
    np.testing.assert_array_equal(four, one)


def test_programs_are_forgotten_before_they_are_too_many(monkeypatch):
    """Of a few hundred, XLA would end the process."""
    monkeypatch.setattr(describer_module, "PROGRAMS_KEPT", 3)
    describer = Describer.of(lively_weights(NAME), "exact")
    found, mappings = [], []
    for height in (*range(32, 39), 32):  # The first one again at last.
        images = np.repeat(picture(height, 40, seed=0)[None], describer.devices, axis=0)
        found.append(np.asarray(describer(images)))
        mappings.append(len(pathlib.Path("/proc/self/maps").read_text().splitlines()))
    np.testing.assert_array_equal(found[0], found[-1])
    assert mappings[2] - mappings[0] > 20  # They are what takes mappings.
    assert mappings[3] < mappings[2]
    assert mappings[6] < mappings[5]


def test_programs_that_are_compiled_ahead_give_the_same_bytes(describer):
    images, sizes = _batch(describer.devices)
    expected = np.asarray(describer(images, sizes))
    transposed = np.asarray(describer(images, sizes, transposed=True))
    # It compiles nothing when it is called, for it cannot be called.
    describer = Describer.of(lively_weights(NAME))
    function = types.SimpleNamespace(lower=describer._compiled.function.lower)
    describer._compiled = describer_module.Programs(function)
    with describer.compiling_ahead([images.shape[:3]]):
        np.testing.assert_array_equal(describer(images, sizes), expected)
    np.testing.assert_array_equal(describer(images, sizes, transposed=True), transposed)


@pytest.mark.parametrize(
    "error", [concurrent.futures.CancelledError(), jax.errors.JaxRuntimeError("out of memory")]
)
def test_what_was_not_compiled_ahead_is_compiled_when_it_is_needed(error):
    future = concurrent.futures.Future()
    programs = describer_module.Programs("compiles when it is called", {(1, 2, 3, 3): future})
    future.set_exception(error)
    assert programs.of_shape((1, 2, 3, 3)) == "compiles when it is called"


def test_a_mistake_in_what_is_compiled_ahead_shows():
    future = concurrent.futures.Future()
    future.set_exception(TypeError("a mistake"))
    with pytest.raises(TypeError, match="a mistake"):
        describer_module.Programs(None, {(1, 2, 3, 3): future}).of_shape((1, 2, 3, 3))
