import dataclasses

import numpy as np
import pytest

from senet_jax.rerank.cvnet import CVNetRerank
from senet_jax.rerank.diffusion import Diffusion, TruncatedDiffusion
from senet_jax.rerank.gv import AffineVerification
from senet_jax.rerank.lightglue import LightGlueMatching
from senet_jax.rerank.method import Resources, in_memory
from senet_jax.rerank.methods import (
    METHODS,
    datasets_with_defaults,
    make_chain,
    method_text,
    methods_help,
)
from senet_jax.rerank.query_expansion import (
    AverageQueryExpansion,
    DatabaseAugmentation,
    DiscriminativeQueryExpansion,
    QueryExpansion,
)
from senet_jax.rerank.refinement import Refinement
from senet_jax.rerank.retrieval import search
from senet_jax.rerank.verification import GeometricVerification
from senet_jax.search.database import BlockedDatabase
from senet_jax.system.errors import MESSAGE_LIMIT, UserError
from senet_jax.system.settings import settings_of
from tests.rerank.retrievals import Numbers, clustered, retrieval, shuffled


@pytest.fixture(autouse=True)
def _without_the_library(monkeypatch):
    """Discriminative expansion is made without the library that it runs with."""
    monkeypatch.setattr("senet_jax.rerank.query_expansion._import_linear_svm", lambda: None)


@pytest.mark.parametrize(
    ("dataset", "neighbours", "alpha"),
    [("roxford5k", 5, 2), ("rparis6k", 20, 1), ("holidays", 5, 2), ("", 5, 2)],
)
def test_defaults_are_those_of_the_paper(dataset, neighbours, alpha):
    assert make_chain("aqe,alpha_qe,dqe,dba", dataset).methods == (
        AverageQueryExpansion(neighbours),
        QueryExpansion(neighbours, alpha),
        DiscriminativeQueryExpansion(neighbours, 50),
        DatabaseAugmentation(neighbours, alpha),
    )
    assert datasets_with_defaults() == ["roxford5k", "rparis6k"]


def test_a_setting_that_is_given_wins():
    chain = make_chain("dba(neighbours=7),alpha_qe(alpha=2)", "rparis6k")
    assert chain.methods == (DatabaseAugmentation(7, 1.0), QueryExpansion(20, 2.0))


def test_a_shortlist_has_the_length_that_is_asked_for_or_the_methods_own():
    config = {"rerank_top": 9}
    names = "refinement,diffusion,truncated_diffusion,cvnet,geometric"
    assert make_chain(names, config=config).methods == (
        *(Refinement(400), Diffusion(), TruncatedDiffusion(top=1000)),
        *(CVNetRerank(9, 0.5), GeometricVerification(9)),
    )
    assert make_chain("cvnet,geometric").methods == (CVNetRerank(100), GeometricVerification(100))
    given = make_chain("refinement(top=7),truncated_diffusion(top=7),cvnet(top=100)", "", config)
    assert given.methods == (Refinement(7), TruncatedDiffusion(top=7), CVNetRerank(100))
    assert str(given) == "refinement(top=7),truncated_diffusion(top=7),cvnet(top=100)"


def test_average_expansion_is_the_one_with_equal_weights():
    found = retrieval()
    expected = QueryExpansion(5, 0.0)(found)
    assert make_chain("aqe")(found).queries.tolist() == expected.queries.tolist()


def test_a_chain_is_one_method_after_the_other():
    found = retrieval()
    augmented = DatabaseAugmentation(5, 2.0)(found)
    expected = Refinement(10)(QueryExpansion(5, 2.0)(augmented)).ranked.ranks.tolist()
    assert make_chain("dba,alpha_qe,refinement(top=10)")(found).ranked.ranks.tolist() == expected
    other = make_chain("refinement(top=10),alpha_qe,dba")(found).ranked.ranks.tolist()
    assert expected != other


def test_every_database_stage_is_done_once_on_what_the_one_before_has_left():
    found, stages = retrieval(), []

    def keep(stage):
        stages.append(stage)
        return in_memory(stage)

    chain = make_chain("dba(neighbours=4),alpha_qe,diffusion,dba(alpha=0)")
    prepared = chain.prepare(found.database, Resources(keep=keep))
    assert [stage.name for stage in stages] == ["dba", "graph", "dba"]
    assert [dict(stage.settings) for stage in stages] == [
        {"neighbours": 4, "alpha": 2.0, "recall": 1.0},
        {"neighbours": 50, "recall": 1.0},
        {"neighbours": 5, "alpha": 0.0, "recall": 1.0},
    ]
    augmented = DatabaseAugmentation(4, 2.0)(found).database.parts[0]
    for stage in stages[1:]:
        np.testing.assert_array_equal(stage.database.parts[0], augmented)
    short = found.with_ranks(found.ranked.ranks[:, :9])
    for lists in (found, short):
        assert prepared(lists).ranked.ranks.tolist() == chain(lists).ranked.ranks.tolist()
        assert prepared(lists).database is prepared.database
    assert len(stages) == 3


def test_what_is_prepared_refuses_another_database():
    found = retrieval()
    prepared = make_chain("dba").prepare(found.database, Resources())
    with pytest.raises(UserError, match="prepared for another database than the one"):
        prepared(retrieval(seed=1))


class Alike(Numbers):
    """Features of which no pair stands out."""

    def scorer(self, pairs):
        return lambda asked: np.zeros(len(asked), np.float32)

    def at(self, side):
        return self


@pytest.fixture
def alike(monkeypatch):
    """Features of which no pair stands out, for every method as it is."""
    monkeypatch.undo()
    for kind in (AffineVerification, GeometricVerification):
        monkeypatch.setattr(kind, "score", lambda *_: 0.0)
    monkeypatch.setattr(LightGlueMatching, "scores", lambda _, pairs: [0.0] * len(pairs))
    kinds = ("dense", "local", "keypoints", "pairs")
    return Resources(features=dict.fromkeys(kinds, Alike()))


@pytest.mark.parametrize("name", METHODS)
def test_every_method_by_its_name(name, alike):
    """Whatever the lists' length, and in whatever order the database is."""
    if name == "dqe":
        pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    found = retrieval(seed=7)
    other, order = shuffled(found)

    def rerank(lists):
        return make_chain(name).prepare(lists.database, alike)(lists)

    expected = rerank(found).ranked.ranks.tolist()
    assert order[rerank(other).ranked.ranks].tolist() == expected
    reranked = rerank(found.with_ranks(found.ranked.ranks[:, :12]))
    assert reranked.ranked.ranks.shape == (5, 12)


# What diffusion solves for twins differs in the last bit.
@pytest.mark.parametrize("name", [name for name in METHODS if "diffusion" not in name])
def test_of_equals_comes_first_what_a_report_says(name, alike):
    """Of two items that are the same one, and of which the later one stood first."""
    if name == "dqe":
        pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    queries, rows = np.split(clustered(45), [5])
    rows[30] = rows[7]
    found = search(queries, BlockedDatabase((rows,)), 40)
    exchanged = np.arange(40)
    exchanged[[7, 30]] = 30, 7
    found = found.with_ranks(exchanged[found.ranked.ranks])
    assert all((ranks == 30).argmax() < (ranks == 7).argmax() for ranks in found.ranked.ranks)
    ranks = make_chain(name).prepare(found.database, alike)(found).ranked.ranks
    stays = [(row == 30).argmax() < (row == 7).argmax() for row in ranks]
    [told] = make_chain(name).to_json()
    assert told["method"] == name and told["settings"]
    assert stays == [told["ties"] == "the order of before stays"] * 5
    assert all(stays) or "the lower index" in told["ties"]


@pytest.mark.parametrize("name", METHODS)
def test_every_method_is_written_and_told(name):
    assert str(make_chain(name)) == name
    [method] = make_chain(name).methods
    for dataset in ("roxford5k", "rparis6k"):
        assert make_chain(method_text(method), dataset, {"rerank_top": 3}).methods == (method,)
    told = methods_help().split(f"\n  {name} " if name != "aqe" else "  aqe ")[1]
    assert all(f"      {each.name}=" in told for each in settings_of(METHODS[name]))
    assert all(each.meaning for each in settings_of(METHODS[name]))


@pytest.mark.parametrize("name", METHODS)
def test_a_wrong_setting_is_answered_with_all_that_there_are(name):
    for wrong in ("size=3", f"{settings_of(METHODS[name])[0].name}=x"):
        with pytest.raises(UserError) as caught:
            make_chain(f"{name}({wrong})")
        told = str(caught.value)
        assert len(told) < MESSAGE_LIMIT and "\n" not in told
        for each in settings_of(METHODS[name]):
            assert f"{each.name} ({each.expected}; default {each.default_text})" in told


def test_a_method_of_photographs_says_so_before_the_work():
    found = retrieval()
    with pytest.raises(UserError, match=r"cvnet looks at photographs .* --config.rerank='cvnet\("):
        make_chain("dba,cvnet(top=7)")(found)
    assert make_chain("dba,cvnet,geometric").needs == {"dense", "local"}


@pytest.mark.parametrize("names", ["", "alphaqe", "aqe,", "aqe,,dba"])
def test_an_unknown_name_is_refused(names):
    with pytest.raises(UserError, match=r"no re-ranking method .* choose from aqe, alpha_qe, dqe"):
        make_chain(names)


def test_a_method_that_is_added_is_told(monkeypatch):
    @dataclasses.dataclass(frozen=True)
    class Reversed(Refinement):
        """Turns shortlists round."""

        needs = "dense"

    monkeypatch.setitem(METHODS, "reversed", Reversed)
    assert "\n  reversed             Turns shortlists round. In evaluations only." in methods_help()
    assert make_chain("reversed(top=3)").methods == (Reversed(3),)
