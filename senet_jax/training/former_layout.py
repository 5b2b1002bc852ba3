"""The names that leaves of a state had in checkpoints before each loss had a state of its own.

Those checkpoints always hold the leaves of both losses of that time; of one that was left out,
without rows.
"""

import re
from collections.abc import Mapping
from typing import Any

_ALWAYS_THERE = "queue/position"
_NOW = (
    (re.compile(r"running/(classification|contrastive)"), r"losses/\1/running"),
    (re.compile(r"((?:queue|momentum_network)/.*)"), r"losses/contrastive/\1"),
)
_LEFT_OUT = {
    "params/classes": re.compile(r"params/classes|running/classification|optimizer/.*/classes"),
    "queue/labels": re.compile(r"queue/.*|running/contrastive"),
}
"""What tells by its rows whether a loss was there -> the loss's leaves."""


def names_now(leaves: Mapping[str, Mapping[str, Any]]) -> dict[str, str]:
    """The name of each leaf of a checkpoint in a state of today -> its name in the checkpoint.

    Args:
        leaves: of the checkpoint, by their names in it; each has a `shape`.
    """
    if _ALWAYS_THERE not in leaves:
        return {path: path for path in leaves}
    left_out = [own for path, own in _LEFT_OUT.items() if not leaves[path]["shape"][0]]
    return {
        _name_now(path): path for path in leaves if not any(own.fullmatch(path) for own in left_out)
    }


def _name_now(path: str) -> str:
    for pattern, now in _NOW:
        if match := pattern.fullmatch(path):
            return match.expand(now)
    return path
