import numpy as np
import pytest

from senet_jax.system.errors import UserError
from senet_jax.training.pairs.kept_maps import KeptMaps
from senet_jax.training.pairs.settings import PairSettings
from senet_jax.training.pairs.triples import PARTS, Triples, hidden, nearest_of_other_classes

LABELS = np.array([2, 0, 1, 1, 4, 2, 0, 2, 4, 4, 0, 3], np.int32)


def _kept(labels=LABELS, width=6):
    """Maps that hold the number of their image, counted from 1."""
    rng = np.random.default_rng(0)
    descriptors = rng.normal(size=(len(labels), width)).astype(np.float32)
    descriptors /= np.linalg.norm(descriptors, axis=1, keepdims=True)
    numbers = np.arange(1, len(labels) + 1, dtype=np.float32)
    return KeptMaps(
        np.tile(numbers[:, None, None, None], (1, 3, 4, 2)), descriptors, np.asarray(labels)
    )


def _images(triples, step, total_steps):
    """The images of a batch without hiding, int[part triple]."""
    batch = triples.batch(step, total_steps)
    return np.stack([batch[part].max(axis=(1, 2, 3)) for part in PARTS]).astype(int) - 1


@pytest.mark.parametrize("count", [3, 100])
def test_hard_negatives_are_those_of_a_search_of_all(count):
    kept = _kept()
    found = nearest_of_other_classes(kept.descriptors, kept.labels, count)
    # Of the largest class there are three images, so that the others are nine.
    assert found.shape == (len(LABELS), min(count, 9))
    for row, label in enumerate(LABELS):
        others = [i for i in range(len(LABELS)) if LABELS[i] != label]
        others.sort(key=lambda i: -float(kept.descriptors[row] @ kept.descriptors[i]))
        assert found[row].tolist() == others[: found.shape[1]]


def test_hard_negatives_of_equal_descriptors_come_in_order():
    descriptors = np.ones((5, 1), np.float32)
    found = nearest_of_other_classes(descriptors, np.array([0, 1, 0, 2, 1]), 2)
    assert found.tolist() == [[1, 3], [0, 2], [1, 3], [0, 1], [0, 2]]


def test_triples_are_of_two_classes_and_every_image_comes_first_once_an_epoch():
    triples = Triples(_kept(), 11, 0, PairSettings(hide_probability=0.0))
    assert triples.steps_per_epoch == 1  # One image is alone in its class.
    for step in range(20):
        anchors, positives, negatives = _images(triples, step, 20)
        assert sorted(anchors) == [i for i in range(len(LABELS)) if LABELS[i] != 3]
        assert (anchors != positives).all()
        assert (LABELS[anchors] == LABELS[positives]).all()
        assert (LABELS[anchors] != LABELS[negatives]).all()


def test_negatives_become_hard():
    kept = _kept()
    triples = Triples(kept, 11, 0, PairSettings(hard_negatives=2, hide_probability=0.0))
    hard = nearest_of_other_classes(kept.descriptors, kept.labels, 2)
    total, early, late = 200, [], []
    for step in range(total):
        anchors, _, negatives = _images(triples, step, total)
        are_hard = [n in hard[a] for a, n in zip(anchors, negatives, strict=True)]
        (early if step < total / 2 else late).append(np.mean(are_hard))
    assert are_hard == [True] * 11
    # By chance 2 of the 9 others or more are; the share of the hard ones is .25 and .75.
    assert abs(np.mean(early) - (0.25 + 0.75 * 0.22)) < 0.05
    assert abs(np.mean(late) - (0.75 + 0.25 * 0.22)) < 0.05


def test_random_negatives_are_all_images_of_other_classes_alike():
    triples = Triples(_kept(), 11, 0, PairSettings(hard_share=0.0, hide_probability=0.0))
    seen = np.zeros((len(LABELS), len(LABELS)), int)
    for step in range(400):
        anchors, _, negatives = _images(triples, step, 400)
        np.add.at(seen, (anchors, negatives), 1)
    for row, label in enumerate(LABELS):
        if label != 3:
            counts = seen[row][label != LABELS]
            assert counts.min() > 0.5 * counts.mean() and counts.max() < 1.6 * counts.mean()


def test_what_is_hidden_is_zero_and_the_rest_as_it_was():
    rng = np.random.default_rng(1)
    maps = rng.normal(size=(400, 8, 8, 3)).astype(np.float32)
    after = hidden(maps, rng, 0.5, 0.25)
    are_zero = (after == 0).all(axis=-1)
    assert (after[~are_zero] == maps[~are_zero]).all() and after.dtype == np.float32
    shares = are_zero.mean(axis=(1, 2))
    assert abs(np.mean(shares > 0) - 0.5) < 0.08
    assert abs(shares[shares > 0].mean() - 0.25) < 0.02
    assert len({zeros.tobytes() for zeros in are_zero[shares > 0]}) == np.count_nonzero(shares)
    assert (hidden(maps, rng, 0.0, 0.25) == maps).all()
    assert not (hidden(maps, rng, 1.0, 1.0)).any()


def test_hiding_grows_from_nothing():
    triples = Triples(_kept(), 11, 0, PairSettings(hide_probability=1.0, hidden_share=0.5))
    zeros = [(triples.batch(step, 10)["anchors"] == 0).mean() for step in range(10)]
    assert zeros[0] == 0 and 0.35 < zeros[-1] < 0.65 and zeros[-1] > zeros[3]


def test_a_batch_is_a_function_of_its_step():
    first, second, other = (Triples(_kept(), 4, seed, PairSettings()) for seed in (0, 0, 1))
    for part in PARTS:
        again = second.batch(7, 10)[part]
        assert (first.batch(7, 10)[part] == again).all()
    differences = [(other.batch(7, 10)[part] != first.batch(7, 10)[part]).any() for part in PARTS]
    assert any(differences)


@pytest.mark.parametrize("labels", [[0, 1, 2], [1, 1, 1]])
def test_without_pairs_there_is_one_line(labels):
    with pytest.raises(UserError, match=r"3 images of [13] classes make no pairs; give two"):
        Triples(_kept(np.array(labels)), 2, 0, PairSettings())
