"""Colours: BGR triples of integers, the order in which OpenCV draws."""

from collections.abc import Sequence

Colour = tuple[int, int, int]

WHITE: Colour = (255, 255, 255)


def bgr(code: str) -> Colour:
    """`"#rrggbb"` as a BGR triple."""
    red, green, blue = (int(code[i : i + 2], 16) for i in (1, 3, 5))
    return blue, green, red


def shaded(colour: Colour, factor: float) -> Colour:
    """The colour made darker (`factor` < 1) or lighter (> 1)."""
    blue, green, red = (min(255, round(channel * factor)) for channel in colour)
    return blue, green, red


def mixed(colour: Sequence[float], other: Colour, share: float) -> Colour:
    """`share` = 0 is the first colour, 1 the other."""
    blue, green, red = (round(a + (b - a) * share) for a, b in zip(colour, other, strict=True))
    return blue, green, red


# Walls are of middle or high lightness, so that glass and accents stand off.
WALLS = tuple(
    bgr(code)
    for code in (
        "#e9d9b6",
        "#d9b98a",
        "#d99e78",
        "#c47e62",
        "#eadfd0",
        "#e6c46f",
        "#dfa9a0",
        "#b9c4a8",
        "#b5c3cf",
        "#d8cfc4",
        "#cfa45f",
        "#c9d6d0",
    )
)
TRIMS = tuple(bgr(code) for code in ("#fbf7ea", "#f4ead2", "#8a6a50", "#7d7f86", "#fdfdfb"))
ROOFS = tuple(
    bgr(code)
    for code in ("#a9533c", "#8c4638", "#566270", "#6c7f8f", "#5f9c84", "#7a5d4b", "#4b5566")
)
ACCENTS = tuple(
    bgr(code)
    for code in (
        "#1f6f78",
        "#a62639",
        "#24406e",
        "#c98a1b",
        "#3d6b35",
        "#6d3b6e",
        "#2f86c4",
        "#5a3a26",
        "#d2562d",
        "#158a6e",
    )
)
GLASS = tuple(bgr(code) for code in ("#2e4358", "#33505a", "#3a3f52", "#28485f"))
