import contextlib
import dataclasses
import os
import threading
import time

import cv2
import numpy as np
import pytest

from senet_jax.data import revisitop
from senet_jax.data.revisitop import Photograph, read_image
from senet_jax.data.transforms import UnreadableImage
from senet_jax.features import extract as extract_module
from senet_jax.features.extract import extract, extract_batches, plan_job
from senet_jax.features.plan import CPU_COSTS
from senet_jax.features.runner import Describer
from senet_jax.system import host_memory
from senet_jax.system.errors import UserError
from tests.data.pictures import encoded, picture, with_broken_pixels
from tests.features.mean_colour import MeanColour
from tests.oracles import pyramid
from tests.oracles.lively_twin import lively_twin, lively_weights

SCALES = (0.7071, 1.0, 1.4142)
SHAPES = [
    *((1, 1), (1, 2), (7, 1), (2, 3), (5, 64), (65, 4), (17, 15), (31, 33), (33, 31), (63, 65)),
    *((64, 64), (80, 48), (48, 80), (37, 61), (61, 37), (90, 91), (3, 100), (100, 3), (13, 96)),
]


def _photographs(folder, shapes, suffix=".png"):
    for number, shape in enumerate(shapes):
        (folder / f"{number}{suffix}").write_bytes(encoded(picture(*shape, seed=number), suffix))
    return [Photograph(folder, f"{number}{suffix}") for number in range(len(shapes))]


def _plan_with(monkeypatch, **changes):
    costs = dataclasses.replace(CPU_COSTS, **changes)
    monkeypatch.setattr(extract_module, "device_costs", lambda: costs)


def _colours(photographs):
    means = np.stack([cv2.imread(str(p.path)).mean(axis=(0, 1)) for p in photographs])
    return means / np.linalg.norm(means, axis=1, keepdims=True)


def _extract(photographs, *, describer=None, scales=(1.0,), skip_unreadable=True):
    describer = describer or MeanColour()
    return extract(describer, photographs, scales, label="x", skip_unreadable=skip_unreadable)


@pytest.mark.parametrize(
    ("name", "mode", "program_pixels"),
    [
        ("tiny_baseline", "auto", CPU_COSTS.program_pixels),
        pytest.param("tiny", "auto", CPU_COSTS.program_pixels, marks=pytest.mark.slow),
        # More programs, so that images of one group are alike; and one for every image and scale.
        pytest.param("tiny_baseline", "auto", 3000, marks=pytest.mark.slow),
        pytest.param("tiny_baseline", "exact", 0, marks=pytest.mark.slow),
    ],
)
def test_descriptors_are_those_of_the_definition(tmp_path, monkeypatch, name, mode, program_pixels):
    _plan_with(monkeypatch, program_pixels=program_pixels)
    photographs = _photographs(tmp_path, SHAPES if mode == "auto" else SHAPES[::4])
    (tmp_path / "query.png").write_bytes(encoded(picture(50, 80), ".png"))
    photographs.append(Photograph(tmp_path, "query.png", box=(3.9, 2, 62, 43.5)))
    describer = Describer.of(lively_weights(name), mode)
    ours, skipped = _extract(photographs, describer=describer, scales=SCALES)
    assert not skipped
    pyramid.assert_as_near_as_the_twin(ours, lively_twin(name), photographs, SCALES)
    # One image alone as well: the largest error does not hide among the others.
    for row in (0, 2, 4):
        pyramid.assert_as_near_as_the_twin(
            ours[row : row + 1], lively_twin(name), photographs[row : row + 1], SCALES
        )


@pytest.mark.parametrize("devices", [1, 3])
@pytest.mark.parametrize("mode", ["auto", "exact"])
def test_order_is_kept_whatever_the_batches(tmp_path, monkeypatch, mode, devices):
    _plan_with(monkeypatch, batch_pixels=4 * 64 * 96, program_pixels=10_000)
    shapes = [(64, 96), (20, 30), (96, 64), (63, 90), (30, 20)] * 6
    photographs = _photographs(tmp_path, shapes)[::-1]
    describer = MeanColour(mode, devices)
    ours, skipped = _extract(photographs, describer=describer)
    assert not skipped and ours.dtype == np.float32
    np.testing.assert_allclose(ours, _colours(photographs), rtol=1e-5)
    capacity = {shape[0] // devices for shape in describer.shapes}
    assert max(capacity) == (1 if mode == "exact" else 6)


def test_devices_take_batches_of_one_program_together(tmp_path, monkeypatch):
    _plan_with(monkeypatch, batch_pixels=2 * 64 * 64)
    describer = MeanColour(devices=4)
    _extract(_photographs(tmp_path, [(64, 64)] * 10), describer=describer)
    assert describer.shapes == [(8, 64, 64, 3)] * 2
    assert sorted(describer.filled) == [2, 8]  # Where none is left there is a black pixel.


def test_an_unreadable_image_is_a_row_of_zeros_with_its_reason(tmp_path):
    photographs = _photographs(tmp_path, [(24, 32)] * 3)
    (tmp_path / "1.png").write_bytes(b"text")
    photographs.append(Photograph(tmp_path, "missing.png"))
    descriptors, skipped = _extract(photographs)
    assert descriptors.any(axis=1).tolist() == [True, False, True, False]
    assert sorted(skipped) == [1, 3]
    assert "1.png: its 4 bytes are no image" in skipped[1]
    assert "missing.png: No such file" in skipped[3]


def test_all_are_unreadable(tmp_path):
    photographs = [Photograph(tmp_path, f"{number}.jpg") for number in range(3)]
    descriptors, skipped = _extract(photographs)
    assert descriptors.shape == (3, 3) and not descriptors.any()
    assert sorted(skipped) == [0, 1, 2]


@pytest.fixture
def broken(tmp_path):
    """Seven photographs of one size; the header of the fifth is whole, its pixels are not."""
    photographs = _photographs(tmp_path, [(48, 64)] * 7, ".jpg")
    photographs[4].path.write_bytes(with_broken_pixels(photographs[4].path.read_bytes()))
    return photographs


def test_an_image_of_broken_pixels_leaves_the_others_of_its_batch(broken, tmp_path):
    describer = MeanColour()
    job = plan_job(describer, broken, (1.0,), label="x", skip_unreadable=True)
    assert [batch.rows for batch in job.plan.batches] == [tuple(range(7))]
    assert not job.unreadable
    ours, skipped = _extract(broken, describer=describer)
    others = [row for row in range(7) if row != 4]
    photographs = [broken[row] for row in others]
    np.testing.assert_allclose(ours[others], _colours(photographs), rtol=1e-5)
    assert not ours[4].any()
    assert list(skipped) == [4] and "4.jpg: its" in skipped[4] and "cut short" in skipped[4]


@pytest.mark.parametrize("content", [b"text", None])
def test_or_it_stops_the_extraction(broken, content):
    if content:
        broken[4].path.write_bytes(content)
    with pytest.raises(UnreadableImage, match=r"4\.jpg"):
        _extract(broken, skip_unreadable=False)


@pytest.mark.parametrize(
    ("box", "fault"),
    [
        ((5, 5, 5, 9), "empty"),
        ((9, 5, 5, 9), "inverted"),
        ((-1, 5, 5, 9), "negative"),
        ((32, 0, 40, 9), "outside"),
    ],
)
def test_a_wrong_box_stops_it_and_names_the_photograph(tmp_path, box, fault):
    photographs = _photographs(tmp_path, [(24, 32)] * 3)
    photographs.append(Photograph(tmp_path, "1.png", box=box))
    with pytest.raises(UserError, match=rf"1\.png: the box .* is {fault}, the image is 32x24"):
        _extract(photographs)


def test_a_bug_in_a_reading_thread_is_not_swallowed(tmp_path, monkeypatch):
    def broken(path):
        raise RuntimeError(f"a bug at {path.name}")

    photographs = _photographs(tmp_path, [(24, 32)] * 3)
    monkeypatch.setattr(revisitop, "read_image", broken)
    with pytest.raises(RuntimeError, match=r"a bug at 0\.png"):
        _extract(photographs)


@pytest.mark.parametrize("capacity", [1, 2, 5])
def test_reads_only_some_images_ahead(tmp_path, monkeypatch, capacity):
    """Of batches that are described, two and one that waits; of images, one and one that waits."""
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: {0})
    _plan_with(monkeypatch, batch_pixels=capacity * 32 * 32)
    photographs = _photographs(tmp_path, [(32, 32)] * 30)
    job = plan_job(MeanColour(), photographs, (1.0,), label="x", skip_unreadable=True)
    read = []

    def counted(path):
        read.append(path)
        return read_image(path)

    monkeypatch.setattr(revisitop, "read_image", counted)
    ahead = []
    for number, _ in enumerate(extract_batches(MeanColour(), job, job.plan.batches)):
        time.sleep(0.05)  # It could read all the others in this time.
        ahead.append(len(read) - number * capacity)
    assert max(ahead) <= 3 * capacity + 2
    assert max(ahead) > capacity


def test_two_batches_are_in_flight(tmp_path, monkeypatch):
    _plan_with(monkeypatch, batch_pixels=32 * 32)
    photographs = _photographs(tmp_path, [(32, 32)] * 6)
    both = threading.Barrier(2, timeout=10)

    class Together(MeanColour):
        def __call__(self, *inputs, **options):
            both.wait()
            return super().__call__(*inputs, **options)

    ours, _ = _extract(photographs, describer=Together())
    np.testing.assert_allclose(ours, _colours(photographs), rtol=1e-5)


@pytest.fixture
def memory(tmp_path_factory, monkeypatch):
    """Sets how many bytes there are."""
    limit = tmp_path_factory.mktemp("memory") / "memory.max"
    monkeypatch.setattr(host_memory, "_LIMIT", limit)
    return lambda size: limit.write_text(f"{int(size)}\n")


def test_but_one_where_two_do_not_fit(tmp_path, memory):
    photographs = _photographs(tmp_path, [(400, 300), (300, 400), (24, 32)])
    describer = MeanColour("exact")
    jobs = []
    for megabytes in (150, 100):
        memory(megabytes * 2**20)
        jobs.append(plan_job(describer, photographs, (1.0,), label="x", skip_unreadable=True))
    assert [job.batches_in_flight for job in jobs] == [2, 1]
    assert [round(job.needed_bytes / 2**20) for job in jobs] == [109, 54]


def test_the_work_in_one_line(tmp_path):
    photographs = [*_photographs(tmp_path, [(64, 60)] * 4), Photograph(tmp_path, "none.png")]
    describer = MeanColour()
    job = plan_job(describer, photographs, (0.5, 1.0), label="town", skip_unreadable=True)
    padding = 100 * ((32 * 32 + 64 * 64) / (32 * 30 + 64 * 60) - 1)
    assert job.summary() == (
        f"town: 4 images at 2 scales in 2 programs, {padding:.1f} % of padding, up to 0.0 GiB; "
        "1 more are UNREADABLE"
    )


def test_accelerators_compile_ahead_what_is_planned(tmp_path, monkeypatch):
    """Every program once, in the order in which it is needed."""
    photographs = _photographs(tmp_path, [(24, 32), (90, 91), (32, 24)])
    asked, describer = [], MeanColour(devices=2)

    @contextlib.contextmanager
    def compiling_ahead(shapes):
        asked.extend(shapes)
        yield

    monkeypatch.setattr(describer, "compiling_ahead", compiling_ahead, raising=False)
    _extract(photographs, describer=describer)
    assert not asked  # On a CPU.
    describer.shapes.clear()
    _plan_with(monkeypatch, compiles_ahead=True, program_pixels=0)
    _extract(photographs, describer=describer, scales=(0.5, 1.0))
    assert asked == [(2, 16, 16), (2, 24, 32), (2, 48, 48), (2, 96, 96)]
    assert set(asked) == {shape[:3] for shape in describer.shapes}
    _extract(photographs, describer=MeanColour("exact"))
