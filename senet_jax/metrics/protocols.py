"""The benchmark's three protocols: which items a query should find and which are left out.

Source: Radenović et al., "Revisiting Oxford and Paris" (CVPR 2018), section 3.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Protocol:
    """How a protocol reads the kinds of a `GroundTruth` (its attributes `easy`, `hard`, `junk`).

    Attributes:
        name: the name it has in reports.
        positive: the kinds of the items that should be found.
        junk: the kinds of the items that leave the ranking before it is scored.
    """

    name: str
    positive: tuple[str, ...]
    junk: tuple[str, ...]


PROTOCOLS = (
    Protocol("easy", positive=("easy",), junk=("junk", "hard")),
    Protocol("medium", positive=("easy", "hard"), junk=("junk",)),
    Protocol("hard", positive=("hard",), junk=("junk", "easy")),
)
