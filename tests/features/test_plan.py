import csv
import dataclasses
import pathlib

import numpy as np
import pytest

from senet_jax.data.transforms import resized_shape
from senet_jax.features.plan import (
    ACCELERATOR_COSTS,
    CPU_COSTS,
    Batch,
    Plan,
    make_plan,
)

SHARED = pathlib.Path(__file__).parents[2].parent / "shared" / "datasets"
SCALES = (0.7071, 1.0, 1.4142)


def _batches_of(pixels):
    return dataclasses.replace(CPU_COSTS, batch_pixels=pixels)


def _random_sizes(seed):
    """Up to 80 sizes between 1 and 3000 pixels, some of them alike, one in ten unreadable."""
    rng = np.random.default_rng(seed)
    largest = rng.choice([5, 70, 600, 3000])
    sizes = rng.integers(1, largest + 1, (rng.integers(1, 80), 2))
    sizes = np.concatenate([sizes, sizes[::2, ::-1], sizes[::3]])
    sizes[rng.random(len(sizes)) < 0.1] = 0
    return (
        sizes,
        tuple(rng.uniform(0.1, 3, rng.integers(1, 4)).tolist()),
        _batches_of(int(rng.integers(1, 10**6))),
    )


@pytest.mark.parametrize("seed", range(40))
def test_every_readable_image_fits_in_one_batch(seed):
    sizes, scales, costs = _random_sizes(seed)
    plan = make_plan(sizes, scales, "auto", costs)
    rows = sorted(row for batch in plan.batches for row in batch.rows)
    assert rows == [row for row, size in enumerate(sizes) if size.all()]
    computed = wanted = 0
    for batch in plan.batches:
        assert 1 <= len(batch.rows) <= batch.capacity
        assert batch.capacity == 1 or batch.pixels <= costs.batch_pixels
        assert batch.pixels == batch.capacity * max(h * w for h, w in batch.shapes)
        for scale, (height, width) in zip(scales, batch.shapes, strict=True):
            computed += batch.capacity * height * width
            for row in batch.rows:
                needed = resized_shape(*sizes[row].tolist(), scale)
                wanted += needed[0] * needed[1]
                needed = needed[::-1] if batch.transposed else needed
                assert needed[0] <= height and needed[1] <= width
        for row in batch.rows:
            assert batch.transposed == (sizes[row, 0] > sizes[row, 1])
    assert plan.padding == pytest.approx(computed / wanted - 1)


@pytest.mark.parametrize("mode", ["auto", "exact"])
@pytest.mark.parametrize("count", [0, 3])
def test_nothing_to_describe(mode, count):
    plan = make_plan(np.zeros((count, 2), np.int64), SCALES, mode, CPU_COSTS)
    assert plan == Plan((), 0.0)
    assert plan.programs == set()


def test_exact_describes_each_image_by_itself_and_at_its_own_shape():
    sizes = np.array([(30, 40), (0, 0), (41, 29), (30, 40)])
    plan = make_plan(sizes, (0.5, 1.0), "exact", CPU_COSTS)
    assert plan.batches == (
        Batch((0,), ((15, 20), (30, 40))),
        Batch((2,), ((20, 14), (41, 29))),  # Halves become even.
        Batch((3,), ((15, 20), (30, 40))),
    )
    assert plan.padding == 0
    assert plan.programs == {(1, *shape) for shape in ((15, 20), (30, 40), (20, 14), (41, 29))}


def test_portraits_share_the_programs_of_landscapes():
    sizes = np.array([(48, 64), (64, 48)] * 5)
    plan = make_plan(sizes, (1.0,), "auto", _batches_of(3 * 48 * 64))
    assert [(batch.rows, batch.transposed) for batch in plan.batches] == [
        ((0, 2, 4), False),
        ((6, 8), False),
        ((1, 3, 5), True),
        ((7, 9), True),
    ]
    assert plan.programs == {(3, 48, 64)}
    assert plan.padding == pytest.approx(12 / 10 - 1)


def test_batches_are_as_full_as_they_can_be():
    """Seven at most six at a time are four and three, not six and one."""
    sizes = np.full((7, 2), 16)
    plan = make_plan(sizes, (1.0,), "auto", _batches_of(6 * 16 * 16))
    assert [len(batch.rows) for batch in plan.batches] == [4, 3]
    assert plan.programs == {(4, 16, 16)}


def test_rare_sizes_are_padded_and_common_ones_are_not():
    """A program is worth compiling for many images, not for one."""
    sizes = np.array([(768, 1024)] * 200 + [(700, 1024)] + [(512, 512)] * 200)
    plan = make_plan(sizes, (1.0,), "auto", CPU_COSTS)
    assert plan.programs == {(1, 768, 1024), (1, 512, 512)}
    assert 0 < plan.padding < 0.001


def test_many_kinds_of_sizes():
    sizes = np.random.default_rng(0).integers(1, 2001, (3000, 2))
    plan = make_plan(sizes, (1.0,), "auto", CPU_COSTS)
    assert sum(len(batch.rows) for batch in plan.batches) == 3000
    assert plan.padding < 0.25 and len(plan.programs) <= 50


def _sizes(name, split):
    with open(SHARED / name / "image_sizes.csv", newline="") as file:
        rows = [row for row in csv.DictReader(file) if row["split"] == split]
    return np.array([(int(row["height"]), int(row["width"])) for row in rows])


needs_sizes = pytest.mark.skipif(
    not all((SHARED / name / "image_sizes.csv").is_file() for name in ("roxford5k", "rparis6k")),
    reason="no shared/datasets/{roxford5k,rparis6k}/image_sizes.csv beside the repository",
)


@needs_sizes
def test_the_benchmark_takes_few_programs_and_little_padding():
    programs = set()
    for name, count in (("roxford5k", 4993), ("rparis6k", 6322)):
        database = make_plan(_sizes(name, "database"), SCALES, "auto", CPU_COSTS)
        queries = make_plan(_sizes(name, "query_crop"), SCALES, "auto", CPU_COSTS)
        assert sum(len(batch.rows) for batch in database.batches) == count
        assert sum(len(batch.rows) for batch in queries.batches) == 70
        assert database.padding <= 0.05
        programs |= database.programs | queries.programs
    assert len(programs) <= 50


def test_accelerators_compile_less_and_pad_more():
    sizes = np.random.default_rng(0).integers(300, 1100, (5000, 2))
    on_cpu, there = (
        make_plan(sizes, SCALES, "auto", costs) for costs in (CPU_COSTS, ACCELERATOR_COSTS)
    )
    assert len(there.programs) < len(on_cpu.programs)
    assert on_cpu.padding < there.padding
    assert all(len(batch.rows) > 1 for batch in there.batches)


def test_groups_that_the_memory_suffices_for():
    """A long and a high photograph would each fit alone, but not the shape of both."""
    sizes = np.array([[900, 200], [600, 500]])
    free = make_plan(sizes, (1.0,), "auto", CPU_COSTS)
    assert len(free.programs) == 1
    plan = make_plan(sizes, (1.0,), "auto", CPU_COSTS, most_pixels=350_000)
    assert max(batch.pixels for batch in plan.batches) <= 350_000
    assert len(plan.programs) == 2


def test_portraits_stay_where_the_network_does_not_allow_transposing():
    sizes = np.array([(48, 64), (64, 48)] * 5)
    plan = make_plan(sizes, (1.0,), "auto", _batches_of(3 * 48 * 64), may_transpose=False)
    assert not any(batch.transposed for batch in plan.batches)
    for batch in plan.batches:
        for row in batch.rows:
            assert (sizes[row] <= batch.shapes[0]).all()
    assert sorted(row for batch in plan.batches for row in batch.rows) == list(range(10))
