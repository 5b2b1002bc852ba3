import numpy as np
import pytest

from senet_jax.rerank.journal import Journal, Known
from senet_jax.rerank.pairs import PairCount
from senet_jax.system.errors import UserError

KEYS = [("a", "b"), ("a", "c"), ("d", "b")]
SCORES = np.array([0.1, 1e-9, 123456.78], np.float32)


def _filled(path):
    journal = Journal(path)
    journal.add(KEYS[:2], SCORES[:2], 3.0)
    journal.add(KEYS[2:], SCORES[2:].tolist(), 0.25)
    return journal


def test_what_is_added_is_known_to_the_bit_the_next_time(tmp_path):
    journal = _filled(tmp_path / "new" / "scores.csv")
    again = Journal(tmp_path / "new" / "scores.csv")
    assert again.known == journal.known and list(again.known) == KEYS
    np.testing.assert_array_equal([known.score for known in again.known.values()], SCORES)
    assert [known.seconds for known in again.known.values()] == [1.5, 1.5, 0.25]
    assert _filled(None).known == journal.known


@pytest.mark.parametrize("cut", [1, 10, 20])
def test_a_torn_line_is_cut_out_and_added_anew(tmp_path, capsys, cut):
    path = tmp_path / "scores.csv"
    _filled(path)
    content = path.read_bytes()
    path.write_bytes(b"\xff\0,\n" + content[:-cut])
    journal = Journal(path)
    assert list(journal.known) == KEYS[:2]
    assert "2 of 4 lines are broken" in capsys.readouterr().out
    journal.add(KEYS[2:], SCORES[2:], 0.25)
    assert path.read_bytes() == content


def test_each_method_and_each_setting_has_scores_of_its_own(tmp_path):
    methods = [("a", {"x": 1}), ("a", {"x": 2}), ("a", {}), ("b", {"x": 1})]
    for index, method in enumerate(methods):
        assert not Journal.of(tmp_path, *method).known
        Journal.of(tmp_path, *method).add(KEYS[:1], [index], 0.0)
    for index, method in enumerate(methods):
        assert Journal.of(tmp_path, *method).known == {KEYS[0]: Known(index, 0.0)}


def test_known_pairs_are_counted_with_the_time_that_they_took():
    count = PairCount()
    assert count.lookup([*KEYS, ("e", "f")], _filled(None)) == {("e", "f")}
    assert (count.compared, count.computed, count.known_seconds) == (4, 1, 3.25)


def test_a_place_that_cannot_be_written_is_one_line(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"cannot write .*scores.csv: "):
        _filled(tmp_path / "file" / "scores.csv")
    (tmp_path / "scores.csv").mkdir()
    with pytest.raises(UserError, match=r"cannot read .*scores.csv: "):
        Journal(tmp_path / "scores.csv")
