"""A database of any size, read in blocks of one shape, so that one program serves them all."""

import dataclasses
from collections.abc import Collection

import numpy as np

from senet_jax.search.storage import dequantise, descriptor_width, type_and_shape
from senet_jax.system.errors import UserError, shown

MOST_NUMBERS = 2**16
"""Of a descriptor: a block of longer ones would take gigabytes."""
_ALIGNMENT = 16
"""In numbers: 64 bytes."""


def check_descriptors(descriptors: np.ndarray, name: str) -> int:
    """Checks that an array can hold descriptors `[n d]`, without reading its values.

    Returns:
        Their length d.

    Raises:
        UserError: it is neither a matrix of float16, float32, float64 or integers nor quantised,
            or its descriptors have no numbers, or too many.
    """
    width = descriptor_width(descriptors)
    if width == 0:
        raise UserError(
            f"{name} has the shape {descriptors.shape}: descriptors without a number are all "
            "alike; extract them again"
        )
    if width is not None and width > MOST_NUMBERS:
        raise UserError(
            f"{name} has the shape {shown(descriptors.shape)}; descriptors have up to "
            f"{MOST_NUMBERS:,} numbers, so transpose it if a column is a descriptor"
        )
    if width is None:
        raise UserError(
            f"{name} is {type_and_shape(descriptors)}; descriptors are float16, float32, float64 "
            "or integers, one row for each image, or quantised"
        )
    return width


def as_float32(descriptors: np.ndarray) -> np.ndarray:
    """The descriptors float32[n d], of whatever type they are; float32 is not copied."""
    if descriptors.dtype == np.float32:
        return descriptors
    width = check_descriptors(descriptors, array_name(descriptors, "the array"))
    numbers = np.empty((len(descriptors), width), np.float32)
    dequantise(descriptors, numbers)
    return numbers


@dataclasses.dataclass(frozen=True, eq=False)
class BlockedDatabase:
    """Descriptors in several arrays, numbered through: a database, then its distractors.

    Blocks run across the borders of the arrays, so that the parts do not affect results. Arrays may
    be memory-mapped; only the block that is asked for is read.

    Attributes:
        parts: number[n_i d] each, or quantised.
        unranked: items that rank after everything else (images that could not be read).
        block_rows: how many rows a block has, the last one as well.
        share: (index of this process, count of processes), where several rank the database
            together: each takes every count-th block, and their results are gathered. All of them
            have to make the same calls.

    Raises:
        UserError: a part is no matrix of numbers, or the widths differ.
    """

    parts: tuple[np.ndarray, ...]
    unranked: Collection[int] = ()
    block_rows: int = 8192
    share: tuple[int, int] = (0, 1)

    def __post_init__(self):
        for index, part in enumerate(self.parts):
            width = check_descriptors(part, self._part_name(index))
            if width != self.width:
                raise UserError(
                    f"{self._part_name(index)} has {width} columns, {self._part_name(0)} "
                    f"has {self.width}; descriptors of one model have one width"
                )

    @property
    def width(self) -> int:
        """The length of a descriptor."""
        return check_descriptors(self.parts[0], self._part_name(0))

    @property
    def size(self) -> int:
        """How many items there are in all parts."""
        return sum(map(len, self.parts))

    @property
    def starts(self) -> range:
        """The first item of every block of this process's share."""
        index, count = self.share
        return range(index * self.block_rows, self.size, count * self.block_rows)

    @property
    def share_size(self) -> int:
        """How many items this process's blocks hold."""
        return sum(min(self.block_rows, self.size - start) for start in self.starts)

    def read(self, start: int) -> np.ndarray:
        """The block that begins with the item `start`: float32[b d], zeros beyond the last item."""
        pieces: list[tuple[int, np.ndarray]] = []
        first = 0
        for part in self.parts:
            rows = part[max(start - first, 0) : max(start + self.block_rows - first, 0)]
            if len(rows) == self.block_rows and rows.dtype == np.float32:
                return np.asarray(rows)
            if len(rows):
                pieces.append((max(first - start, 0), rows))
            first += len(part)
        block = _aligned_zeros(self.block_rows, self.width)
        for at, rows in pieces:
            dequantise(rows, block[at : at + len(rows)])
        return block

    def read_into(self, rows: np.ndarray, items: np.ndarray) -> None:
        """Reads the descriptors of single items int[b] into rows float32[b d], without a look.

        Rows of items that there are none of, such as -1, stay as they are.
        """
        first = 0
        for part in self.parts:
            here = np.flatnonzero((items >= first) & (items < first + len(part)))
            are_together = here.size > 0 and here[-1] - here[0] == here.size - 1
            if are_together and part.dtype == np.float32:
                some = slice(here[0], here[-1] + 1)
                # Where an index could be too large, NumPy would copy everything twice.
                np.take(part, items[some] - first, axis=0, out=rows[some], mode="clip")
            else:
                rows[here] = as_float32(part[items[here] - first])
            first += len(part)

    def is_ranked(self, start: int) -> np.ndarray:
        """Which rows of a block are items with a rank of their own, by their score: bool[b]."""
        items = np.arange(start, start + self.block_rows)
        return (items < self.size) & ~np.isin(items, list(self.unranked))

    def check_finite(self, start: int, block: np.ndarray) -> None:
        """Checks a block that was read: the rows that are ranked hold finite numbers.

        Raises:
            UserError: one does not.
        """
        wrong_rows = np.flatnonzero(self.is_ranked(start) & ~np.isfinite(block).all(axis=1))
        if wrong_rows.size:
            raise UserError(
                f"{self.name(start + wrong_rows[0])} is not finite in float32; "
                "mend the descriptor or leave it out"
            )

    def check_queries(self, queries: np.ndarray, name: str = "the array of queries") -> None:
        """Checks that queries float32[q d] can be asked of this database.

        Args:
            queries: what is checked.
            name: of their array.

        Raises:
            UserError: they have another width, or are not finite.
        """
        if queries.shape[1] != self.width:
            raise UserError(
                f"{name} has {queries.shape[1]} columns, the database {self.width}; queries and "
                "database are described by one model"
            )
        wrong_rows = np.flatnonzero(~np.isfinite(queries).all(axis=1))
        if wrong_rows.size:
            raise UserError(
                f"row {wrong_rows[0]} of {name} is not finite in float32; mend the descriptor"
            )

    def name(self, item: int) -> str:
        """An item as errors name it: its row in the file or part that holds it."""
        ends = np.cumsum([len(part) for part in self.parts])
        index = int(np.searchsorted(ends, item, side="right"))
        return f"row {item - ends[index] + len(self.parts[index])} of {self._part_name(index)}"

    def _part_name(self, index: int) -> str:
        return array_name(self.parts[index], f"part {index} of the database")


def read_items(database: BlockedDatabase, items: np.ndarray) -> np.ndarray:
    """The descriptors of single items.

    Args:
        database: whose items they are.
        items: int[...], -1 for a row of zeros.

    Returns:
        float32[... d].

    Raises:
        UserError: a descriptor is not finite.
    """
    descriptors = np.zeros((*items.shape, database.width), np.float32)
    database.read_into(descriptors.reshape(-1, database.width), items.ravel())
    are_finite = np.isfinite(descriptors).all(axis=-1)
    if not are_finite.all():
        raise UserError(
            f"{database.name(items[~are_finite][0])} is not finite in float32; "
            "mend the descriptor or leave it out"
        )
    return descriptors


def _aligned_zeros(rows: int, width: int) -> np.ndarray:
    """Zeros float32[rows width] that JAX can use on a CPU without a copy of its own."""
    numbers = np.zeros(rows * width + _ALIGNMENT, np.float32)
    first = -numbers.ctypes.data // numbers.itemsize % _ALIGNMENT
    return numbers[first : first + rows * width].reshape(rows, width)


def array_name(array: np.ndarray, otherwise: str) -> str:
    """The file of a memory-mapped array, `otherwise` for one that is in memory."""
    return str(getattr(array, "filename", None) or otherwise)
