import dataclasses

import pytest

from senet_jax.data.revisitop import Photograph
from senet_jax.features import described_list, shards
from senet_jax.features import extract as extract_module
from senet_jax.features.described_list import PhotographList, describe_list
from senet_jax.features.plan import CPU_COSTS
from tests.data.pictures import encoded, picture, with_broken_pixels
from tests.features.mean_colour import MeanColour
from tests.features.small_list import HALF, ORIGIN, SHAPES


@pytest.fixture
def photographs(tmp_path, monkeypatch):
    """Twenty-five, in batches of up to two, of which three make a shard; two are unreadable."""
    monkeypatch.setattr(shards, "SHARD_BATCHES", 3)
    costs = dataclasses.replace(CPU_COSTS, batch_pixels=2 * 80 * 96)
    monkeypatch.setattr(extract_module, "device_costs", lambda: costs)
    folder = tmp_path / "jpg"
    folder.mkdir()
    for number, shape in enumerate(SHAPES):
        content = encoded(picture(*shape, seed=number))
        content = with_broken_pixels(content) if number == HALF else content
        (folder / f"{number}.jpg").write_bytes(content)
    return [Photograph(folder, f"{number}.jpg") for number in (*range(len(SHAPES)), "none")]


@pytest.fixture
def work(tmp_path, photographs):
    """Extracts them into the folder `town`; how many images the network was given."""

    def run(
        origin=ORIGIN,
        folder=tmp_path / "town",
        photographs=photographs,
        describer=None,
        **options,
    ):
        describer = describer or MeanColour()
        options = {"skip_unreadable": True} | options
        wanted = PhotographList("town", photographs, (0.5, 1.0), **options)
        describe_list(describer, wanted, folder, "database", origin)
        return sum(describer.filled) // 2

    return run


@pytest.fixture
def ended(work, tmp_path, monkeypatch):
    """The shards of a run that was ended when all of them were there: their folder."""

    def end(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(described_list, "save_store", end)
        work()
    return tmp_path / "town" / "database.shards"
