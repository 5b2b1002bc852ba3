"""SENet in JAX and Flax: train, evaluate and use global descriptors for landmark retrieval.

  load        a weights folder -> a `Model`, which describes photographs
  search      the images of a database that are most similar to queries -> `Found`
  fit_whitening
              learned without labels on descriptors -> `Whitening`
  similarity  of all positions of two images, from `Model.maps`
  score       descriptors or ranks against a ground truth -> `EvaluationReport`
  UserError   what all of them raise where something given is not as it has to be

Nothing of it is imported before it is used.
"""

import importlib as _importlib
import sys as _sys
import types as _types
import typing as _typing

__version__ = "0.1.0"
__all__ = [
    "EvaluationReport",
    "Found",
    "Model",
    "UserError",
    "Whitening",
    "fit_whitening",
    "load",
    "score",
    "search",
    "similarity",
]

if _typing.TYPE_CHECKING:
    from senet_jax.api import (
        EvaluationReport,
        Found,
        Model,
        UserError,
        Whitening,
        fit_whitening,
        load,
        score,
        search,
        similarity,
    )


def __getattr__(name: str) -> _typing.Any:
    if name not in __all__:
        raise AttributeError(f"module {__name__} has no attribute {name}")
    return getattr(_importlib.import_module("senet_jax.api"), name)


def __dir__() -> list[str]:
    return __all__


class _Room(_types.ModuleType):
    """A package that has the name of a public function, and can be called as that function.

    Python puts a package that is imported into the place of its name, here `senet_jax.search` and
    `senet_jax.score`, which are functions to those who use this one.
    """

    @property
    def __wrapped__(self) -> _typing.Callable:  # Where `help` and `inspect` look for a signature.
        return getattr(_importlib.import_module("senet_jax.api"), self.__name__.split(".")[1])

    def __call__(self, *arguments: _typing.Any, **options: _typing.Any) -> _typing.Any:
        return self.__wrapped__(*arguments, **options)


class _Package(_types.ModuleType):
    """This package, which makes a `_Room` of those that are called as a public function is."""

    def __setattr__(self, name: str, value: _typing.Any) -> None:
        if name in __all__ and isinstance(value, _types.ModuleType):
            value.__class__ = _Room
        super().__setattr__(name, value)


_sys.modules[__name__].__class__ = _Package

if _sys.argv[:1] == ["-m"]:  # Python is looking for a command of this package, to run it.
    from senet_jax.system import signals as _signals

    _signals.hold()
