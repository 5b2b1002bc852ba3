"""The direction of imports, read off the source of every module."""

import ast
import pathlib

import pytest

REPOSITORY = pathlib.Path(__file__).parents[1]
PACKAGE = REPOSITORY / "senet_jax"
# What opens files, flags or networks.
OUTSIDE_WORLD = {
    *("absl", "argparse", "cv2", "glob", "io", "ml_collections", "orbax", "os"),
    *("pathlib", "requests", "shutil", "socket", "subprocess", "tempfile", "tensorflow_datasets"),
    *("torch", "urllib"),
}

# Each room, and the rooms that it may import: those before it, and of them only what it needs.
BELOW = {
    "": {"api", "system"},
    "__main__": {"system"},
    "system": set(),
    "models": {"system"},
    "losses": {"config", "models", "system"},
    "search": {"system"},
    "data": {"models", "system"},
    "metrics": {"data", "search", "system"},
    "weights": {"data", "models", "system"},
    "features": {"data", "models", "search", "system", "weights"},
    "rerank": {"data", "features", "models", "search", "system", "weights"},
    "config": {"models", "system"},
    "training": {
        *("config", "data", "features", "losses", "metrics", "models", "system", "weights"),
    },
    "jobs": {
        *("config", "convert", "data", "features", "metrics", "rerank", "search", "system"),
        "weights",
    },
    "convert": {"data", "models", "system", "training", "weights"},
    "score": {"data", "metrics", "search", "system"},
    "quantise": {"search", "system"},
    "command_line": {"config", "jobs", "system", "training"},
    "forecast": {
        *("command_line", "config", "data", "features", "jobs", "models", "search", "system"),
        "training",
    },
    "api": {"data", "features", "metrics", "models", "rerank", "search", "system", "weights"},
    "export": {"api", "features", "models", "system", "weights"},
    "report": {"data", "features", "jobs", "metrics", "search", "system", "training"},
    "index": {
        *("convert", "data", "features", "models", "report", "rerank", "search", "system"),
        "weights",
    },
    "serve": {
        *("api", "data", "features", "index", "report", "rerank", "search", "system"),
        "weights",
    },
    "doors": {"index", "jobs", "rerank", "search", "system"},
    "study": {
        *("command_line", "config", "data", "forecast", "metrics", "report", "rerank", "system"),
        *("training", "weights"),
    },
    "figure": {
        *("api", "data", "features", "jobs", "metrics", "rerank", "report", "score", "search"),
        *("system", "training", "weights"),
    },
    "main": {"command_line", "config", "jobs", "report", "system", "training"},
}
# In rooms of pure functions, the modules that are about files for all that.
OPENS_FILES = {
    "senet_jax.metrics.saved",
    "senet_jax.rerank.geometric",
    "senet_jax.rerank.journal",
    "senet_jax.rerank.pair_scores",
    "senet_jax.search.descriptor_files",
}
# Commands in the rooms that they are named after, which read flags for work of other rooms.
DOORS = {
    "senet_jax.duplicates",
    "senet_jax.rerank.__main__",
    "senet_jax.rerank.tune",
    "senet_jax.search.__main__",
}


def _module_name(path):
    parts = path.relative_to(REPOSITORY).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _imports(path):
    """Every module that a file imports, in functions as well; a submodule by its own name."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: a relative import"
            for alias in node.names:
                submodule = f"{node.module}.{alias.name}"
                found.add(submodule if submodule in MODULES else node.module)
    return found


MODULES = {_module_name(path): path for path in sorted(PACKAGE.rglob("*.py"))}
IMPORTS = {name: _imports(path) for name, path in MODULES.items()}


def _within(*packages):
    """The modules of packages (or the single modules) that there are."""
    return [
        name
        for name in MODULES
        if any(name == p or name.startswith(f"{p}.") for p in (f"senet_jax.{p}" for p in packages))
    ]


def _own(name):
    """`senet_jax.models.layers` -> `models`; the package itself -> its own empty name."""
    if name in DOORS:
        return "doors"
    return name.split(".")[1] if "." in name else ""


def _own_imports(name):
    return {_own(i) for i in IMPORTS[name] if i.split(".")[0] == "senet_jax"}


def test_the_walk_sees_the_modules():
    assert {"senet_jax.main", "senet_jax.models.senet", "senet_jax.convert.twin"} <= set(MODULES)
    assert "torch" in IMPORTS["senet_jax.convert.twin"]
    assert "torch" in IMPORTS["senet_jax.convert.checkpoint"]  # In a function.
    assert "senet_jax.data.transforms" in IMPORTS["senet_jax.data.revisitop"]


@pytest.mark.parametrize(
    "name",
    [
        name
        for name in _within("models", "losses", "search", "metrics", "rerank")
        if name not in OPENS_FILES | DOORS
    ],
)
def test_arrays_know_nothing_of_the_world(name):
    assert not {i.split(".")[0] for i in IMPORTS[name]} & OUTSIDE_WORLD


@pytest.mark.parametrize("name", [name for name in MODULES if _own(name) != "convert"])
def test_pytorch_is_for_conversion_only(name):
    assert not {i.split(".")[0] for i in IMPORTS[name]} & {"torch", "torchvision", "timm"}


@pytest.mark.parametrize("name", MODULES)
def test_one_module_names_pmap(name):
    tree = ast.parse(MODULES[name].read_text())
    names = {getattr(node, "attr", getattr(node, "id", None)) for node in ast.walk(tree)}
    names |= {i.rpartition(".")[2] for i in IMPORTS[name]}
    assert "pmap" not in names or name == "senet_jax.training.parallel"


@pytest.mark.parametrize("name", MODULES)
def test_rooms_import_downward_only(name):
    assert _own_imports(name) - {_own(name), ""} <= BELOW[_own(name)]


def test_every_room_has_its_place():
    assert {_own(name) for name in MODULES} == set(BELOW)


def test_packages_make_no_circle():
    below = {}
    for name in MODULES:
        below.setdefault(_own(name), set()).update(_own_imports(name) - {_own(name), ""})
    done = set()
    while remaining := below.keys() - done:
        free = {package for package in remaining if below[package] <= done}
        assert free, f"a circle among {sorted(remaining)}"
        done |= free


@pytest.mark.parametrize(
    "path",
    [
        path
        for folder in ("senet_jax", "configs", "tests", "benchmarks")
        for path in sorted((REPOSITORY / folder).rglob("*.py"))
    ],
    ids=lambda path: str(path.relative_to(REPOSITORY)),
)
def test_files_are_short(path):
    assert len(path.read_text().splitlines()) <= 400


def test_every_package_has_its_mirror():
    for name, path in MODULES.items():
        if path.name == "__init__.py" and name != "senet_jax":
            assert (REPOSITORY / "tests" / path.parent.relative_to(PACKAGE)).is_dir(), name
