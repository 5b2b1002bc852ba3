import numpy as np
import pytest

from senet_jax.system.errors import UserError
from senet_jax.system.spelling import LONGEST, Spelled, parse_spelled, settings_help, spelled
from tests.system.test_settings import Example

KINDS = {"example": Example, "other": Example}


def read(text):
    return parse_spelled(text, KINDS, "re-ranking method")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("example", [("example", {})]),
        ("example()", [("example", {})]),
        ("example,other,example", [("example", {}), ("other", {}), ("example", {})]),
        ("example(count=4)", [("example", {"count": 4})]),
        (" example ( count = 4 , share=0.25 ) , other ", None),
        ("example(kernel=chi2,count=4),other(exact=true)", None),
        (
            "example(kernel=IVF16,PQ8np,x, count=4),other(kernel=a,b)",
            [
                ("example", {"count": 4, "kernel": "IVF16,PQ8np,x"}),
                ("other", {"kernel": "a,b"}),
            ],
        ),
    ],
)
def test_methods_are_read(text, expected):
    found = read(text)
    if expected is not None:
        assert [(each.name, dict(each.given)) for each in found] == expected
    written = ",".join(map(str, found))
    assert " " not in written
    assert read(written) == found


@pytest.mark.parametrize(
    ("same", "written"),
    [
        (
            ["example", "example()", "example(share=0.5)", "example(kernel=rbf,share=5e-1)"],
            "example",
        ),
        (["example(share=0.0)", "example(share=0)", "example( share = -0 )"], "example(share=0)"),
        (["example(exact=true,count=4)", "example(count=4,exact=true)"], None),
        # Their defaults are not the same everywhere, so they stay.
        (["example(count=3)", "example(count=03)"], "example(count=3)"),
        (["example(top=7)"], "example(top=7)"),
    ],
)
def test_equal_settings_are_written_alike(same, written):
    texts = {",".join(map(str, read(text))) for text in same}
    assert len(texts) == 1 and texts <= {written or texts.copy().pop()}


def test_a_method_is_written_such_that_it_is_read_again():
    rng = np.random.default_rng(0)
    for _ in range(50):
        method = Example(
            count=int(rng.integers(10)),
            share=float(rng.choice([0.5, rng.random(), rng.random() * 1e-9])),
            top=int(rng.integers(100)),
            exact=bool(rng.integers(2)),
            kernel=str(rng.choice(["rbf", "chi2", "a.b-c_d", "a,b,3"])),
        )
        [again] = read(str(spelled("example", method)))
        # The default of another dataset or config has no say in it.
        values = {"count": 5, "top": 1, "share": 0.5, "exact": False, "kernel": "rbf"}
        assert Example(**values | dict(again.given)) == method


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "no re-ranking method ''; choose from example, other"),
        ("example,", "no re-ranking method ''"),
        ("example,,other", "no re-ranking method ''"),
        ("magic", "no re-ranking method 'magic'"),
        ("Example", "no re-ranking method 'Example'"),
        ("example other", "no re-ranking method 'example other'"),
        ("example(count=4", r"'example\(count=4' cannot be read; write NAME or NAME\(SETTING=V"),
        ("example)", "cannot be read"),
        ("example((count=4))", "cannot be read"),
        ("example(count=4)(top=3)", "cannot be read"),
        ("example(count=4)x", "cannot be read"),
        ("example(4)", "example cannot take '4'; its settings: count"),
        ("example(count=4,)", "example cannot take ''"),
        ("example(count=4,5)", "example: count is '4,5'"),
        ("example(kernel=a,,b)", "example cannot take ',b'"),
        ("example(size=4)", "example cannot take 'size=4'; its settings: count"),
        ("example(count=4,count=5)", "example gives twice 'count=5'; its settings: count"),
        (
            "example(count=many)",
            "example: count is 'many'; it has to be an integer from 0 to 9; its",
        ),
        ("example(count=4=4)", "count is '4=4'"),
        ("example(count=\n4\n5)", r"count is '4\\n5'"),
        ("example" + " " * LONGEST, "has 207 characters; give up to 200"),
    ],
)
def test_mistakes_are_named_on_one_line(text, message):
    with pytest.raises(UserError, match=message) as caught:
        read(text)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 500


def test_the_settings_are_listed_with_types_and_defaults():
    with pytest.raises(UserError) as caught:
        read("example(size=4)")
    for told in (
        "count (an integer from 0 to 9; default 3, 5 for town)",
        "share (a number from 0 below 1; default 0.5)",
        "exact (true or false; default false)",
    ):
        assert told in str(caught.value)


@pytest.mark.parametrize("seed", range(20))
def test_no_text_is_more_than_a_user_s_mistake(seed):
    rng = np.random.default_rng(seed)
    tokens = [
        "example",
        "other",
        "(",
        ")",
        ",",
        "=",
        "count",
        "top",
        "3",
        "0.5",
        " ",
        "\0",
        "é",
        "(",
    ]
    for _ in range(100):
        text = "".join(rng.choice(tokens, size=rng.integers(12)))
        try:
            found = read(text)
        except UserError:
            continue
        assert read(",".join(map(str, found))) == found


def test_help_has_every_setting():
    lines = settings_help(KINDS, lambda name: f"Is {name}.").splitlines()
    assert lines[0] == "  example              A class with a setting of each type. Is example."
    assert lines[1].startswith("      count=3              how many; an integer from 0 to 9; 5 for")
    assert lines[6] == "  other                A class with a setting of each type. Is other."


def test_a_name_alone_is_as_it_was():
    assert str(Spelled("dba")) == "dba"
