import copy
import json

import pytest

from configs import common
from senet_jax.config import flat
from senet_jax.system.errors import UserError
from senet_jax.training.resume import NOTES, measured, note, resumed
from senet_jax.training.settings import RATES

BEFORE = json.loads(common.train("tiny").to_json_best_effort()) | {
    "data_found": {"sha256": "images", "classes": 12, "steps_per_epoch": 3.0},
    "start_found": {"sha256": "weights"},
    "rate_changes": [],
}
# Every key is in one of three groups.
FREE = {
    "data.workers": 0,
    "data.folder": "/elsewhere",
    "start": "/elsewhere",
    "log_every_steps": 7,
    "optimizer.recipe": [8, 0.1],
    "checkpoint.every_steps": 7,
    "checkpoint.keep": 7,
    "remat": True,
    "evaluation.data_root": "/elsewhere",
    "evaluation.datasets": "town",
    "evaluation.every_steps": 7,
    "evaluation.scales": [1.0],
    "allow_changes": "optimizer.learning_rate",
}
FIXED = [
    key
    for key in flat({k: v for k, v in BEFORE.items() if k not in NOTES})
    if key not in (*FREE, *RATES)
]


def _with(changes, settings=BEFORE):
    changed = copy.deepcopy(settings)
    for key, value in changes.items():
        *parents, leaf = key.split(".")
        part = changed
        for parent in parents:
            part = part[parent]
        part[leaf] = value
    return changed


def _other(key):
    value = flat(BEFORE)[key]
    if isinstance(value, bool):
        return not value
    return value + 1 if isinstance(value, int | float) else [["fc", 3.0]]


def test_the_same_settings_go_on_without_a_word():
    assert resumed(BEFORE, copy.deepcopy(BEFORE), 5) == BEFORE
    assert note(BEFORE, copy.deepcopy(BEFORE)) == ""


@pytest.mark.parametrize("key", FREE)
def test_what_does_not_change_the_result_may_change_and_is_said(key):
    now = _with({key: FREE[key]})
    assert resumed(BEFORE, now, 5) == now
    if key != "allow_changes":
        assert f"config.{key} {flat(BEFORE)[key]!r} -> {FREE[key]!r}" in note(BEFORE, now)


@pytest.mark.parametrize("key", FIXED)
def test_what_changes_the_result_may_not(key):
    value = "other" if isinstance(flat(BEFORE)[key], str) else _other(key)
    with pytest.raises(UserError) as refusal:
        resumed(BEFORE, _with({key: value, "allow_changes": ", ".join(RATES)}), 5)
    assert f"it was begun with config.{key} " in str(refusal.value)
    assert f"now it is {value!r}; set it back, or use another workdir" in str(refusal.value)


@pytest.mark.parametrize("key", RATES)
def test_a_rate_may_change_by_permission(key):
    now = _with({key: _other(key)})
    with pytest.raises(UserError, match=f"; allow it by --config.allow_changes={key}, or use an"):
        resumed(BEFORE, now, 5)
    other = next(rate for rate in RATES if rate != key)
    with pytest.raises(UserError, match=f"allow it by --config.allow_changes={key}"):
        resumed(BEFORE, _with({"allow_changes": other}, now), 5)
    first = resumed(BEFORE, _with({"allow_changes": f"{other},{key}"}, now), 5)
    change = {"step": 5, "key": key, "before": flat(BEFORE)[key], "now": _other(key)}
    assert first["rate_changes"] == [change]
    # Nobody has to allow it again, and it stays written down.
    assert resumed(first, now, 9)["rate_changes"] == [change]
    back = _with({"allow_changes": key})
    assert [entry["step"] for entry in resumed(first, back, 9)["rate_changes"]] == [5, 9]


@pytest.mark.parametrize(
    ("key", "found"), [("data.folder", "data_found"), ("start", "start_found")]
)
def test_other_content_is_refused_wherever_it_is(key, found):
    for changes in ({}, {key: "/elsewhere"}):
        now = _with(changes | {f"{found}.sha256": "other"})
        with pytest.raises(UserError, match=f"config.{key} .* does not hold what the training"):
            resumed(BEFORE, now, 5)


def test_settings_of_another_version():
    older = _with({"colour": "red"})
    del older["start"]
    with pytest.raises(UserError, match=r"another version of senet_jax, in which config.colour is"):
        resumed(older, BEFORE, 5)


def test_scores_of_another_evaluation_do_not_count():
    assert measured(BEFORE) == measured(_with({"evaluation.data_root": "/elsewhere"}))
    for changes in ({"evaluation.datasets": "town"}, {"evaluation.scales": [1.0]}):
        assert measured(_with(changes)) != measured(BEFORE)
        assert "scores so far do not count any more" in note(BEFORE, _with(changes))
