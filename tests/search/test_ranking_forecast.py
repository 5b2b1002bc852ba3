import re

import jax
import numpy as np

from senet_jax.data.ground_truth import GroundTruth
from senet_jax.metrics.report import evaluate_descriptors
from senet_jax.search import ranking_forecast as forecast
from senet_jax.search.database import BlockedDatabase
from senet_jax.search.ranking_forecast import RankingForecast
from senet_jax.system.progress import Progress

DEVICES = jax.local_device_count()
ROUNDS = 5
DATABASE = BlockedDatabase((np.zeros((4 * DEVICES * ROUNDS, 3), np.float32),), block_rows=4)


def _told(seconds_a_round, blocks=DEVICES * ROUNDS):
    lines, times = [], iter([100.0, 100.0 + seconds_a_round])
    ranking = RankingForecast(DATABASE, 70, lambda: next(times), lines.append)
    for _ in range(blocks):
        ranking.advance()
    return lines


def test_it_is_told_once_after_two_blocks_on_each_device():
    line = (
        f"ranking {20 * DEVICES} rows of 3 numbers for 70 queries on {DEVICES} devices takes about "
        "1m15s and at most 0 MiB"
    )
    assert _told(15) == _told(15, blocks=2 * DEVICES) == [line]
    assert _told(15, blocks=2 * DEVICES - 1) == []


def test_short_rankings_are_not_worth_a_line(monkeypatch):
    assert len(_told(2.1)) == 1
    assert _told(1.9) == []
    monkeypatch.setattr(Progress, "quiet", True)
    assert _told(15) == []


def test_memory_is_that_of_the_blocks_at_work():
    large = BlockedDatabase((np.zeros((1, 2048), np.int8),))
    block, scores = 8192 * 2048 * 4, 8192 * 70 * 4
    expected = (DEVICES + 2) * block + (DEVICES + 1) * 6 * scores
    assert RankingForecast(large, 70).memory_bytes == expected


def test_an_evaluation_tells_it(monkeypatch, capsys):
    monkeypatch.setattr(forecast, "LONG_SECONDS", 0)
    nothing = (np.zeros(0, np.int64),)
    truth = GroundTruth(("image",), ("query",), nothing, nothing, nothing)
    rows = np.ones((2 * DEVICES * 8192, 1), np.float32)
    evaluate_descriptors(truth, np.ones((1, 1)), [rows])
    told = re.findall(
        r"^ranking [\d,]+ rows of 1 numbers for 1 queries ", capsys.readouterr().err, re.M
    )
    assert len(told) == 1
