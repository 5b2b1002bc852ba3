"""Descriptors and shards that an earlier version wrote, in `fixtures/earlier`.

They are of five photographs, of which the fourth cannot be read, by the mean colour in place of a
network; `ended` is what a run left that was ended, with a shard for each batch.
"""

import pathlib
import shutil

import pytest

from senet_jax.data.revisitop import Photograph
from senet_jax.features import shards
from senet_jax.features.described_list import PhotographList, describe_list
from tests.features.mean_colour import MeanColour

ORIGIN = {"weights": "abc", "scales": [0.5, 1.0], "mode": "auto", "images": "5d"}


@pytest.fixture
def earlier(tmp_path):
    folder = pathlib.Path(__file__).parent / "fixtures" / "earlier"
    return shutil.copytree(folder, tmp_path / "earlier")


def _run(earlier, name, storage="float32"):
    """Describes the list in a folder; how many images the network was given."""
    describer = MeanColour()
    photographs = [Photograph(earlier / "jpg", f"{number}.jpg") for number in range(5)]
    options = {"storage": storage, "skip_unreadable": True}
    wanted = PhotographList("town", photographs, (0.5, 1.0), **options)
    origin = ORIGIN | {"storage": storage}
    store = describe_list(describer, wanted, earlier / name, "database", origin)
    assert store.skipped_rows.tolist() == [3]
    return sum(describer.filled) // 2


@pytest.mark.parametrize(("name", "storage"), [("whole", "float32"), ("int8", "int8")])
def test_descriptors_are_read_and_stay(earlier, name, storage):
    before = (earlier / name / "database.npy").read_bytes()
    assert _run(earlier, name, storage) == 0
    assert (earlier / name / "database.npy").read_bytes() == before


def test_descriptors_are_written_as_they_were(earlier):
    expected = (earlier / "whole" / "database.npy").read_bytes()
    assert _run(earlier, "anew") == 4
    assert (earlier / "anew" / "database.npy").read_bytes() == expected


@pytest.mark.parametrize("there", [0, 1])
def test_a_run_that_was_ended_resumes(earlier, monkeypatch, capsys, there):
    monkeypatch.setattr(shards, "SHARD_BATCHES", 1)
    (earlier / "ended" / "database.shards" / f"{1 - there:06}.npz").unlink()
    assert 0 < _run(earlier, "ended") < 4
    assert "1 of 2 shards are there already" in capsys.readouterr().out
    expected = (earlier / "whole" / "database.npy").read_bytes()
    assert (earlier / "ended" / "database.npy").read_bytes() == expected
