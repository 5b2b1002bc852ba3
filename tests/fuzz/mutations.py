"""Changes of valid files, as hypothesis draws and shrinks them."""

from collections.abc import Sequence

from hypothesis import strategies as st

_INTERESTING = [
    value.to_bytes(size, order, signed=value < 0)
    for size in (1, 2, 4, 8)
    for order in ("little", "big")
    for value in (0, 1, -1, 2 ** (8 * size - 1) - 1, -(2 ** (8 * size - 1)), 2 ** (8 * size) - 2)
]


@st.composite
def mutated(draw: st.DrawFn, examples: Sequence[bytes], tokens: Sequence[bytes]) -> bytes:
    """A valid file with up to six changes.

    Args:
        draw: given by hypothesis.
        examples: valid files.
        tokens: bytes that mean something to the reader.
    """
    content = bytearray(draw(st.sampled_from(examples)))
    for _ in range(draw(st.integers(1, 6))):
        place = draw(st.integers(0, len(content)))
        length = draw(st.integers(0, min(64, len(content) - place)))
        match draw(st.sampled_from(_CHANGES)):
            case "flip" if place < len(content):
                content[place] ^= 1 << draw(st.integers(0, 7))
            case "overwrite":
                new = draw(st.sampled_from(_INTERESTING) | st.binary(max_size=16))
                content[place : place + len(new)] = new
            case "insert":
                content[place:place] = draw(st.sampled_from([*tokens, *_INTERESTING]))
            case "replace":
                content[place : place + length] = draw(st.sampled_from([*tokens, b""]))
            case "repeat":
                times = draw(st.sampled_from([1, 2, 100, 10_000]))
                content[place:place] = content[place : place + length] * times
            case "cut":
                del content[place:]
            case "splice":
                other = draw(st.sampled_from(examples))
                content[place:] = other[draw(st.integers(0, len(other))) :]
    return bytes(content)


_CHANGES = ("flip", "overwrite", "insert", "replace", "repeat", "cut", "splice")
