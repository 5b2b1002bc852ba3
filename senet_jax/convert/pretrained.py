"""Trained weights that packages carry, `pretrained:NAME`; the families of models say which.

Of a package the file of weights is read, and none of its code is run.
"""

import importlib.metadata
import pathlib

from senet_jax.models.family import Pretrained
from senet_jax.models.registry import families
from senet_jax.system.errors import UserError, shown
from senet_jax.system.optional import optional_import

EXTRA = "pretrained"
PREFIX = f"{EXTRA}:"


def locate_pretrained(name: str) -> tuple[list[pathlib.Path], dict[str, str]]:
    """Finds the trained weights of a network.

    Args:
        name: of the network.

    Returns:
        The file of weights, those of its extra parts, and what `Weights.source` has to say of the
        package.

    Raises:
        UserError: no package carries any, or it is not installed.
    """
    known = {model: entry for family in families() for model, entry in family.pretrained.items()}
    if name not in known:
        raise UserError(
            f"no package carries trained weights of {shown(name)}; there are "
            f"{', '.join(f'{PREFIX}{model}' for model in known)}"
        )
    pretrained = known[name]
    package = _installed(pretrained)
    source = {
        "package": pretrained.package,
        "version": package.version,
        "licence": pretrained.licence,
        "training_set": pretrained.training_set,
        "note": pretrained.note,
    }
    files = (pretrained.file, *pretrained.beside)
    return [pathlib.Path(str(package.locate_file(file))) for file in files], source


def _installed(pretrained: Pretrained) -> importlib.metadata.Distribution:
    try:
        with optional_import(EXTRA, "pretrained weights"):
            return importlib.metadata.distribution(pretrained.package)
    except UserError as error:
        if not pretrained.alone:
            raise
        raise UserError(
            f"these weights are in the package {pretrained.package}, which is not installed; pip "
            f"install --no-deps {pretrained.alone}"
        ) from error
