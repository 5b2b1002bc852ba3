"""How much memory there is."""

import os
import pathlib

# What a container may take, as Linux tells it.
_LIMIT = pathlib.Path("/sys/fs/cgroup/memory.max")


def host_memory_bytes() -> int:
    """What the machine, or the container, has; not what is free at the moment."""
    size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    text = _LIMIT.read_text().strip() if _LIMIT.exists() else "max"
    return size if text == "max" else min(size, int(text))
