"""How much memory there is, and what describing a photograph takes of it on a CPU."""

import os
import pathlib

# XLA's own figure for the temporaries of R50's and R101's programs on a CPU is 200 bytes a pixel
# with the flag of `runtime` and up to 270 without, at every shape of a photograph, and some
# megabytes of Winograd's kernels. Those of smaller networks need less.
CPU_BYTES_PER_PIXEL = 300
KERNEL_BYTES = 20 * 2**20
# What a container may take, as Linux tells it.
_LIMIT = pathlib.Path("/sys/fs/cgroup/memory.max")


def host_memory_bytes() -> int:
    """What the machine, or the container, has; not what is free at the moment."""
    size = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    text = _LIMIT.read_text().strip() if _LIMIT.exists() else "max"
    return size if text == "max" else min(size, int(text))


def most_cpu_pixels(devices: int = 1) -> int:
    """The most pixels that a program may have where so many devices share the host's memory."""
    return max(0, (host_memory_bytes() // devices - KERNEL_BYTES) // CPU_BYTES_PER_PIXEL)
