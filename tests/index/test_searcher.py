"""A searcher against what it is made of."""

import json
import re

import numpy as np
import pytest

from senet_jax.index import searcher as searcher_module
from senet_jax.index.find import find
from senet_jax.index.photographs import ShrunkPhotograph
from senet_jax.index.searcher import RERANKED, Searcher, read_chain
from senet_jax.rerank.methods import make_chain
from senet_jax.rerank.retrieval import search
from senet_jax.search.__main__ import main as search_main
from senet_jax.system.errors import UserError
from senet_jax.weights import save_weights
from tests.index.conftest import Colours
from tests.models.small_disk import small_weights


@pytest.fixture
def searcher(town, monkeypatch):
    town.update()
    monkeypatch.setattr(searcher_module.Describer, "of", lambda weights: Colours())
    return Searcher.open(town.index)


def test_a_chain_of_descriptors_is_that_of_an_evaluation(searcher, town):
    """The same lists as by the methods themselves, with the ranks of the search."""
    photographs = [ShrunkPhotograph(town.photos, name) for name in ("0/0.jpg", "1/7.jpg")]
    descriptors = searcher.describe(photographs)
    text = "dba(neighbours=3),alpha_qe(neighbours=4)"
    database = searcher.index.database
    expected = make_chain(text)(search(descriptors, database, min(RERANKED, database.size)))
    for _ in range(2):  # The second time the augmented database is there already.
        answers = searcher.rerank(photographs, descriptors, 6, read_chain(text))
        for query, of_query in enumerate(answers):
            rows = expected.ranked.items(query)[:6].tolist()
            assert [a.path for a in of_query] == [searcher.index.paths_of_row[r][0] for r in rows]
            before = [hit.path for hit in find(searcher.index, descriptors, 20)[query]]
            assert [a.rank_before for a in of_query] == [before.index(a.path) + 1 for a in of_query]
            scores = searcher.index.contents.descriptors[rows] @ descriptors[query]
            np.testing.assert_allclose([a.score for a in of_query], scores, rtol=1e-6)


def test_methods_that_an_index_has_nothing_for():
    with pytest.raises(UserError, match="cvnet looks at photographs"):
        read_chain("alpha_qe,cvnet")
    with pytest.raises(UserError, match="alpha_queue"):
        read_chain("alpha_queue")


def test_weights_that_a_method_takes_are_looked_for_before_a_query(searcher, monkeypatch, tmp_path):
    monkeypatch.setattr(searcher_module, "KEYPOINT_WEIGHTS", str(tmp_path / "none"))
    searcher.check(read_chain("alpha_qe,geometric"))
    with pytest.raises(UserError, match=r"/none"):
        searcher.check(read_chain("alpha_qe,lightglue"))


@pytest.mark.slow
def test_keypoints_of_queries_and_of_the_index(searcher, town, monkeypatch, tmp_path):
    """The photograph itself comes first; points are those of the file, whatever is looked at."""
    save_weights(tmp_path / "disk", small_weights())
    monkeypatch.setattr(searcher_module, "KEYPOINT_WEIGHTS", str(tmp_path / "disk"))
    path, box = "2/2.jpg", (10, 10, 80, 60)
    [chain] = [read_chain("lightglue(top=4,keypoints=64)")]
    query = ShrunkPhotograph(town.photos, path)
    [answers] = searcher.rerank([query], searcher.describe([query]), 4, chain)
    assert answers[0].path == str(town.photos / path)
    assert len(list((town.index / "keypoints").glob("*.npz"))) == 4
    row = next(r for r, paths in searcher.index.paths_of_row.items() if answers[0].path in paths)
    [method] = chain.methods
    of_row = searcher.matches(method, query, None, row)
    of_part = searcher.matches(method, ShrunkPhotograph(town.photos, path, part=box), query, None)
    assert (of_row.query_points == of_row.item_points).all(axis=1).mean() > 0.9
    assert len(of_row) and len(of_part)
    assert (of_part.query_points >= box[:2]).all() and (of_part.query_points <= box[2:]).all()


@pytest.mark.slow
def test_geometry_by_the_network_of_the_index(town, run_command_here, monkeypatch, tmp_path):
    """The command, with features by the network itself, and the page that it writes."""
    from senet_jax.index import update as update_module

    monkeypatch.setattr(update_module.Describer, "of", lambda weights: town.describer)
    name = '<b onclick="x">.jpg'
    town.write(name, 2)
    town.update()
    arguments = [town.index, town.photos / "2/2.jpg", "--box=10,10,80,60", "--top=4"]
    outputs = [f"--json={tmp_path / 'found.json'}", f"--html={tmp_path / 'found.html'}"]
    done = run_command_here(search_main, *arguments, "--rerank=alpha_qe,geometric(top=4)", *outputs)
    assert (done.returncode, done.stderr.count("error")) == (0, 0)
    [entry] = json.loads((tmp_path / "found.json").read_text())
    assert all(set(r) == {"rank", "path", "score", "rank_before"} for r in entry["results"])
    assert len(list((town.index / "local").glob("*.npz"))) >= 4
    page = (tmp_path / "found.html").read_text()
    assert page.count("data:image/jpeg;base64,") == 5 and "<b onclick" not in page
    assert "re-ranked by alpha_qe,geometric(top=4). Described by tiny_baseline." in page
    assert not re.search(r'(src|href)="(?!data:)', page)
