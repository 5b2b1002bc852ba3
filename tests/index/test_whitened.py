"""Whitened descriptors beside those of the network, as photographs come and go."""

import numpy as np
import pytest

from senet_jax.index import update as update_module
from senet_jax.index import whitened as whitened_module
from senet_jax.index.find import find
from senet_jax.index.store import open_index
from senet_jax.search.database import BlockedDatabase, as_float32
from senet_jax.search.whitening import fit_shrunk_whitening
from senet_jax.system.errors import UserError


@pytest.fixture
def queries():
    numbers = np.random.default_rng(0).random((3, 128), np.float32)
    numbers[:, 3:] = 0
    return numbers / np.linalg.norm(numbers, axis=1, keepdims=True)


def _raw(index):
    return as_float32(index.contents.descriptors)


def _assert_right(world, whitening):
    """Every photograph is found by its whitened row, which is that of the network's row."""
    index = open_index(world.index)
    rows = as_float32(index.whitened.contents.descriptors)
    assert index.missing == 0 and index.paths_of_row
    live = sorted(index.paths_of_row)
    # int8 rounds rows to 127 steps a side.
    np.testing.assert_allclose(rows[live], whitening(_raw(index))[live], atol=0.02)
    assert index.whitening_key == index.whitened.whitening.sha256
    return index


@pytest.mark.parametrize("storage", ["float32", "int8"])
def test_a_search_is_among_whitened_descriptors(town, queries, storage):
    town.update(storage=storage, whiten=True)
    raw = _raw(open_index(town.index))
    whitening = fit_shrunk_whitening(BlockedDatabase((raw,)))
    index = _assert_right(town, whitening)
    scores = whitening(queries) @ as_float32(index.whitened.contents.descriptors).T
    for hits, of_query in zip(find(index, index.asked(queries), 5), scores, strict=True):
        order = np.argsort(-of_query, kind="stable")[:5]
        assert [hit.path for hit in hits] == [index.paths_of_row[row][0] for row in order]
        np.testing.assert_allclose([hit.score for hit in hits], of_query[order], atol=1e-5)
    # Those of the network stay as they are, for whatever else asks for them.
    np.testing.assert_array_equal(as_float32(index.described.parts[0]), raw)


def test_it_is_turned_on_and_off_without_describing(town, queries):
    town.update()
    plain = find(open_index(town.index), queries, 20)
    for whiten, key in ((True, str), (None, str), (False, type(None)), (None, type(None))):
        assert town.update(whiten=whiten).described == 0
        assert isinstance(open_index(town.index).whitening_key, key)
    assert find(open_index(town.index), queries, 20) == plain
    names = {path.name for path in town.index.iterdir()}
    assert not [name for name in names if "whiten" in name]


def test_it_is_learned_again_when_there_are_twice_as_many(town):
    town.update(whiten=True)
    first = open_index(town.index).whitened
    for number in range(20, 39):
        town.write(f"{number}.jpg", number)
    town.update()
    index = _assert_right(town, first.whitening)
    assert index.whitening_key == first.whitening.sha256
    town.write("39.jpg", 39)
    town.update()
    index = open_index(town.index)
    assert index.whitening_key != first.whitening.sha256
    _assert_right(town, fit_shrunk_whitening(BlockedDatabase((_raw(index),))))


def test_an_unchanged_folder_takes_no_work(town, monkeypatch):
    town.update(whiten=True)
    before = {path.name: path.stat().st_mtime_ns for path in town.index.iterdir()}

    def refuse(*_, **__):
        raise AssertionError("there is nothing to do")

    for name in ("fit_shrunk_whitening", "Appender", "save_arrays"):
        monkeypatch.setattr(whitened_module, name, refuse)
    town.update()
    after = {path.name: path.stat().st_mtime_ns for path in town.index.iterdir()}
    assert {n: t for n, t in after.items() if n != "skipped.txt"} == {
        n: t for n, t in before.items() if n != "skipped.txt"
    }


def test_what_most_is_gone_of_is_whitened_anew(town):
    town.update(whiten=True)
    for number in range(11):
        (town.photos / f"{number % 3}/{number}.jpg").unlink()
    town.update()
    index = open_index(town.index)
    assert len(index.contents.descriptors) == 9
    _assert_right(town, fit_shrunk_whitening(BlockedDatabase((_raw(index),))))


def test_a_run_that_ends_before_it_whitens_shows_nothing_half_written(town, queries, monkeypatch):
    town.update(whiten=True)
    town.write("new.jpg", 100)

    def end(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as context:
        context.setattr(update_module, "bring_up_to_date", end)
        with pytest.raises(KeyboardInterrupt):
            town.update()
    index = open_index(town.index)
    assert index.missing == 1
    assert {len(hits) for hits in find(index, index.asked(queries), 100)} == {20}
    assert town.update().described == 0
    _assert_right(town, open_index(town.index).whitened.whitening)


@pytest.mark.parametrize("name", ["whitening.1.npz", "descriptors.whitened.1"])
def test_what_is_broken_is_not_found_and_made_again(town, name, monkeypatch):
    monkeypatch.setattr(whitened_module, "WHITENED_ROWS", 3)
    town.update(whiten=True)
    path = town.index / name
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    if name == "whitening.1.npz":
        with pytest.raises(UserError, match=r"whitening in .* is missing or broken; run senet-jax"):
            open_index(town.index)
    else:
        assert 0 < open_index(town.index).missing < 20
    assert town.update().described == 0
    index = open_index(town.index)
    assert index.manifest.whitening == 2
    _assert_right(town, fit_shrunk_whitening(BlockedDatabase((_raw(index),))))
