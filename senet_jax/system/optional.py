"""Packages that only some commands need: imported where they are used."""

import contextlib
import importlib.metadata
import os
import pathlib
import shlex
import tomllib
from collections.abc import Iterator

from senet_jax.system.errors import UserError, reason

DISTRIBUTION = "senet_jax"
_ROOT = pathlib.Path(__file__).parents[2]


@contextlib.contextmanager
def optional_import(extra: str, purpose: str) -> Iterator[None]:
    """A context for the import of what an extra of this package asks for.

    Args:
        extra: of `pyproject.toml`.
        purpose: what needs it, in the plural: the subject of the error.

    Raises:
        UserError: it cannot be imported; the line says which command installs it.
    """
    try:
        yield
    except (ImportError, OSError) as error:  # An OSError where a shared library is missing.
        raise UserError(
            f"{purpose} need a package that cannot be imported here ({reason(error)}); "
            f"{install_command(extra)}"
        ) from error


def install_command(extra: str, root: pathlib.Path = _ROOT) -> str:
    """The command that installs what an extra asks for, where this process runs.

    In a checkout that is the extra itself; where the package is installed, on no index, it is the
    requirement that stands in its metadata.

    Args:
        extra: of `pyproject.toml`.
        root: the folder of the package's folder.
    """
    project = root / "pyproject.toml"
    if project.is_file() and extra in _extras(project):
        place = "." if os.path.samefile(root, os.curdir) else str(root)
        return f"pip install {shlex.quote(f'{place}[{extra}]')}"
    required = importlib.metadata.requires(DISTRIBUTION) or []
    names = [line.partition(";")[0].strip() for line in required if _is_of_extra(line, extra)]
    return f"pip install {' '.join(map(shlex.quote, names))}"


def _extras(project: pathlib.Path) -> dict[str, list[str]]:
    declared = tomllib.loads(project.read_text(encoding="utf-8")).get("project", {})
    return declared.get("optional-dependencies", {}) if declared.get("name") == DISTRIBUTION else {}


def _is_of_extra(requirement: str, extra: str) -> bool:
    marker = requirement.partition(";")[2].replace("'", '"')
    return f'extra == "{extra}"' in marker
