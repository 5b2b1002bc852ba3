"""Photographs that are not what they seem: one of them never ends or changes the work on others."""

import concurrent.futures
import os
import pathlib
import shutil

import cv2
import numpy as np
import pytest

from senet_jax.data.revisitop import Photograph
from senet_jax.data.transforms import TooLargeImage, UnreadableImage
from senet_jax.features import extract as extract_module
from senet_jax.features.extract import extract, extract_batches, plan_job
from senet_jax.system import host_memory
from tests.data.pictures import encoded, picture, with_broken_pixels, with_claimed_size
from tests.features.mean_colour import MeanColour

CASES = pathlib.Path(__file__).parents[2].parent / "shared" / "cases" / "images"
MEGABYTE = 2**20


@pytest.fixture
def photographs(tmp_path):
    for number in range(4):
        (tmp_path / f"{number}.jpg").write_bytes(encoded(picture(24, 32, seed=number)))
    return [Photograph(tmp_path, f"{number}.jpg") for number in range(4)]


@pytest.fixture
def memory(tmp_path_factory, monkeypatch):
    """Sets how many megabytes there are."""
    limit = tmp_path_factory.mktemp("memory") / "memory.max"
    monkeypatch.setattr(host_memory, "_LIMIT", limit)
    return lambda megabytes: limit.write_text(f"{megabytes * MEGABYTE}\n")


def _colours(photographs):
    means = np.stack([cv2.imread(str(p.path)).mean(axis=(0, 1)) for p in photographs])
    return means / np.linalg.norm(means, axis=1, keepdims=True)


def _described(describer, job):
    """Descriptors and skipped rows of a job, in the order of the list."""
    descriptors = np.full((len(job.photographs), 3), np.nan)
    skipped = dict(job.unreadable)
    for extracted in extract_batches(describer, job, job.plan.batches):
        assert np.isnan(descriptors[list(extracted.rows)]).all()
        descriptors[list(extracted.rows)] = extracted.descriptors(3)
        skipped |= extracted.skipped
    return descriptors, skipped


@pytest.mark.parametrize("devices", [1, 3])
@pytest.mark.parametrize("mode", ["auto", "exact"])
@pytest.mark.parametrize("shape", [(24, 70), (70, 24), (24, 31), (300, 200)])
def test_pixels_of_another_size_than_planned(photographs, mode, shape, devices):
    """Their file was changed, for one, after its header was read."""
    describer = MeanColour(mode, devices)
    job = plan_job(describer, photographs, (1.0,), label="x", skip_unreadable=True)
    photographs[1].path.write_bytes(encoded(picture(*shape), ".png"))
    descriptors, skipped = _described(describer, job)
    assert not skipped
    np.testing.assert_allclose(descriptors, _colours(photographs), rtol=1e-5)


def test_pixels_of_another_size_at_several_scales(photographs):
    describer = MeanColour()
    job = plan_job(describer, photographs, (0.5, 1.0, 2.0), label="x", skip_unreadable=False)
    photographs[1].path.write_bytes(encoded(np.full((90, 40, 3), (9, 90, 200), np.uint8), ".png"))
    descriptors, _ = _described(describer, job)
    np.testing.assert_allclose(descriptors[[1]], _colours(photographs[1:2]), rtol=1e-5)
    # A batch of its own is transposed and padded as one that is planned.
    assert describer.shapes[3:] == [(1, 24, 48, 3), (1, 40, 96, 3), (1, 80, 184, 3)]


@pytest.mark.parametrize("skip_unreadable", [True, False])
def test_pixels_that_the_memory_does_not_suffice_for(photographs, memory, skip_unreadable):
    describer = MeanColour()
    memory(100)
    job = plan_job(describer, photographs, (1.0,), label="x", skip_unreadable=skip_unreadable)
    photographs[1].path.write_bytes(encoded(np.zeros((600, 700, 3), np.uint8), ".png"))
    if not skip_unreadable:
        with pytest.raises(TooLargeImage, match=r"1\.jpg has 700x600 pixels"):
            _described(describer, job)
        return
    descriptors, skipped = _described(describer, job)
    assert list(skipped) == [1] and "1.jpg has 700x600 pixels to describe" in skipped[1]
    others = [0, 2, 3]
    expected = _colours([photographs[row] for row in others])
    np.testing.assert_allclose(descriptors[others], expected, rtol=1e-5)
    assert not descriptors[1].any()


def test_pixels_that_it_does_not_suffice_for_beside_the_others(photographs, memory):
    """Two of 350 x 500, of 72 MB each, would be in flight."""
    describer = MeanColour()
    memory(100)
    job = plan_job(describer, photographs, (1.0,), label="x", skip_unreadable=True)
    assert job.batches_in_flight == 2
    photographs[1].path.write_bytes(encoded(picture(350, 500), ".png"))
    _, skipped = _described(describer, job)
    assert list(skipped) == [1]
    assert "1.jpg has 500x350 pixels and not what its header says" in skipped[1]


@pytest.mark.parametrize("mode", ["auto", "exact"])
def test_a_photograph_too_large_for_the_memory_is_skipped(photographs, memory, tmp_path, mode):
    memory(100)
    (tmp_path / "1.jpg").write_bytes(encoded(picture(600, 900)))
    (tmp_path / "2.jpg").write_bytes(encoded(picture(600, 900), ".png"))
    describer = MeanColour(mode)
    descriptors, skipped = extract(
        describer, photographs, (0.5, 1.0), label="x", skip_unreadable=True
    )
    assert descriptors.any(axis=1).tolist() == [True, False, False, True]
    for row in (1, 2):
        assert f"{row}.jpg has 900x600 pixels to describe, the memory suffices" in skipped[row]
    with pytest.raises(TooLargeImage, match=r"1\.jpg has 900x600 .*; make it smaller, leave it ou"):
        extract(describer, photographs, (0.5, 1.0), label="x")
    at_half, skipped = extract(describer, photographs, (0.5,), label="x", skip_unreadable=True)
    assert at_half.all() and not skipped


@pytest.mark.parametrize("size", [(65_500, 65_500), (20_000, 20_000)])
def test_an_absurd_header_leaves_the_plan_as_it_is(photographs, memory, size):
    memory(1000)
    content = photographs[1].path.read_bytes()
    photographs[1].path.write_bytes(with_claimed_size(content, *size))
    job = plan_job(MeanColour(), photographs, (1.0,), label="x", skip_unreadable=True)
    assert job.needed_bytes < 100 * MEGABYTE
    descriptors, skipped = _described(MeanColour(), job)
    assert list(skipped) == [1]
    assert f"1.jpg has {size[1]}x{size[0]} pixels to describe" in skipped[1]
    assert np.isnan(descriptors[1]).all()


def test_a_header_that_pixels_do_not_follow_costs_no_program(photographs):
    """Whatever it claims: nothing is described in its place."""
    content = with_claimed_size(photographs[1].path.read_bytes(), 900, 1100)
    photographs[1].path.write_bytes(with_broken_pixels(content))
    describer = MeanColour("exact")
    _, skipped = extract(describer, photographs, (1.0,), label="x", skip_unreadable=True)
    assert list(skipped) == [1]
    assert describer.shapes == [(1, 24, 32, 3)] * 3


@pytest.mark.skipif(not CASES.is_dir(), reason="no folder shared/cases beside the repository")
@pytest.mark.parametrize("mode", ["auto", "exact"])
def test_odd_orientations_are_described_as_opencv_decodes_them(photographs, tmp_path, mode):
    for path in CASES.glob("*.jpg"):
        shutil.copyfile(path, tmp_path / path.name)
        photographs.insert(1, Photograph(tmp_path, path.name))
    ours, skipped = extract(MeanColour(mode), photographs, (1.0,), label="x", skip_unreadable=True)
    assert len(photographs) == 6 and not skipped
    np.testing.assert_allclose(ours, _colours(photographs), rtol=1e-5)


@pytest.mark.parametrize("kept", [-1, -2, -20, 700])
def test_a_jpeg_that_is_cut_short_is_described_as_imread_reads_it(photographs, kept):
    content = encoded(picture(48, 64))
    photographs[1].path.write_bytes(content[:kept])
    ours, skipped = extract(MeanColour(), photographs, (1.0,), label="x", skip_unreadable=False)
    assert not skipped
    np.testing.assert_allclose(ours, _colours(photographs), rtol=1e-5)


def test_what_would_never_end_is_skipped(photographs):
    photographs[1].path.unlink()
    os.mkfifo(photographs[1].path)
    _, skipped = extract(MeanColour(), photographs, (1.0,), label="x", skip_unreadable=True)
    assert list(skipped) == [1] and "1.jpg: it is no regular file" in skipped[1]
    with pytest.raises(UnreadableImage, match="no regular file"):
        extract(MeanColour(), photographs, (1.0,), label="x")


def test_names_cannot_write_to_the_terminal(tmp_path):
    name = "\x1b[31mred\n.jpg"
    (tmp_path / name).write_bytes(b"text")
    photographs = [Photograph(tmp_path, name), Photograph(tmp_path, f"no{name}")]
    _, skipped = extract(MeanColour(), photographs, (1.0,), label="x", skip_unreadable=True)
    assert all(line.isprintable() for line in skipped.values())
    assert r"\x1b[31mred" in skipped[0]


@pytest.mark.parametrize(("images_in_memory", "threads"), [(0.1, 1), (5.5, 5), (1000, 64)])
def test_fewer_of_large_images_are_read_ahead(photographs, monkeypatch, images_in_memory, threads):
    """On 64 cores 65 of them would be in memory."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(64))
    size = images_in_memory * 8 * 6 * 24 * 32
    monkeypatch.setattr(extract_module, "host_memory_bytes", lambda: int(size))
    started = []
    pool = concurrent.futures.ThreadPoolExecutor
    monkeypatch.setattr(
        concurrent.futures,
        "ThreadPoolExecutor",
        lambda count, *rest: started.append(count) or pool(count, *rest),
    )
    job = plan_job(MeanColour(), photographs, (0.5, 1.0), label="x", skip_unreadable=True)
    started.clear()
    assert len(_described(MeanColour(), job)[0]) == 4
    assert started == [job.batches_in_flight, threads]
