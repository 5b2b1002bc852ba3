import dataclasses
import itertools
import os
import pathlib

import cv2
import numpy as np
import pytest

from senet_jax.data.ground_truth import load_ground_truth
from senet_jax.data.synthetic_landmarks import DATASETS, TINY, ground_truths, write_evaluation
from senet_jax.system.errors import UserError

SMALL = dataclasses.replace(TINY, evaluation_families=2, siblings=2, easy=1, distractors=2)
EVERYTHING, NO_LOOKALIKES, FAMILY_ONLY = DATASETS["evaluation"]


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    root = tmp_path_factory.mktemp("written")
    write_evaluation(SMALL, "evaluation", root)
    return root


def _files(root):
    return {
        os.path.relpath(os.path.join(folder, name), root): (pathlib.Path(folder, name).read_bytes())
        for folder, _, names in os.walk(root, followlinks=True)
        for name in names
    }


def _truth(root, name):
    return load_ground_truth(root / name / f"gnd_{name}.pkl")


@pytest.mark.parametrize("split", DATASETS)
def test_every_dataset_is_in_the_layout_of_the_benchmark(tmp_path, split):
    write_evaluation(SMALL, split, tmp_path)
    for name in DATASETS[split]:
        truth = _truth(tmp_path, name)
        pictures = {path.stem for path in (tmp_path / name / "jpg").glob("*.jpg")}
        assert pictures == {*truth.image_names, *truth.query_names}
        assert not {*truth.image_names} & {*truth.query_names}
        for query in truth.query_names:
            image = cv2.imread(str(tmp_path / name / "jpg" / f"{query}.jpg"))
            assert image.shape == (SMALL.side, SMALL.side, 3)


def test_pictures_are_the_worlds(written):
    for shot in SMALL.queries_of("evaluation") + SMALL.database_of("evaluation"):
        image = cv2.imread(str(written / EVERYTHING / "jpg" / f"{shot.name}.jpg"))
        difference = np.abs(image.astype(int) - SMALL.photograph("evaluation", shot))
        assert difference.mean() < 4, "but for the compression"


def test_pictures_are_stored_once(written):
    for name in (NO_LOOKALIKES, FAMILY_ONLY):
        link = written / name / "jpg"
        assert link.is_symlink()
        assert not os.path.isabs(os.readlink(link)), "the folder may be moved"
        assert link.resolve() == (written / EVERYTHING / "jpg").resolve()


def _naive_kind(query, shot, dataset):
    """What a database picture is to a query, told from the two alone."""
    if (shot.family, shot.sibling) == (query.family, query.sibling):
        return shot.severity
    lookalike = shot.family == query.family
    if dataset == NO_LOOKALIKES and lookalike:
        return "junk"
    if dataset == FAMILY_ONLY and not lookalike:
        return "junk"
    return "negative"


@pytest.mark.parametrize("dataset", DATASETS["evaluation"])
def test_ground_truth_says_what_each_picture_is(tmp_path, dataset):
    write_evaluation(TINY, "evaluation", tmp_path)
    truth = _truth(tmp_path, dataset)
    queries, database = TINY.queries_of("evaluation"), TINY.database_of("evaluation")
    assert truth.query_names == tuple(shot.name for shot in queries)
    assert truth.image_names == tuple(shot.name for shot in database)
    for i, query in enumerate(queries):
        kinds = [_naive_kind(query, shot, dataset) for shot in database]
        for kind in ("easy", "hard", "junk"):
            expected = [item for item, each in enumerate(kinds) if each == kind]
            assert getattr(truth, kind)[i].tolist() == expected
        own = (query.family, query.sibling)
        lookalikes = [
            item
            for item, each in enumerate(database)
            if each.family == query.family and (each.family, each.sibling) != own
        ]
        assert truth.lookalikes[i].tolist() == lookalikes and lookalikes
        assert len(truth.easy[i]) == TINY.easy and len(truth.hard[i]) == TINY.hard
        assert "negative" in kinds


def test_boxes_are_the_queries(written):
    truth = _truth(written, EVERYTHING)
    for box, shot in zip(truth.boxes, SMALL.queries_of("evaluation"), strict=True):
        np.testing.assert_array_equal(box, SMALL.box("evaluation", shot))
        x1, y1, x2, y2 = box
        assert 0 <= x1 < x2 <= SMALL.side and 0 <= y1 < y2 <= SMALL.side
        assert max(x2 - x1, y2 - y1) > 0.7 * SMALL.side


def test_written_twice_identical(tmp_path, written):
    write_evaluation(SMALL, "evaluation", tmp_path)
    assert _files(tmp_path) == _files(written)
    assert len(_files(tmp_path)) > 20


def test_a_run_that_broke_off_goes_on(tmp_path, written, monkeypatch):
    taken = []
    photograph = type(SMALL).photograph
    turns = itertools.count(1)

    def counted(world, split, shot):
        # Several threads take pictures: each draws a number of its own, and none after 5 is left.
        if next(turns) > 5:
            raise KeyboardInterrupt
        return photograph(world, split, shot)

    def listed(world, split, shot):
        taken.append(shot.name)
        return photograph(world, split, shot)

    monkeypatch.setattr(type(SMALL), "photograph", counted)
    with pytest.raises(KeyboardInterrupt):
        write_evaluation(SMALL, "evaluation", tmp_path)
    assert not list(tmp_path.glob("*/gnd_*")), "an unfinished folder is not taken for whole"
    there = {path.stem for path in tmp_path.glob("*/jpg/*.jpg")}
    assert len(there) == 4
    monkeypatch.setattr(type(SMALL), "photograph", listed)
    write_evaluation(SMALL, "evaluation", tmp_path)
    first_query = SMALL.queries_of("evaluation")[0].name
    assert {*taken} & there == {first_query}, "only the claim's check is taken again"
    assert _files(tmp_path) == _files(written)


@pytest.mark.parametrize("refuse_hard_links", [False, True])
def test_without_symbolic_links_each_file_is_linked_or_copied(
    tmp_path, written, monkeypatch, refuse_hard_links
):
    def refuse(*_, **__):
        raise OSError("refused")

    monkeypatch.setattr(pathlib.Path, "symlink_to", refuse)
    if refuse_hard_links:
        monkeypatch.setattr(pathlib.Path, "hardlink_to", refuse)
    for _ in range(2):
        write_evaluation(SMALL, "evaluation", tmp_path)
        assert not (tmp_path / FAMILY_ONLY / "jpg").is_symlink()
        assert _files(tmp_path) == _files(written)


def test_another_world_in_the_same_place_is_refused(tmp_path, written):
    other = dataclasses.replace(SMALL, seed=1)
    with pytest.raises(UserError, match="another generated world"):
        write_evaluation(other, "evaluation", written)


@pytest.mark.parametrize("name", DATASETS["evaluation"])
@pytest.mark.parametrize("holding", ["jpg", "gnd_{}.pkl"])
def test_a_folder_of_someone_else_is_refused_untouched(tmp_path, name, holding):
    (tmp_path / name / holding.format(name)).mkdir(parents=True)
    with pytest.raises(UserError, match=rf"{name} holds a dataset without world.json"):
        write_evaluation(SMALL, "evaluation", tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_place_that_cannot_be_written_is_one_line(tmp_path):
    file = tmp_path / "file"
    file.write_text("")
    with pytest.raises(UserError, match="cannot write"):
        write_evaluation(SMALL, "evaluation", file)


def test_the_training_split_is_not_evaluated(tmp_path):
    with pytest.raises(UserError, match="no evaluated split 'training'"):
        write_evaluation(SMALL, "training", tmp_path)
    with pytest.raises(UserError, match="no evaluated split 'training'"):
        ground_truths(SMALL, "training")
