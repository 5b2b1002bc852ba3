"""The names and layouts that variables have in checkpoints of PyTorch, read in both directions."""

import dataclasses
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np

from senet_jax.models.preprocessing import Preprocessing


@dataclasses.dataclass(frozen=True)
class Layout:
    """How an array's axes are ordered in PyTorch (`to_torch`) and here (`from_torch`)."""

    to_torch: Callable[[np.ndarray], np.ndarray]
    from_torch: Callable[[np.ndarray], np.ndarray]


SAME = Layout(lambda a: a, lambda a: a)
LINEAR = Layout(lambda a: a.T, lambda a: a.T)  # [in out] <-> [out in]
CONV = Layout(lambda a: a.transpose(3, 2, 0, 1), lambda a: a.transpose(2, 3, 1, 0))


def layout_of_rank(path: str, rank: int) -> Layout:
    """The layout of vectors, of linear layers and of 2-D convolutions."""
    return {2: LINEAR, 4: CONV}.get(rank, SAME)


@dataclasses.dataclass(frozen=True)
class Place:
    """How a network is found in a larger state, where a prefix may stand before its names.

    The patterns are regular expressions of how names begin, without the prefix.

    Attributes:
        blocks: of the names of its repeated blocks.
        prefix: what stands before its blocks, and all names -> what stands before the network's
            names; None if these are of another naming.
        beside: of its modules that may stand beside the prefix (`fc` beside `backbone.layer1`).
        head: of the modules without which it is a trunk alone.
        trunk: of the modules of a trunk; others are left out where there is no head.
    """

    blocks: str
    prefix: Callable[[str, Collection[str]], str | None]
    beside: str = r"(?!)"
    head: str = r""
    trunk: str = r""


def place_of_blocks(blocks: str, **patterns: str) -> Place:
    """Of a network that is wherever its blocks are.

    Args:
        blocks: see `Place`.
        **patterns: `beside`, `head` and `trunk` of `Place`.
    """

    def prefix(before_blocks: str, names: Collection[str]) -> str | None:
        pattern = re.compile(re.escape(before_blocks) + blocks)
        return before_blocks if any(map(pattern.match, names)) else None

    return Place(blocks, prefix, **patterns)


@dataclasses.dataclass(frozen=True, eq=False)
class Beside:
    """What a checkpoint keeps of a network outside of its state.

    Attributes:
        state: more of the state, key -> array.
        preprocessing: of the images, None where it does not say it.
    """

    state: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    preprocessing: Preprocessing | None = None


@dataclasses.dataclass(frozen=True)
class Naming:
    """How one kind of checkpoint names the variables of a family's networks.

    Attributes:
        name: of the naming; families may share it.
        key: path of a variable here (`params/fc/kernel`) -> its key there; None where such
            checkpoints have no such variable.
        is_of: whether the keys of a checkpoint are of this kind.
        layout: path and rank of a variable -> how its axes are ordered.
        place: how such a network is found in a larger state; None where it has to be the whole.
        note: what a user has to know of the conversion.
        training_set: on which the family's checkpoints of these names were trained by their
            authors; empty where they are of several.
        licence: under which these authors give them; empty where they are of several.
        beside: what stands beside the state in a file -> what it says of the network. Raises a
            `UserError` that goes on after a path.
    """

    name: str
    key: Callable[[str], str | None]
    is_of: Callable[[Collection[str]], bool]
    layout: Callable[[str, int], Layout] = layout_of_rank
    place: Place | None = None
    note: str = ""
    training_set: str = ""
    licence: str = ""
    beside: Callable[[Mapping[str, Any]], Beside] = lambda value: Beside()


@dataclasses.dataclass(frozen=True)
class Row:
    """A variable in a checkpoint.

    Attributes:
        path: of the variable here.
        key: in the checkpoint.
        shape: in the checkpoint.
        layout: between the two.
    """

    path: str
    key: str
    shape: tuple[int, ...]
    layout: Layout


def rows(naming: Naming, shapes: Mapping[str, tuple[int, ...]]) -> list[Row]:
    """The table of all variables that a naming has keys for.

    Args:
        naming: of the checkpoint.
        shapes: path of each variable -> its shape here.
    """
    found = []
    for path, shape in shapes.items():
        if (key := naming.key(path)) is not None:
            layout = naming.layout(path, len(shape))
            torch_shape = layout.to_torch(np.broadcast_to(np.zeros(()), shape)).shape
            found.append(Row(path, key, torch_shape, layout))
    return found


_LEAVES = {
    "kernel": "weight",
    "scale": "weight",
    "mean": "running_mean",
    "var": "running_var",
}
_MEAN = ".running_mean"

Renaming = tuple[str, str | Callable[[re.Match[str]], str]]
"""A regular expression on a module's whole path (or name), and what it is replaced by."""


def renamed(module: str, renamings: Sequence[Renaming]) -> str | None:
    """The name of a module by the first renaming that fits; None if none does."""
    for pattern, replacement in renamings:
        if match := re.fullmatch(pattern, module):
            return match.expand(replacement) if isinstance(replacement, str) else replacement(match)
    return None


def key_by_module(renamings: Sequence[Renaming], prefix: str = "") -> Callable[[str], str | None]:
    """A `Naming.key` for checkpoints whose leaves have PyTorch's usual names.

    Args:
        renamings: from the path of a module here, `a/b`, to its name there; a `/` in it becomes
            a `.`.
        prefix: stands before each name.
    """

    def key(path: str) -> str | None:
        _, *modules, leaf = path.split("/")
        module = renamed("/".join(modules), renamings)
        if module is None:
            return None
        return f"{prefix}{module.replace('/', '.')}.{_LEAVES.get(leaf, leaf)}"

    return key


def counter_beside(key: str) -> str | None:
    """The key of the counter of batches that PyTorch keeps beside each running mean."""
    if not key.endswith(_MEAN):
        return None
    return f"{key.removesuffix(_MEAN)}.num_batches_tracked"
