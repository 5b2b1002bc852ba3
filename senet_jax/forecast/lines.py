"""What a forecast is made of."""

Line = tuple[str, str]
"""What is told, and its figures; what begins with blanks is a part of the line before it."""


def in_bytes(count: int) -> str:
    """`1500000` -> `1,500,000 bytes (1.4 MiB)`."""
    for unit, power in (("GiB", 3), ("MiB", 2), ("KiB", 1)):
        if count >= 1024**power:
            return f"{count:,} bytes ({count / 1024**power:.1f} {unit})"
    return f"{count:,} bytes"
