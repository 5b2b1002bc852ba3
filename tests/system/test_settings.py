import dataclasses

import pytest

from senet_jax.system.errors import UserError
from senet_jax.system.settings import Settings, setting, settings_of, value_text


@dataclasses.dataclass(frozen=True)
class Example(Settings):
    """A class with a setting of each type."""

    count: int = setting(3, "how many", at_least=0, at_most=9, by_dataset={"town": 5, "port": 3})
    share: float = setting(0.5, "how much", at_least=0, below=1)
    top: int = setting(7, "how long", config_key="rerank_top")
    exact: bool = False
    kernel: str = "rbf"


COUNT, SHARE, TOP, EXACT, KERNEL = settings_of(Example)


def test_a_method_is_described_by_its_fields():
    assert [each.name for each in settings_of(Example)] == [
        field.name for field in dataclasses.fields(Example)
    ]
    assert (COUNT.meaning, EXACT.meaning) == ("how many", "")
    assert COUNT.expected == "an integer from 0 to 9"
    assert SHARE.expected == "a number from 0 below 1"
    assert (EXACT.expected, KERNEL.expected) == ("true or false", "a word")
    assert COUNT.default_text == "3, 5 for town"
    assert TOP.default_text == "7, in an evaluation config.rerank_top"
    assert [each.has_one_default for each in (COUNT, SHARE, TOP)] == [False, True, False]


@pytest.mark.parametrize(
    ("dataset", "config", "expected"),
    [("", {}, (3, 7)), ("town", {}, (5, 7)), ("port", {"rerank_top": 2, "count": 8}, (3, 2))],
)
def test_a_default_is_the_dataset_s_or_the_config_s(dataset, config, expected):
    assert tuple(each.default_for(dataset, config) for each in (COUNT, TOP)) == expected


@pytest.mark.parametrize(
    ("each", "text", "value"),
    [
        *((COUNT, "4", 4), (COUNT, "+04", 4), (SHARE, "0", 0.0), (SHARE, "-0.0", 0.0)),
        *((SHARE, ".5e0", None), (SHARE, "5.e-1", 0.5), (SHARE, "2.5E-1", 0.25)),
        *((COUNT, "4.0", None), (COUNT, "", None), (COUNT, "10", None), (COUNT, "-1", None)),
        *((COUNT, "1_0", None), (COUNT, "٣", None), (COUNT, "9" * 19, None), (SHARE, "1", None)),
        *((SHARE, "nan", None), (SHARE, "inf", None), (SHARE, "1e999", None), (SHARE, "1j", None)),
        *(
            (EXACT, "true", True),
            (EXACT, "false", False),
            (EXACT, "True", None),
            (EXACT, "1", None),
        ),
        *((KERNEL, "chi2", "chi2"), (KERNEL, "a b", None), (KERNEL, "a/b", None)),
        (KERNEL, "__import__('os')", None),
    ],
)
def test_a_value_is_read_strictly(each, text, value):
    if value is None:
        with pytest.raises(UserError, match=f"{each.name} is .*; it has to be {each.expected}"):
            each.read(text)
    else:
        read = each.read(text)
        assert (read, type(read)) == (value, each.kind)
        assert each.read(value_text(read)) == read


@pytest.mark.parametrize(
    "settings",
    [
        *({"count": -1}, {"count": 2.0}, {"count": True}, {"exact": 1}, {"kernel": None}),
        *({"share": 1.0}, {"share": float("nan")}, {"share": "0.5"}),
    ],
)
def test_a_method_refuses_what_is_no_value_of_its_settings(settings):
    [name] = settings
    with pytest.raises(UserError, match=f"{name} is .*; it has to be"):
        Example(**settings)


def test_an_integer_is_a_number():
    share = Example(share=0).share
    assert (share, type(share)) == (0.0, float)


def test_equal_values_are_written_alike():
    assert [value_text(value) for value in (3.0, 3, 0.5, 1e-6, 1e20, True, "rbf")] == [
        *("3", "3", "0.5", "1e-06", "1e+20", "true", "rbf")
    ]


def test_a_field_that_is_no_setting_is_a_bug():
    @dataclasses.dataclass(frozen=True)
    class Without(Settings):
        needed: int

    @dataclasses.dataclass(frozen=True)
    class Odd(Settings):
        items: tuple = ()

    for method, arguments in ((Without, (1,)), (Odd, ())):
        with pytest.raises(TypeError, match="a setting is an int, float, bool or str, and has"):
            method(*arguments)
