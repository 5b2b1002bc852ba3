import numpy as np
import pytest

from senet_jax.rerank.diffusion import Diffusion
from senet_jax.rerank.methods import (
    METHODS,
    OTHER_DATASETS,
    PAIRWISE,
    PRESETS,
    Circumstances,
    make_reranker,
)
from senet_jax.rerank.query_expansion import DatabaseAugmentation, QueryExpansion
from senet_jax.rerank.refinement import Refinement
from senet_jax.system.errors import UserError
from tests.rerank.retrievals import retrieval, shuffled


def _ranks(names, found, **circumstances):
    return make_reranker(names, Circumstances(**circumstances))(found).ranked.ranks.tolist()


@pytest.mark.parametrize(
    ("dataset", "neighbours", "alpha"),
    [("roxford5k", 5, 2), ("rparis6k", 20, 1), ("holidays", 5, 2), ("", 5, 2)],
)
def test_presets_are_those_of_the_paper(dataset, neighbours, alpha):
    found = retrieval()
    expansion, augmentation = (
        QueryExpansion(neighbours, alpha),
        DatabaseAugmentation(neighbours, alpha),
    )
    average = QueryExpansion(neighbours, 0)
    for name, method in (("alpha_qe", expansion), ("aqe", average), ("dba", augmentation)):
        expected = method(found).ranked.ranks.tolist()
        assert _ranks(name, found, dataset=dataset) == expected
    assert OTHER_DATASETS in PRESETS.values()


def test_a_shortlist_has_the_length_that_is_asked_for_or_the_methods_own():
    assert METHODS["refinement"](Circumstances()) == Refinement(400)
    assert METHODS["refinement"](Circumstances(top=7)) == Refinement(7)
    assert METHODS["truncated_diffusion"](Circumstances()) == Diffusion(1000)
    assert METHODS["truncated_diffusion"](Circumstances(top=7)) == Diffusion(7)
    assert METHODS["diffusion"](Circumstances(top=7)) == Diffusion(None)


def test_methods_use_what_the_circumstances_lend():
    circumstances = Circumstances(graph_of=lambda database, neighbours: 0, keep=lambda *_: 0)
    for name in ("diffusion", "truncated_diffusion"):
        assert METHODS[name](circumstances).graph_of is circumstances.graph_of
    assert METHODS["dba"](circumstances).keep is circumstances.keep


def test_a_chain_is_one_method_after_the_other():
    found = retrieval()
    augmented = DatabaseAugmentation(5, 2.0)(found)
    expected = Refinement(10)(QueryExpansion(5, 2.0)(augmented)).ranked.ranks.tolist()
    assert _ranks("dba,alpha_qe,refinement", found, top=10) == expected
    assert expected != _ranks("refinement,alpha_qe,dba", found, top=10)


@pytest.mark.parametrize("name", METHODS)
def test_every_method_by_its_name(name):
    """Whatever the lists' length, and in whatever order the database is."""
    if name == "dqe":
        pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    found = retrieval(seed=7)
    other, order = shuffled(found)

    def no_pair_stands_out(pairs):
        return np.zeros(len(pairs), np.float32)

    score_pairs = dict.fromkeys(PAIRWISE, no_pair_stands_out)
    rerank = make_reranker(name, Circumstances(score_pairs=score_pairs))
    expected = rerank(found).ranked.ranks.tolist()
    assert order[rerank(other).ranked.ranks].tolist() == expected
    short = found.with_ranks(found.ranked.ranks[:, :12])
    reranked = rerank(short)
    assert reranked.ranked.ranks.shape == (5, 12)


@pytest.mark.parametrize("names", ["", "alphaqe", "aqe,", "aqe,,dba", "aqe, dba"])
def test_an_unknown_name_is_refused(names):
    with pytest.raises(UserError, match=r"no re-ranking method .* choose from aqe, alpha_qe, dqe"):
        make_reranker(names, Circumstances())
