"""DELG's files, written by hand as the protocol buffers of its public code define them."""

import struct

import numpy as np


def varint(value):
    return bytes([value]) if value < 128 else bytes([value & 127 | 128]) + varint(value >> 7)


def message(field, content):
    return varint(field << 3 | 2) + varint(len(content)) + content


def single(field, number):
    return varint(field << 3 | 5) + struct.pack("<f", number)


def delg_global(numbers, packed=True, sides=None):
    """A `.delg_global` file, which is a `DatumProto`."""
    values = b"".join(single(1, number) for number in numbers)
    if packed:
        values = message(1, np.asarray(numbers, "<f4").tobytes())
    dims = b"".join(varint(side) for side in sides or [len(numbers)])
    return message(1, message(1, dims)) + message(2, values)


def delg_local(points, descriptors, scales, scores, packed=True):
    """A `.delg_local` file, which is a `DelfFeatures`."""
    content = b""
    for (x, y), row, scale, score in zip(points, descriptors, scales, scores, strict=True):
        parts = single(2, x) + single(3, y) + single(4, scale) + single(5, 0) + single(6, score)
        content += message(1, message(1, delg_global(row, packed)) + parts)
    return content
