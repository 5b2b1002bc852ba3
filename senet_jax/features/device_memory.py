"""What describing images takes of the memory, and what there is."""

import dataclasses

import jax

from senet_jax.features.plan import ACCELERATOR_COSTS, CPU_COSTS, DeviceCosts, Plan
from senet_jax.system.host_memory import (
    CPU_BYTES_PER_PIXEL,
    KERNEL_BYTES,
    host_memory_bytes,
    most_cpu_pixels,
)

# On an H200 it is 272 for R50. TPUs pad their layouts, and were not tried.
ACCELERATOR_BYTES_PER_PIXEL = 500
# While one batch waits for a core, or for its pixels to reach an accelerator, another goes on.
BATCHES_IN_FLIGHT = 2
# Of the host's memory images that are read ahead take such a part at most: with the sizes that they
# have, three bytes a pixel each, about twice what the largest takes.
READ_AHEAD_PART, BYTES_READ_PER_PIXEL = 8, 6


def device_costs() -> DeviceCosts:
    """What pays on a device of this process; batches take half of its memory at most."""
    if jax.default_backend() == "cpu":
        return CPU_COSTS
    most = memory_bytes() // (2 * ACCELERATOR_BYTES_PER_PIXEL)
    pixels = min(ACCELERATOR_COSTS.batch_pixels, most)
    return dataclasses.replace(ACCELERATOR_COSTS, batch_pixels=pixels)


def most_pixels(devices: int) -> int:
    """The most pixels of a program that the memory suffices for.

    Args:
        devices: how many devices run it at once; they share the host's memory if they are its CPU.
    """
    if jax.default_backend() == "cpu":
        return most_cpu_pixels(devices)
    return memory_bytes() // ACCELERATOR_BYTES_PER_PIXEL


def needed_bytes(plan: Plan, devices: int, batches_in_flight: int = BATCHES_IN_FLIGHT) -> int:
    """What the largest programs of a plan take; of the host's memory, where devices share it.

    Args:
        plan: with which images are described.
        devices: how many devices there are.
        batches_in_flight: how many there are on each; an accelerator computes one at a time.
    """
    pixels = sorted((batch.pixels for batch in plan.batches), reverse=True)
    if jax.default_backend() == "cpu":
        return devices * sum(
            CPU_BYTES_PER_PIXEL * count + KERNEL_BYTES for count in pixels[:batches_in_flight]
        )
    return ACCELERATOR_BYTES_PER_PIXEL * max(pixels, default=0)


def memory_bytes() -> int:
    """The memory of a device of this process: the host's if it is the CPU."""
    statistics = jax.local_devices()[0].memory_stats()
    if statistics and "bytes_limit" in statistics:
        return statistics["bytes_limit"]
    return host_memory_bytes()
