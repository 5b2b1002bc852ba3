import numpy as np
import pytest

from senet_jax.data.ground_truth import GroundTruth
from senet_jax.metrics.precision_recall import mean_precision, precision_at_recalls
from senet_jax.metrics.protocols import PROTOCOLS
from senet_jax.metrics.report import evaluate_ranks
from senet_jax.search.ranked_list import RankedList


def test_by_hand():
    """Found second and fourth, of three: from 0 to 1/2, from 1/3 to 2/4, and nothing."""
    recalls = np.array([0, 1 / 6, 0.33, 0.34, 0.5, 0.66, 0.67, 0.99])
    found = precision_at_recalls(np.array([1, 3]), 3, recalls)
    expected = [0, 0.25, 0.495, 1 / 3 + 0.02 / 6, 1 / 3 + 1 / 12, 1 / 3 + 0.98 / 6, 0, 0]
    np.testing.assert_allclose(found, expected, atol=1e-9)
    first = precision_at_recalls(np.array([0]), 1, recalls)
    assert first.tolist() == [1] * len(recalls)
    assert not precision_at_recalls(np.zeros(0, int), 2, recalls).any()


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("listed", [8, 30])
def test_the_area_is_the_mean_average_precision(seed, listed):
    rng = np.random.default_rng(seed)
    kinds = [np.split(rng.permutation(30)[:12], [3, 8]) for _ in range(6)]
    truth = GroundTruth(
        image_names=tuple(map(str, range(30))),
        query_names=tuple("abcdef"),
        easy=[np.sort(easy) for easy, _, _ in kinds],
        hard=[np.sort(hard) for _, hard, _ in kinds[:5]] + [np.zeros(0, int)],
        junk=[np.sort(junk) for _, _, junk in kinds],
        boxes=None,
    )
    ranked = RankedList(np.argsort(rng.random((6, 30)), axis=1)[:, :listed], 30)
    report = evaluate_ranks(truth, ranked)
    recalls = (np.arange(30_000) + 0.5) / 30_000
    for protocol in PROTOCOLS:
        area = mean_precision(truth, ranked, protocol, recalls).mean()
        assert area == pytest.approx(report.means(protocol.name)[0], abs=1e-4)
