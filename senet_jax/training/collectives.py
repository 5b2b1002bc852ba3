"""What the devices tell each other in a compiled program, read off its text.

The text is XLA's HLO after partitioning: one device's part, with the shapes of that part.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

_ITEM_BYTES = {
    **dict.fromkeys(("pred", "s8", "u8"), 1),
    **dict.fromkeys(("bf16", "f16", "s16", "u16"), 2),
    **dict.fromkeys(("f32", "s32", "u32"), 4),
    **dict.fromkeys(("f64", "s64", "u64", "c64"), 8),
}
_COLLECTIVE = re.compile(
    r" = (?P<result>.*?) "
    r"(?P<kind>all-reduce|all-gather|reduce-scatter|all-to-all|collective-permute)(?P<start>-start)?"
    r"\("
)
_ARRAY = re.compile(r"(\w+)\[([\d,]*)\]")


class Collective(NamedTuple):
    """One collective of a program.

    Attributes:
        kind: its name in the text, such as `all-reduce`.
        sent_bytes: what one device sends in it.
    """

    kind: str
    sent_bytes: int


def collectives(hlo: str, devices: int) -> list[Collective]:
    """The collectives of a program, in the order of the text; one within a loop is there once.

    What is sent is what the usual ring algorithms send, not a measurement; with one device it is
    nothing.

    Args:
        hlo: of a program compiled for CPU, as `compiled.as_text()` gives it, or of what is to be
            compiled, `lowered.as_text("hlo")`, where no collectives are joined yet. Other backends
            may split a collective into a start and an end, which is not understood.
        devices: how many take part in each collective.

    Raises:
        ValueError: a collective is split, or of an unknown type.
    """
    of_result = {
        "all-reduce": 2 * (devices - 1) / devices,
        "all-gather": (devices - 1) / devices,
        "reduce-scatter": devices - 1,
        "all-to-all": (devices - 1) / devices,
        "collective-permute": 1,
    }
    found = []
    for line in hlo.splitlines():
        if collective := _COLLECTIVE.search(line):
            if collective["start"]:
                raise ValueError(f"a collective in two parts: {line}")
            kind = collective["kind"]
            found.append(Collective(kind, round(of_result[kind] * _bytes(collective["result"]))))
    return found


def sent_bytes(found: Iterable[Collective]) -> dict[str, int]:
    """What one device sends in collectives, in bytes, for each kind of them."""
    sent: Counter[str] = Counter()
    for kind, count in found:
        sent[kind] += count
    return dict(sent)


def _bytes(shapes: str) -> int:
    """`(f32[2,3]{1,0}, pred[])` -> 25."""
    total = 0
    for kind, sides in _ARRAY.findall(shapes):
        if kind not in _ITEM_BYTES:
            raise ValueError(f"the type {kind} of {shapes}")
        total += _ITEM_BYTES[kind] * math.prod(int(side) for side in sides.split(",") if side)
    return total
