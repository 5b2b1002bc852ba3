import dataclasses
import os
import subprocess
import sys
import zlib

import numpy as np
import pytest

from senet_jax.data.synthetic_landmarks import DEMO, TINY, World
from senet_jax.data.synthetic_landmarks.world import EVALUATED_SPLITS, SPLITS
from senet_jax.system.errors import UserError

FAMILIES = {
    "training": TINY.training_families,
    "validation": TINY.validation_families,
    "evaluation": TINY.evaluation_families,
}

CHECKSUMS = """
import sys, zlib
import cv2
from senet_jax.data.synthetic_landmarks import TINY
if sys.argv[1] != "default":
    cv2.setNumThreads(int(sys.argv[1]))
keys = [(f, s, v) for f in range(2) for s in range(2) for v in range(4)]
order = keys[::-1] if sys.argv[2] == "backwards" else keys
sums = {key: zlib.crc32(TINY.training_view(*key).tobytes()) for key in order}
shots = TINY.queries_of("evaluation")[:2] + TINY.database_of("evaluation")[-2:]
sums |= {s: zlib.crc32(TINY.photograph("evaluation", s).tobytes()) for s in shots}
print([sums[key] for key in keys + shots])
"""


def _checksums(threads, order):
    command = [sys.executable, "-c", CHECKSUMS, threads, order]
    # Another seed of the hash would show an order taken from a set.
    environment = {**os.environ, "PYTHONHASHSEED": str(len(order))}
    return subprocess.run(
        command, check=True, capture_output=True, text=True, env=environment
    ).stdout


def test_same_bytes_in_any_process_order_and_number_of_threads():
    expected = _checksums("default", "forwards")
    assert len(set(expected.split(","))) == 20, "all pictures differ"
    assert _checksums("1", "backwards") == expected
    assert _checksums("4", "forwards") == expected


def test_training_views_differ_by_every_index_and_by_seed():
    worlds = (TINY, dataclasses.replace(TINY, seed=1))
    pictures = [
        world.training_view(family, sibling, view)
        for world in worlds
        for family in range(2)
        for sibling in range(2)
        for view in range(3)
    ]
    assert len({zlib.crc32(picture.tobytes()) for picture in pictures}) == len(pictures)
    assert pictures[0].shape == (TINY.side, TINY.side, 3)
    assert pictures[0].dtype == np.uint8


def test_labels_number_the_training_landmarks():
    labels = [
        TINY.training_label(family, sibling)
        for family in range(TINY.training_families)
        for sibling in range(TINY.siblings)
    ]
    assert labels == list(range(TINY.training_classes))


def test_no_landmark_lives_in_two_splits_or_twice():
    landmarks = [
        TINY.landmark(split, family, sibling)
        for split in SPLITS
        for family in range(FAMILIES[split])
        for sibling in range(TINY.siblings)
    ]
    distractors = [
        TINY.scene(split, shot)[0]
        for split in EVALUATED_SPLITS
        for shot in TINY.database_of(split)
        if shot.family is None
    ]
    everyone = landmarks + distractors
    assert len(distractors) == 2 * TINY.distractors
    assert len(set(everyone)) == len(everyone)
    styles = {landmark.style for landmark in everyone}
    assert len(styles) == sum(FAMILIES.values()) + len(distractors)


def test_a_larger_world_holds_the_smaller():
    larger = dataclasses.replace(
        TINY, siblings=5, evaluation_families=6, easy=3, training_views=9, distractors=50
    )
    shots = {shot.name: shot for shot in larger.database_of("evaluation")}
    for shot in TINY.database_of("evaluation"):
        assert shots[shot.name] == shot
        assert larger.scene("evaluation", shot) == TINY.scene("evaluation", shot)


def test_a_distant_distractor_is_one_call():
    world = dataclasses.replace(DEMO, distractors=200_000)
    last = world.database_of("evaluation")[-1]
    assert last.index == 199_999
    assert world.photograph("evaluation", last).shape == (64, 64, 3)


@pytest.mark.parametrize("split", EVALUATED_SPLITS)
def test_shots_of_an_evaluated_split(split):
    queries, database = TINY.queries_of(split), TINY.database_of(split)
    landmarks = FAMILIES[split] * TINY.siblings
    assert len(queries) == landmarks * TINY.queries
    each = TINY.easy + TINY.hard + TINY.junk
    assert len(database) == landmarks * each + TINY.distractors
    names = [shot.name for shot in queries + database]
    assert len(set(names)) == len(names)
    scenes = [TINY.scene(split, shot) for shot in queries + database]
    assert len({view for _, view in scenes}) == len(scenes), "no query is in the database"
    for shot, (_, view) in zip(queries + database, scenes, strict=True):
        assert view.severity == shot.severity


def test_the_demo_has_enough_queries_to_tell_models_apart():
    assert len(DEMO.queries_of("evaluation")) >= 70
    assert DEMO.training_classes * DEMO.training_views >= 10_000


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("side", 31),
        ("side", 64.0),
        ("side", 5000),
        ("siblings", 1),
        ("siblings", 9),
        ("seed", -1),
        ("seed", 2**32),
        ("training_families", 0),
        ("distractors", -1),
        ("easy", True),
        ("training_views", "14"),
    ],
)
def test_a_bad_size_is_one_line(name, value):
    with pytest.raises(UserError, match=rf"world's {name} is .*; give an integer from"):
        World(**{name: value})


def test_every_number_is_checked():
    for field in dataclasses.fields(World):
        with pytest.raises(UserError, match=field.name):
            World(**{field.name: None})


@pytest.mark.parametrize("split", ["training", "test"])
def test_only_evaluated_splits_have_queries(split):
    with pytest.raises(UserError, match="choose validation or evaluation"):
        TINY.queries_of(split)


def test_a_shot_is_known_by_its_name():
    shots = TINY.queries_of("evaluation") + TINY.database_of("evaluation")
    assert [TINY.shot(shot.name) for shot in shots] == shots
    for name in ("", "family-0000-0-query", f"family-0000-{TINY.siblings}-easy-0", "distractor-1"):
        assert TINY.shot(name) is None
