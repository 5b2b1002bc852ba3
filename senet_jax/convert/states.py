"""Where in a checkpoint a network's state is, told by its names alone.

Those who save checkpoints wrap the state (`{"state_dict": ..., "optimizer": ...}`), put a prefix
before all of its names (`module.`, `_orig_mod.`, `backbone.`), and keep other things beside it: an
average of the network, a momentum encoder, a queue, a head for another task. What the names of a
network are say the families of models.
"""

import collections
import dataclasses
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from senet_jax.models.checkpoint_keys import Place
from senet_jax.models.registry import families

DEPTH = 4
"""How many mappings within each other are looked into."""

_PLAIN = ("model_state", "state_dict", "model", "module")
_FOLLOWER = re.compile(r".*(_k|momentum.*|target.*)", re.DOTALL)


@dataclasses.dataclass(frozen=True)
class Part:
    """The names of one network among those of a state.

    Attributes:
        prefix: what was taken off its names.
        names: the name without the prefix -> the name in the state.
        others: prefixes under which other networks stand.
        left_out: the names that do not belong to it.
    """

    prefix: str
    names: Mapping[str, str]
    others: tuple[str, ...]
    left_out: tuple[str, ...]


def find_states(
    value: Any, is_tensor: Callable[[Any], bool]
) -> list[tuple[tuple[str, ...], Mapping[Any, Any]]]:
    """The mappings in a checkpoint that hold tensors, with the keys that lead there.

    Where there are residual blocks, others than theirs do not count. The first is the one to take:
    the network as it was trained before an average of it, and what has a name of its own before
    what has not.
    """
    found = list(_states(value, is_tensor, (), set()))
    networks = [entry for entry in found if _roots(_texts(entry[1]))]
    return sorted(networks or found, key=lambda entry: tuple(map(_rank, entry[0])))


def _states(
    value: Any, is_tensor: Callable[[Any], bool], path: tuple[str, ...], seen: set[int]
) -> Iterator[tuple[tuple[str, ...], Mapping[Any, Any]]]:
    if not isinstance(value, Mapping) or id(value) in seen or len(path) > DEPTH:
        return
    seen.add(id(value))
    if any(isinstance(key, str) and is_tensor(entry) for key, entry in value.items()):
        yield path, value
    for key, entry in value.items():
        yield from _states(entry, is_tensor, (*path, str(key)), seen)


def _texts(keys: Collection[Any]) -> list[str]:
    return [key for key in keys if isinstance(key, str)]


def _rank(word: str) -> int:
    """The place of a key, or of a part of a prefix, among others: the lowest is taken."""
    if word in _PLAIN:
        return _PLAIN.index(word)
    kinds = ("ema" in word.lower(), "teacher" in word.lower(), not _FOLLOWER.fullmatch(word), True)
    return len(_PLAIN) + kinds.index(True)


def _places() -> list[Place]:
    """How the networks of all families are found."""
    namings = (naming for family in families() for naming in family.namings)
    return [naming.place for naming in namings if naming.place is not None]


def _roots(names: Collection[str]) -> list[str]:
    """What stands before the blocks of each network, the one to take first."""
    blocks = "|".join(sorted({place.blocks for place in _places()}))
    pattern = re.compile(rf"((?:.*\.)?)(?:{blocks})", re.DOTALL)
    counts = collections.Counter(match[1] for name in names if (match := pattern.match(name)))
    whole = [root for root, count in counts.items() if 2 * count >= max(counts.values())]
    return sorted(whole, key=lambda root: tuple(map(_rank, root.split(".")[:-1])))


def network_part(names: Collection[str]) -> Part:
    """Finds a network among the names of a state and takes its prefix off.

    A module of the network that stands beside the prefix (`backbone.layer1...` and `fc...`) is
    taken as it is. The heads of other tasks are left out where there is no head of its own. Names
    in which no network is found come back as they are.
    """
    root, *others = _roots(names) or [""]
    found = [(place.prefix(root, names), place) for place in _places()]
    # Where a network is a part of another one, that has the shorter prefix.
    known = [(prefix, place) for prefix, place in found if prefix is not None]
    prefix, place = min(known, key=lambda entry: len(entry[0]), default=("", None))
    deeper = tuple(other for other in others if len(other) > len(prefix))
    taken = {
        name.removeprefix(prefix): name
        for name in names
        if name.startswith(prefix) and not name.startswith(deeper)
    }
    if place is not None and prefix:
        beside = (
            name
            for name in names
            if re.match(place.beside, name) and not name.startswith((prefix, *others))
        )
        taken = {name: name for name in beside} | taken
    is_bare = place is not None and _roots(taken) == [""]
    if is_bare and not any(re.match(place.head, name) for name in taken):
        taken = {new: name for new, name in taken.items() if re.match(place.trunk, new)}
    used = set(taken.values())
    return Part(prefix, taken, tuple(others), tuple(n for n in names if n not in used))
