"""How much memory of its own a process has: what is neither a mapped file nor shared."""

import pathlib

_STATUS = pathlib.Path("/proc/self/status")


def anonymous_bytes() -> int | None:
    """The anonymous memory of this process, None where the kernel does not tell it."""
    if not _STATUS.exists():
        return None
    lines = _STATUS.read_text().splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("RssAnon"))
