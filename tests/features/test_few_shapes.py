"""Every photograph fits into its shapes, of which there are few."""

import pathlib

import numpy as np

from senet_jax.data.in_memory import InMemoryPhotograph
from senet_jax.features.extract import extract, extract_batches, plan_job
from senet_jax.features.few_shapes import in_few_shapes, step
from senet_jax.features.scales import SCALES
from tests.data.pictures import picture
from tests.features.mean_colour import MeanColour


def test_steps():
    sides = np.arange(1, 3000)
    steps = np.array([step(side) for side in sides.tolist()])
    assert (steps >= sides).all() and (np.diff(steps) >= 0).all()
    assert sorted(set(steps.tolist()))[:6] == [256, 368, 512, 728, 1024, 1448]
    assert (steps[sides > 256] < 1.45 * sides[sides > 256]).all()


def test_photographs_of_any_size_share_few_programs():
    """Descriptors are those of the usual plan; no photograph is computed in a shape of its own."""
    draw = np.random.default_rng(0)
    sizes = [(1, 1), (256, 256), (400, 40), *draw.integers(20, 420, (8, 2))]
    photographs = [
        InMemoryPhotograph(pathlib.Path(), f"{seed}", pixels=picture(*size, seed=seed))
        for seed, size in enumerate(sizes)
    ]
    colour = MeanColour()
    job = plan_job(colour, photographs, SCALES, label="queries", skip_unreadable=False)
    few = in_few_shapes(job, colour)
    found = np.zeros((len(sizes), 3), np.float32)
    for extracted in extract_batches(colour, few, few.plan.batches):
        found[list(extracted.rows)] = extracted.descriptors(3)
    assert len(set(colour.shapes)) <= 10
    expected, _ = extract(MeanColour(), photographs, SCALES, label="queries")
    np.testing.assert_allclose(found, expected, atol=1e-6)
