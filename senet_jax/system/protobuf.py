"""Protocol buffers without their library: the fields of a message, and DELG's `DatumProto`.

A `DatumProto` holds an array: `shape` (field 1), whose `dim` (field 1) are its sides, and
`float_list` (field 2), whose `value` (field 1) are its numbers.
"""

import math
from collections.abc import Iterator

import numpy as np

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_SHAPE, _NUMBERS = 1, 2
_MOST_SIDES = 32


def fields(content: memoryview) -> Iterator[tuple[int, memoryview | int]]:
    """The fields of a message: number, and an integer or bytes.

    Raises:
        ValueError: it is none, or is cut short.
    """
    place = 0
    while place < len(content):
        key, place = _varint(content, place)
        field, kind = key >> 3, key & 7
        if kind == _VARINT:
            value, place = _varint(content, place)
            yield field, value
            continue
        if kind == _BYTES:
            length, place = _varint(content, place)
        elif kind in (_FIXED32, _FIXED64):
            length = 4 if kind == _FIXED32 else 8
        else:
            raise ValueError("it is no protocol buffer")
        if length > len(content) - place:
            raise ValueError("it ends within a field")
        yield field, content[place : place + length]
        place += length


def as_bytes(value: memoryview | int) -> memoryview:
    """The content of a field that has to be one of bytes.

    Raises:
        ValueError: it is a number.
    """
    if isinstance(value, int):
        raise ValueError("a field is of another type")
    return value


def floats(value: memoryview | int) -> np.ndarray:
    """Packed or single floats of 32 bits: float32[n].

    Raises:
        ValueError: it is a number, or is cut short.
    """
    content = as_bytes(value)
    if len(content) % 4:
        raise ValueError("a list of numbers ends within one")
    return np.frombuffer(content, "<f4").astype(np.float32)


def datum(content: memoryview) -> np.ndarray:
    """The numbers of a `DatumProto`, float32[n], whatever its shape.

    Raises:
        ValueError: it is none, is cut short, or has another number of numbers than its shape.
    """
    numbers, sides = [np.zeros(0, np.float32)], []
    for field, value in fields(content):
        if field == _NUMBERS:
            numbers += [floats(part) for inner, part in fields(as_bytes(value)) if inner == 1]
        elif field == _SHAPE:
            for inner, part in fields(as_bytes(value)):
                if inner == 1:
                    sides += [part] if isinstance(part, int) else _varints(part)
    found = np.concatenate(numbers)
    if sides and (len(sides) > _MOST_SIDES or math.prod(sides) != len(found)):
        raise ValueError(f"it has {len(found)} numbers, and the shape {sides[:4]}")
    return found


def _varints(content: memoryview) -> list[int]:
    place, found = 0, []
    while place < len(content):
        value, place = _varint(content, place)
        found.append(value)
    return found


def _varint(content: memoryview, place: int) -> tuple[int, int]:
    value = 0
    for shift in range(0, 70, 7):
        if place >= len(content):
            raise ValueError("it ends within a number")
        value |= (content[place] & 127) << shift
        place += 1
        if content[place - 1] < 128:
            return value, place
    raise ValueError("it is no protocol buffer")
