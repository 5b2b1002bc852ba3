import dataclasses
from typing import Literal

import pytest

from senet_jax.system.errors import UserError
from senet_jax.system.settings_text import (
    Settings,
    read_settings,
    setting,
    settings_help,
    split_settings,
)


@dataclasses.dataclass(frozen=True)
class Plain(Settings):
    """Needs nothing."""

    name = "plain"


@dataclasses.dataclass(frozen=True)
class Full(Settings):
    """Has a setting of every kind.

    The rest of the text is not for help.
    """

    name = "full"

    count: int = setting(3, "how many", at_least=1, at_most=9)
    weight: float = setting(1.5, "how much", at_least=0)
    kind: Literal["mean", "max"] = setting("mean", "how")
    index: str | None = setting(None, "of what")
    again: bool = setting(False, "whether twice")
    length: int | None = setting(None, "how long")


def read(text):
    return read_settings(text, (Plain, Full), "method")


def test_names_and_settings_are_split():
    assert split_settings("dba(neighbours=10), cvnet") == [
        ("dba", {"neighbours": "10"}),
        ("cvnet", {}),
    ]
    assert split_settings(" a ( x = 1 , y = ) ,b()") == [("a", {"x": "1", "y": ""}), ("b", {})]


def test_a_value_may_hold_commas_and_brackets():
    found = split_settings("faiss(index=OPQ16,IVF64(IVF8,Flat),PQ16, probes=4),exact")
    assert found == [
        ("faiss", {"index": "OPQ16,IVF64(IVF8,Flat),PQ16", "probes": "4"}),
        ("exact", {}),
    ]


def test_values_have_the_types_of_their_fields():
    assert read("plain,full") == [Plain(), Full()]
    given = "full(count=9,weight=2,kind=max,index=a,b,again=True,length=7)"
    assert read(given) == [Full(9, 2.0, "max", "a,b", True, 7)]
    assert read("full(index=none,length=NONE,again=false)") == [Full()]


@pytest.mark.parametrize(
    "text", ["plain", "full", "full(count=4,weight=0.1,index=IVF4,Flat,again=true,length=2)"]
)
def test_there_is_one_spelling(text):
    assert str(read(text)[0]) == text
    assert str(read(str(read(text)[0]))[0]) == text


def test_defaults_are_left_out_of_it():
    assert str(read("full( length = 5, count=3, weight=1.50 )")[0]) == "full(length=5)"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "'' is no name with settings; write name or name\\(setting=value,...\\)"),
        ("plain,", "'' is no name with settings"),
        ("full(count=1)x", r"'full\(count=1\)x' is no name"),
        ("full(count=1", "the brackets of .* do not match"),
        ("full)count=1(", "the brackets of .* do not match"),
        ("full(count)", "'count' in .* sets nothing"),
        ("full(=3)", "'=3' in .* sets nothing"),
        ("full(count=1,count=2)", "has the setting count more than once; give it once"),
        ("other", "no method 'other'; choose from plain, full"),
        ("full(size=1)", "full has no setting 'size'; it has count, weight, kind, index"),
        ("plain(size=1)", "plain has no setting 'size'; it has none"),
        ("full(count=0)", "full's count is 0; it has to be an integer from 1 to 9"),
        ("full(count=10)", "full's count is 10; it has to be an integer from 1 to 9"),
        ("full(count=2.5)", "full's count is '2.5'; it has to be an integer"),
        ("full(length=3000000000)", "full's length is 3000000000; it has to be an integer"),
        ("full(length=)", "full's length is ''; it has to be an integer"),
        ("full(weight=nan)", "full's weight is nan; it has to be a number from 0 on"),
        ("full(weight=much)", "full's weight is 'much'; it has to be a number from 0 on"),
        ("full(kind=sum)", "full's kind is 'sum'; it has to be one of mean, max"),
        ("full(index=)", "full's index is ''; it has to be a text that is not empty"),
        ("full(again=1)", "full's again is '1'; it has to be true or false"),
    ],
)
def test_mistakes_are_one_line(text, message):
    with pytest.raises(UserError, match=message):
        read(text)


@pytest.mark.parametrize("wrong", [{"count": True}, {"count": 2.0}, {"index": 5}, {"again": 0}])
def test_values_that_are_given_in_python_are_checked_as_well(wrong):
    with pytest.raises(UserError, match=f"full's {next(iter(wrong))} is"):
        Full(**wrong)


def test_help_is_made_of_the_classes():
    lines = settings_help((Plain, Full)).splitlines()
    assert lines[:3] == [
        "  plain: Needs nothing.",
        "  full: Has a setting of every kind.",
        "    count=3: how many",
    ]
    assert lines[-2:] == ["    again=false: whether twice", "    length=none: how long"]
