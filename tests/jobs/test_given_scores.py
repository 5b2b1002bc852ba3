import numpy as np
import pytest

from senet_jax.jobs.given_scores import GivenPairs
from senet_jax.jobs.reranking import save_pairs
from senet_jax.rerank.given import GivenScores
from senet_jax.rerank.pairs import PairCount, ScoredPairs
from senet_jax.system.errors import UserError
from tests.rerank.retrievals import reranked_by_pairs, retrieval


def test_a_file_that_a_re_ranking_left_orders_a_shortlist_again(tmp_path):
    found, path, rng = retrieval(rows=9, queries=2), tmp_path / "p.csv", np.random.default_rng(0)
    pairs = np.stack(np.meshgrid(range(2), range(9), indexing="ij"), axis=-1).reshape(-1, 2)
    scores = rng.random(18, np.float32)
    save_pairs(path, ScoredPairs(pairs, np.zeros(18, np.float32), scores))
    given, scored = GivenPairs(path, 2, 9), []
    method = GivenScores(top=5, mix=0.25)
    reranked = reranked_by_pairs(
        method, found, given, on_scored=lambda _, pairs: scored.append(pairs)
    )
    [rows] = found.database.parts
    for query, of_query in enumerate(scores.reshape(2, 9)):
        listed = found.ranked.items(query)
        mixed = rows @ found.queries[query] + 0.25 * of_query
        expected = [*sorted(listed[:5], key=lambda item: -mixed[item]), *listed[5:]]
        assert reranked.ranked.items(query).tolist() == expected
        assert expected != listed.tolist()
    assert len(scored[0].pairs) == 10


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "its first line is"),
        ("query,item\n0,1\n", "its first line is"),
        ("query,item,score\n0,1\n", "line 2: .* has 2 values"),
        ("query,item,score\n0,1,.5\n7,1,.5\n", "line 3: the query is '7'; .* from 0 to 1"),
        ("query,item,score\n0,-1,.5\n", "the item is '-1'; it has to be from 0 to 4"),
        ("query,item,score\n0,x,.5\n", "the item is 'x'"),
        ("query,item,score\n0,1,nan\n", "the score is 'nan'; it has to be a finite number"),
        ("query,item,score\n0,1,-inf\n", "the score is '-inf'"),
        ("query,item,score\n0,1,\n", "the score is ''"),
        ("query,item,score\n0,1,1\n0,1,2\n", "line 3: query 0 and item 1 stand there twice"),
        ('query,item,score\n"\0\n', "p.csv"),
        ("query,item,score\n0,1," + "9" * 200_000, "p.csv"),
    ],
)
def test_a_file_that_is_wrong_is_one_line(tmp_path, text, told):
    path = tmp_path / "p.csv"
    path.write_text(text)
    with pytest.raises(UserError, match=told) as caught:
        GivenPairs(path, 2, 5)
    assert "\n" not in str(caught.value)


def test_a_file_that_cannot_be_read(tmp_path):
    for path in (tmp_path, tmp_path / "none.csv", tmp_path / "bytes.csv"):
        (tmp_path / "bytes.csv").write_bytes(b"\xff")
        with pytest.raises(UserError, match="cannot read the pair scores"):
            GivenPairs(path, 2, 5)


def test_pairs_that_are_missing_are_told(tmp_path):
    path = tmp_path / "p.csv"
    path.write_text("query,item,global,score\n0,1,.1,.5\n")
    score = GivenPairs(path, 2, 5).scorer(PairCount())
    assert score(np.array([[0, 1]])).tolist() == [0.5]
    with pytest.raises(UserError, match="no score of query 1 and item 3, and of 1 other"):
        score(np.array([[0, 1], [1, 3], [1, 4]]))
