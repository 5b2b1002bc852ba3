import shutil

import numpy as np
import pytest

from senet_jax.figure.compared import compare, most_different
from senet_jax.system.errors import UserError
from tests.data.pictures import encoded, picture
from tests.report.workdirs import write_town, write_training


@pytest.mark.parametrize("seed", range(10))
def test_the_queries_that_differ_most(seed):
    rng = np.random.default_rng(seed)
    first, second = rng.integers(0, 5, (2, 12)) / 4
    first[rng.random(12) < 0.2] = np.nan
    second[rng.random(12) < 0.2] = np.nan
    scored = [i for i in range(12) if not np.isnan(first[i] + second[i])]
    expected = sorted(scored, key=lambda i: (-abs(first[i] - second[i]), i))
    for count in (1, 3, 20):
        assert most_different(first, second, count) == expected[:count]


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    folder = tmp_path_factory.mktemp("figure")
    write_town(folder)
    write_training(folder, folder / "one", seed=0)
    write_training(folder, folder / "other", seed=7)
    return folder


def test_both_systems_stand_beside_a_query(world):
    examples = compare(world / "one", world / "other", None, 5)
    assert sorted(example.caption for example in examples) == ["q", "r"]
    differences = []
    for example in examples:
        assert list(example.rows) == ["one", "other"]  # Their networks have the same name.
        one, other = example.rows.values()
        differences.append(abs(one.average_precision - other.average_precision))
        assert example.box == {"q": (2, 3, 40, 30), "r": (0, 0, 48, 40)}[example.caption]
        assert len(one.images) == len(other.verdicts) == 3
    assert differences == sorted(differences, reverse=True)
    assert len(compare(world / "one", world / "other", "town", 1)) == 1


def test_systems_that_searched_other_photographs_are_not_compared(world, tmp_path):
    shutil.copytree(world / "town", tmp_path / "town")
    extra = tmp_path / "town" / "jpg" / "a.png"
    (tmp_path / "town" / "jpg" / "a.jpg").unlink()
    extra.write_bytes(encoded(picture(40, 48, 3), ".png"))
    write_training(tmp_path, tmp_path / "two")
    with pytest.raises(UserError, match=r"the database of .*one and .*two are not the same photo"):
        compare(world / "one", tmp_path / "two", None, 3)


def test_a_workdir_without_the_dataset(world, tmp_path):
    with pytest.raises(UserError, match="no scores of 'village'"):
        compare(world / "one", world / "other", "village", 3)
    with pytest.raises(UserError, match=r"has no report\.json"):
        compare(world / "one", tmp_path, None, 3)
