"""What describing images takes of the memory, and what there is."""

import dataclasses

import jax

from senet_jax.memory import host_memory_bytes
from senet_jax.retrieval.buckets import ACCELERATOR_ECONOMY, CPU_ECONOMY, Economy, Plan

# XLA's own figure for the temporaries of R50's and R101's programs on a CPU is 200 bytes a pixel
# with the flag of `runtime` and up to 270 without, at every shape of a photograph, and some
# megabytes of Winograd's kernels. Those of smaller networks need less.
CPU_BYTES_PER_PIXEL = 300
KERNEL_BYTES = 20 * 2**20
# On an H200 it is 272 for R50. TPUs pad their layouts, and were not tried.
ACCELERATOR_BYTES_PER_PIXEL = 500
# While one batch waits for a core, or for its pixels to reach an accelerator, another goes on.
BATCHES_AT_ONCE = 2


def economy() -> Economy:
    """What pays on a device of this process; batches take half of its memory at most."""
    if jax.default_backend() == "cpu":
        return CPU_ECONOMY
    most = memory_bytes() // (2 * ACCELERATOR_BYTES_PER_PIXEL)
    pixels = min(ACCELERATOR_ECONOMY.batch_pixels, most)
    return dataclasses.replace(ACCELERATOR_ECONOMY, batch_pixels=pixels)


def needed_bytes(plan: Plan, lanes: int, at_once: int = BATCHES_AT_ONCE) -> int:
    """What the largest programs of a plan take; of the host's memory, where devices share it.

    Args:
        plan: with which images are described.
        lanes: how many devices there are.
        at_once: how many batches are under way on each; an accelerator computes one at a time.
    """
    pixels = sorted((batch.pixels for batch in plan.batches), reverse=True)
    if jax.default_backend() == "cpu":
        return lanes * sum(CPU_BYTES_PER_PIXEL * count + KERNEL_BYTES for count in pixels[:at_once])
    return ACCELERATOR_BYTES_PER_PIXEL * max(pixels, default=0)


def memory_bytes() -> int:
    """The memory of a device of this process: the host's if it is the CPU.

    Of the host it is what the machine, or the container, has; not what is free at the moment.
    """
    statistics = jax.local_devices()[0].memory_stats()
    if statistics and "bytes_limit" in statistics:
        return statistics["bytes_limit"]
    return host_memory_bytes()
