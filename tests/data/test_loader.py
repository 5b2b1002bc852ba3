import contextlib
import itertools
import threading

import numpy as np
import pytest

from senet_jax.data import builder
from senet_jax.data.augment import Augmentation, augment
from senet_jax.data.loader import TrainingData, spec_of_examples
from senet_jax.data.prepared import PreparedImages, open_prepared
from senet_jax.data.sampling import Grouping, Purpose, random_generator
from senet_jax.data.transforms import decode
from senet_jax.system.errors import UserError

from .pictures import encoded, picture, with_broken_pixels
from .sources import source

BROKEN = with_broken_pixels(encoded(picture(40, 56)))
SMALL = Augmentation(side=8)
COLOURED = Augmentation(side=8, lighting_sigma=0)


def _prepared(labels, contents):
    labels = np.array(labels, np.int32)
    return PreparedImages(
        name="town",
        class_names=[f"class {label}" for label in range(labels.max() + 1)],
        labels=labels,
        fingerprint="",
        records=[{"key": b"image %d" % i, "image": each} for i, each in enumerate(contents)],
    )


def _colours(labels, broken=()):
    """Images of one colour each, so that `_indices` knows them after any augmentation."""
    contents = [
        BROKEN if index in broken else encoded(np.full((9, 12, 3), 5 * index, np.uint8), ".png")
        for index in range(len(labels))
    ]
    return _prepared(labels, contents)


def _pictures(labels):
    return _prepared(labels, [encoded(picture(30, 40, seed)) for seed in range(len(labels))])


def _data(images, batch_size=4, augmentation=SMALL, seed=7, **options):
    return TrainingData(images, batch_size, seed, augmentation, **options)


def _coloured(labels, batch_size=4, broken=(), **options):
    return _data(_colours(labels, broken), batch_size, COLOURED, **options)


def _indices(pixels):
    """Which of `_colours` the images of a batch are."""
    assert np.ptp(pixels, axis=(1, 2, 3)).max() == 0
    return pixels[:, 0, 0, 0] // 5


def _assert_equal(batch, expected):
    assert batch.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(batch[name], array)
        assert batch[name].dtype == array.dtype


LABELS = [0, 0, 1, 1, 1, 2, 3, 3, 3, 3, 1]


def test_shapes_and_types():
    batch = _data(_pictures(LABELS), pairs=True).batch(0)
    assert {name: (array.shape, array.dtype) for name, array in batch.items()} == {
        "images": ((4, 8, 8, 3), np.uint8),
        "images_light": ((4, 3), np.float32),
        "labels": ((4,), np.int32),
        "positives": ((4, 8, 8, 3), np.uint8),
        "positives_light": ((4, 3), np.float32),
    }
    assert batch.keys() == spec_of_examples(8, True).keys()
    assert _data(_pictures(LABELS)).batch(0).keys() == {"images", "images_light", "labels"}


def test_epochs_are_permutations_and_batches_straddle_them():
    data = _coloured(LABELS)
    batches = [data.batch(step) for step in range(11)]
    indices = np.concatenate([_indices(batch["images"]) for batch in batches])
    labels = np.concatenate([batch["labels"] for batch in batches])
    np.testing.assert_array_equal(labels, np.array(LABELS)[indices])
    epochs = indices.reshape(4, 11)
    assert all(sorted(epoch) == list(range(11)) for epoch in epochs)
    assert len(set(map(tuple, epochs))) == 4
    assert data.steps_per_epoch == 11 / 4


def test_an_image_is_augmented_by_the_seed_and_its_position_alone():
    images = _pictures(LABELS)
    batch, coloured = _data(images).batch(5), _coloured(LABELS).batch(5)
    for place, index in enumerate(_indices(coloured["images"])):
        rng = random_generator(7, Purpose.IMAGE, 5 * 4 + place)
        pixels, light = augment(decode(images.read(index)[1]), rng, SMALL)
        np.testing.assert_array_equal(batch["images"][place], pixels)
        np.testing.assert_array_equal(batch["images_light"][place], light)


def test_the_seed_changes_order_and_augmentation():
    first, second = _coloured(LABELS, 11).batch(0), _coloured(LABELS, 11, seed=8).batch(0)
    assert _indices(first["images"]).tolist() != _indices(second["images"]).tolist()
    one = _pictures([0])
    batches = [_data(one, 1, seed=seed).batch(0)["images"] for seed in (7, 8)]
    assert not np.array_equal(*batches)


@pytest.mark.parametrize("process_count", [2, 4])
def test_processes_share_the_batch_of_one(process_count):
    images = _pictures(LABELS)
    whole = _data(images, 8, pairs=True)
    parts = [
        _data(images, 8, pairs=True, process_index=index, process_count=process_count)
        for index in range(process_count)
    ]
    for step in range(4):
        shares = [part.batch(step) for part in parts]
        joined = {name: np.concatenate([s[name] for s in shares]) for name in shares[0]}
        _assert_equal(joined, whole.batch(step))


@pytest.mark.parametrize("first_step", [0, 3])
def test_batches_ahead_are_the_batches_and_go_on_within_an_epoch(first_step):
    data = _data(_pictures(LABELS), pairs=True, process_index=1, process_count=2)
    batches = data.batches(first_step)
    for step, batch in enumerate(itertools.islice(batches, 7), first_step):
        _assert_equal(batch, data.batch(step))
    batches.close()


def test_closing_stops_the_work():
    def working():
        return [t for t in threading.enumerate() if t.name.startswith("ahead")]

    batches = _data(_pictures(LABELS)).batches()
    next(batches)
    assert working()
    batches.close()
    for thread in working():
        thread.join(timeout=5)
    assert not working()


def test_positives_are_other_images_of_the_class():
    data = _coloured(LABELS, 11, pairs=True)
    partners = {index: set() for index in range(11)}
    for step in range(40):
        batch = data.batch(step)
        for index, partner in zip(
            _indices(batch["images"]), _indices(batch["positives"]), strict=True
        ):
            partners[index].add(partner)
    for index, label in enumerate(LABELS):
        others = {i for i, other in enumerate(LABELS) if other == label and i != index}
        assert partners[index] == (others or {index})


def test_an_image_alone_in_its_class_is_its_own_partner_augmented_anew():
    images = _pictures([0, 1, 1])
    batch = _data(images, 3, pairs=True).batch(0)
    (place,) = np.flatnonzero(batch["labels"] == 0)
    assert not np.array_equal(batch["images"][place], batch["positives"][place])
    still = Augmentation(8, (1, 1), (4 / 3, 4 / 3), flip=False, lighting_sigma=0)
    batch = _data(images, 3, still, pairs=True).batch(0)
    np.testing.assert_array_equal(batch["images"][place], batch["positives"][place])


def test_pairs_leave_the_images_as_they_are():
    batch = _data(_pictures(LABELS), pairs=True).batch(2)
    del batch["positives"], batch["positives_light"]
    _assert_equal(batch, _data(_pictures(LABELS)).batch(2))


def test_groups_stand_whole_in_every_batch():
    labels = [0, 0, 0, 1, 1, 2, 2, 2, 3, 3, 4, 4, 5, 5, 5, 5]
    data = _coloured(labels, 8, grouping=Grouping(classes=2, views=2))
    assert data.steps_per_epoch == 1.5
    batches = [data.batch(step) for step in range(6)]
    for batch in batches:
        np.testing.assert_array_equal(batch["labels"], np.array(labels)[_indices(batch["images"])])
        for half in batch["labels"].reshape(2, 4):
            assert half.tolist() in ([0, 0, 1, 1], [2, 2, 3, 3], [4, 4, 5, 5])
    groups = np.concatenate([batch["labels"][::4] for batch in batches]).reshape(4, 3)
    assert all(sorted(epoch) == [0, 2, 4] for epoch in groups)


def test_a_broken_jpeg_in_mid_epoch(capsys):
    """The next of its class stands in, with its own pixels; the rest of the epoch stays."""
    whole, broken = _coloured(LABELS), _coloured(LABELS, broken=[4])
    stand_in = []
    for step, batch in enumerate(itertools.islice(broken.batches(), 6)):
        expected = whole.batch(step)
        was, now = _indices(expected["images"]), _indices(batch["images"])
        stand_in += now[was == 4].tolist()
        np.testing.assert_array_equal(now[was != 4], was[was != 4])
        np.testing.assert_array_equal(batch["labels"], expected["labels"])
        _assert_equal(batch, broken.batch(step))
    assert stand_in == [10, 10]
    assert capsys.readouterr().err.splitlines() == [
        f"warning: cannot read the image image 4 of town: its {len(BROKEN)} bytes are no image, or "
        "one cut short; get it again; another image stands in (1 so far)"
    ]


def test_stand_ins_go_around_the_class_and_are_never_broken_themselves(capsys):
    data = _coloured(LABELS, 11, broken=[8, 9, 6], pairs=True)
    batch = data.batch(0)
    indices, partners = _indices(batch["images"]), _indices(batch["positives"])
    assert sorted(indices) == [0, 1, 2, 3, 4, 5, 7, 7, 7, 7, 10]
    assert all(partners[indices == 7] == 7)
    lines = capsys.readouterr().err.splitlines()
    assert sorted(line.split(" of town")[0] for line in lines) == [
        f"warning: cannot read the image image {index}" for index in (6, 8, 9)
    ]
    assert [line.split(" stands in ")[1] for line in lines] == [
        f"({count} so far)" for count in (1, 2, 3)
    ]


def test_a_broken_partner_is_named_too(capsys):
    data = _coloured([0, 0], 1, broken=[1], pairs=True)
    shown = [_indices(_coloured([0, 0], 1).batch(step)["images"]) for step in range(2)]
    step = shown.index(0)
    batch = data.batch(step)
    assert [*_indices(batch["images"]), *_indices(batch["positives"])] == [0, 0]
    assert "cannot read the image image 1 of town" in capsys.readouterr().err


def test_a_class_that_is_wholly_broken_gives_way_to_the_next():
    batch = _coloured(LABELS, 11, broken=[5, 0, 1]).batch(0)
    indices = _indices(batch["images"])
    assert sorted(indices) == [2, 2, 2, 3, 4, 6, 6, 7, 8, 9, 10]
    np.testing.assert_array_equal(batch["labels"], np.array(LABELS)[indices])


def test_nothing_but_broken_images():
    data = _coloured([0, 0, 1], 3, broken=[0, 1, 2])
    with pytest.raises(UserError, match="no image of town can be read"):
        data.batch(0)
    with pytest.raises(UserError, match="no image of town can be read"):
        next(data.batches())


@pytest.mark.parametrize(
    ("batch_size", "options", "message"),
    [
        (6, {"process_count": 4}, "a batch of 6 images cannot be shared by 4 processes"),
        (0, {}, "a batch of 0 images cannot be shared by 1 processes"),
        (6, {"grouping": Grouping(2, 2)}, "a batch of 6 images does not hold whole groups of 4"),
        (8, {"grouping": Grouping(3, 2)}, "whole groups of 6"),
        (6, {"grouping": Grouping(3, 1)}, "4 classes do not make whole groups of 3"),
        (4, {"seed": -1}, "the seed is -1"),
    ],
)
def test_what_cannot_be(batch_size, options, message):
    with pytest.raises(UserError, match=message):
        _coloured(LABELS, batch_size, **options)


def test_workers_make_the_same_batches_and_name_what_is_broken_once(tmp_path, capsys):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(builder.transforms, "decode", lambda content: None)
        builder.build(source(contents={5: BROKEN}), tmp_path / "town", images_per_shard=4)
    images = open_prepared(tmp_path / "town")
    images.read(0)  # The reader is at work before there are workers.
    data = _data(images, 3, pairs=True)
    with contextlib.closing(data.batches(first_step=1, workers=2)) as batches:
        made = list(itertools.islice(batches, 6))
    assert capsys.readouterr().err.count("cannot read the image 2/1.jpg of town") == 1
    for step, batch in enumerate(made, 1):
        _assert_equal(batch, data.batch(step))


def test_names_cannot_write_to_the_terminal(capsys):
    images = _colours([0, 0], broken=[0])
    images.records[0]["key"] = b"\x1b[31mred\n"
    _data(images, 2).batch(0)
    [line] = capsys.readouterr().err.splitlines()
    assert line.isprintable() and r"\x1b[31mred" in line
