"""How messages quote values that are not the project's own."""

import ast
import pathlib

import pytest

REPOSITORY = pathlib.Path(__file__).parents[1]
SOURCES = sorted((REPOSITORY / "senet_jax").rglob("*.py"))


def _with_repr(source):
    """What f-strings format by `!r` and is no constant of its module: (line, expression)."""
    return [
        (node.lineno, ast.unparse(node.value))
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FormattedValue)
        and node.conversion == ord("r")
        and not (isinstance(node.value, ast.Name) and node.value.id.isupper())
    ]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(REPOSITORY)))
def test_a_foreign_value_goes_through_shown(path):
    """Of a list of a million entries, `!r` would make the message; see `errors.shown`."""
    assert not _with_repr(path.read_text())


def test_one_that_does_not_would_be_seen():
    source = 'NAME = "a"\nf"{NAME!r} {name!r} {shown(name)} {name.other!r}"\n'
    assert _with_repr(source) == [(2, "name"), (2, "name.other")]
