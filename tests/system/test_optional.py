import importlib.metadata
import pathlib
import shlex
import tomllib

import pytest

from senet_jax.system.errors import UserError
from senet_jax.system.optional import install_command, optional_import

REPOSITORY = pathlib.Path(__file__).parents[2]
EXTRAS = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"][
    "optional-dependencies"
]


@pytest.mark.parametrize("extra", EXTRAS)
def test_in_a_checkout_it_is_the_extra(monkeypatch, tmp_path, extra):
    monkeypatch.chdir(REPOSITORY)
    assert install_command(extra) == f"pip install '.[{extra}]'"
    monkeypatch.chdir(tmp_path)  # Where `.` would be another folder.
    assert shlex.split(install_command(extra)) == ["pip", "install", f"{REPOSITORY}[{extra}]"]


@pytest.mark.parametrize("extra", EXTRAS)
def test_where_it_is_installed_it_is_the_exact_package(monkeypatch, tmp_path, extra):
    """The package is on no index, so that `senet_jax[convert]` would not be found."""
    written = [f'{line}; extra == "{name}"' for name, lines in EXTRAS.items() for line in lines]
    monkeypatch.setattr(importlib.metadata, "requires", lambda _: ["numpy>=2", *written])
    command = shlex.split(install_command(extra, tmp_path))
    assert command == ["pip", "install", *EXTRAS[extra]]


def test_what_cannot_be_imported_is_one_line():
    with (
        pytest.raises(UserError, match=r"Some files need .*'no_such_module'\); pip install"),
        optional_import("convert", "Some files"),
    ):
        import no_such_module  # noqa: F401


def test_pytorch_is_not_pinned_to_one_version():
    (requirement,) = EXTRAS["convert"]
    assert requirement.startswith("torch>=") and "==" not in requirement
