import json

import pytest

from senet_jax.data.synthetic_landmarks import TINY
from senet_jax.data.synthetic_landmarks.record import RECORD, claim, recorded
from senet_jax.system.errors import UserError


@pytest.mark.parametrize("split", ["validation", "evaluation"])
def test_what_is_claimed_is_told(split, tmp_path):
    folders = [tmp_path / "a", tmp_path / "b"]
    claim(iter(folders), TINY, split)
    claim(folders, TINY, split)
    assert [recorded(folder) for folder in folders] == [(TINY, split)] * 2


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({}, "tells of no generated world"),
        ({"world": {"colour": 1}, "split": "evaluation"}, "tells of no generated world"),
        ({"world": {}, "split": "training"}, "the split 'training', which is not evaluated"),
    ],
)
def test_another_file_is_refused(value, said, tmp_path):
    (tmp_path / RECORD).write_text(json.dumps(value))
    with pytest.raises(UserError, match=said):
        recorded(tmp_path)
