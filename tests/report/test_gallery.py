import json

import cv2
import numpy as np
import pytest

from senet_jax.data.revisitop import load_dataset
from senet_jax.report.examples import ITEMS, ScoredLists
from senet_jax.report.gallery import BEST, WORST, choose, make_gallery, rank_of_first_right
from senet_jax.report.results import RankedDataset
from senet_jax.search.ranked_list import NO_MORE, FoundLists, RankedList

IMAGES, QUERIES = 14, 16


@pytest.mark.parametrize("seed", range(10))
def test_the_worst_and_the_best_queries(seed):
    rng = np.random.default_rng(seed)
    scores = rng.integers(0, 8, rng.integers(0, 30)) / 8
    scores[rng.random(len(scores)) < 0.2] = np.nan
    ranked = sorted((score, query) for query, score in enumerate(scores) if not np.isnan(score))
    worst, best = choose(scores)
    assert worst == [query for _, query in ranked[:10]]
    assert best == [query for _, query in ranked[10:]][-3:][::-1]


@pytest.mark.parametrize(
    ("verdicts", "rank"),
    [("", None), ("wj", None), ("r", 1), ("jjr", 1), ("jwjwr", 3), ("wrr", 2)],
)
def test_the_rank_of_the_first_right_item_leaves_junk_out(verdicts, rank):
    words = {"r": "right", "w": "wrong", "j": "junk"}
    assert rank_of_first_right([words[letter] for letter in verdicts]) == rank


@pytest.fixture
def ranked(tmp_path):
    """Grey images, from dark to bright; of every query 13 and 12 are right, 0 is junk."""
    folder = tmp_path / "town" / "jpg"
    folder.mkdir(parents=True)
    names = [f"image{i}" for i in range(IMAGES)], [f"query{i}" for i in range(QUERIES)]
    for value, name in enumerate([*names[0], *names[1]]):
        image = np.full((32, 64, 3), 8 * value, np.uint8)
        cv2.imwrite(str(folder / f"{name}.jpg"), image)
    entry = {"bbx": [8, 8, 40, 24], "easy": [13], "hard": [12], "junk": [0]}
    truth = {"imlist": names[0], "qimlist": names[1], "gnd": [entry] * QUERIES}
    (tmp_path / "town" / "gnd_town.json").write_text(json.dumps(truth))
    town = load_dataset(tmp_path, "town")
    scores = np.linspace(1, 0, QUERIES)
    down, short = (
        FoundLists(
            RankedList(ranks, IMAGES),
            np.linspace(1, 0, ranks.size).astype(np.float32).reshape(ranks.shape),
        )
        for ranks in (
            np.array([list(range(IMAGES))[::-1]] * QUERIES),
            np.array([[0, 3, NO_MORE]] * QUERIES),
        )
    )
    lists = [ScoredLists("search", scores, down), ScoredLists("aqe", 1 - scores, short)]
    return RankedDataset(town, town.queries, town.images, lists)


def decoded(picture):
    image = cv2.imdecode(np.frombuffer(picture.jpeg, np.uint8), cv2.IMREAD_COLOR)
    assert image.shape == (picture.height, picture.width, 3)
    return image


def test_what_is_shown_of_a_query(ranked):
    gallery = make_gallery(ranked, 10**6)
    assert [query.name for query in gallery.worst] == [f"query{i}" for i in range(15, 5, -1)]
    assert [query.name for query in gallery.best] == ["query0", "query1", "query2"]
    worst = gallery.worst[0]
    search, aqe = worst.lists
    assert (search.label, search.average_precision, search.first_right) == ("search", 0, 1)
    assert (aqe.label, aqe.average_precision, aqe.first_right) == ("aqe", 1, None)
    assert [item.name for item in search.items] == [f"image{i}.jpg" for i in range(13, 3, -1)]
    assert [item.verdict for item in search.items] == ["right"] * 2 + ["wrong"] * (ITEMS - 2)
    assert [item.verdict for item in aqe.items] == ["junk", "wrong"]
    brightness = [decoded(item.picture).mean() for item in search.items]
    assert brightness == pytest.approx([8 * i for i in range(13, 3, -1)], abs=1)


def test_the_box_is_drawn_into_the_query(ranked):
    image = decoded(make_gallery(ranked, 10**6).worst[0].picture).astype(int)
    assert image.shape == (160, 320, 3)
    yellow = (image[..., 2] > 180) & (image[..., 1] > 150) & (image[..., 0] < 150)
    rows, columns = np.nonzero(yellow)
    seen = [rows.min(), rows.max(), columns.min(), columns.max()]
    np.testing.assert_allclose(seen, [40, 120, 40, 200], atol=3)


def test_broken_photographs_are_left_out(ranked):
    ranked.database[13].path.write_bytes(b"no picture")
    ranked.queries[15].path.unlink()
    worst = make_gallery(ranked, 10**6).worst[0]
    assert worst.picture is None
    first, second, *_ = worst.lists[0].items
    assert first.name == "image13.jpg" and first.picture is None and second.picture is not None


def test_pictures_end_where_the_page_would_become_too_large(ranked):
    gallery = make_gallery(ranked, 9000)
    queries = [*gallery.worst, *gallery.best]
    pictures = [
        picture
        for query in queries
        for picture in (query.picture, *(i.picture for each in query.lists for i in each.items))
    ]
    assert len(queries) == WORST + BEST and len(pictures) == 13 * (1 + 10 + 2)
    count = pictures.index(None)
    assert count > 2 and pictures[count:] == [None] * (len(pictures) - count)
    sizes = [len(picture.jpeg) for picture in pictures[:count]]
    assert sum(sizes[:-1]) < 9000 <= sum(sizes)
