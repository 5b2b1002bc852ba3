"""What a command sets before JAX does its first work."""

import ctypes
import functools
import importlib.metadata
import os
import pathlib
import platform
import sys

import jax

from senet_jax.system.files import user_cache_folder
from senet_jax.system.progress import COMPILING

# Convolutions as products of matrices, in XLA's own library for them. A flag that a version does
# not know ends the process, so it is set for those that it was tried with.
_CPU_FLAGS = "--xla_cpu_experimental_ynn_fusion_type=dot"
_TRIED_JAXLIB = ("0.10.2",)
_CPU_OPTIONS = {"xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_DOT"}
# glibc's M_ARENA_MAX, M_MMAP_MAX, M_TRIM_THRESHOLD and M_TOP_PAD: maps of tens of megabytes come
# and go with every layer, and are not to be given back and faulted in again each time.
_MALLOC = ((-8, 1), (-4, 0), (-1, 2**31 - 1), (-2, 64 * 2**20))
# NVIDIA's driver, TPUs of older and of newer machines, NVIDIA's driver under Windows.
_ACCELERATORS = ("nvidia[0-9]*", "accel[0-9]*", "vfio/[0-9]*", "dxg")
_MALLOC_VARIABLES = ("MALLOC_", "GLIBC_TUNABLES")


def use_compilation_cache() -> None:
    """Keeps compiled programs in the user's cache folder, so that a second run compiles nothing.

    `JAX_COMPILATION_CACHE_DIR` names another folder.
    """
    if not os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        jax.config.update("jax_compilation_cache_dir", str(user_cache_folder() / "xla"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    _watch_compiler()


@functools.cache
def _watch_compiler() -> None:
    """Tells `COMPILING` when JAX traces a program, compiles it, or reads it from the cache."""

    def on_event(event: str, **_: object) -> None:
        if event == "/jax/compilation_cache/compile_requests_use_cache":
            COMPILING.begin()

    def on_duration(event: str, duration_secs: float, **_: object) -> None:
        if event.startswith("/jax/core/compile/"):
            COMPILING.end(duration_secs)

    jax.monitoring.register_event_listener(on_event)
    jax.monitoring.register_event_duration_secs_listener(on_duration)


def unused_accelerator(devices: pathlib.Path = pathlib.Path("/dev")) -> str | None:
    """A warning if JAX computes on the CPU of a machine that has an accelerator, else None.

    There is none where the user chose the CPU by JAX_PLATFORMS.

    Args:
        devices: the folder of the system's device files.
    """
    chosen = (jax.config.values["jax_platforms"] or "").startswith("cpu")
    there = sorted(path for pattern in _ACCELERATORS for path in devices.glob(pattern))
    if chosen or not there or jax.default_backend() != "cpu":
        return None
    return (
        f"JAX COMPUTES ON THE CPU, although there is {there[0]}: the JAX that is installed does "
        f"not use it; pip install 'jax[cuda13]=={jax.__version__}' (or cuda12, tpu; see "
        "https://docs.jax.dev/en/latest/installation.html), or say JAX_PLATFORMS=cpu if that is "
        "meant"
    )


def cpu_compiler_options() -> dict[str, str]:
    """What `tune_for_inference` sets for all programs, for one: options of `jax.jit`.

    So a process that runs a network and is no command of this project has the same program. Where
    flags are set, by `tune_for_inference` or the user, they alone count.
    """
    is_tried = importlib.metadata.version("jaxlib") in _TRIED_JAXLIB
    if jax.default_backend() != "cpu" or "XLA_FLAGS" in os.environ or not is_tried:
        return {}
    return dict(_CPU_OPTIONS)


def tune_for_inference() -> None:
    """Sets XLA and malloc for faster networks on CPUs, and prints what it set.

    Call it before JAX's first computation. What the user has set stays: `XLA_FLAGS`, and the
    variables of glibc's allocator (`MALLOC_...`, `GLIBC_TUNABLES`). Other devices are unaffected.
    """
    done = []
    if "XLA_FLAGS" not in os.environ and importlib.metadata.version("jaxlib") in _TRIED_JAXLIB:
        os.environ["XLA_FLAGS"] = _CPU_FLAGS
        done.append(f"XLA_FLAGS={_CPU_FLAGS}")
    set_by_user = any(name.startswith(_MALLOC_VARIABLES) for name in os.environ)
    if not set_by_user and platform.libc_ver()[0] == "glibc":
        mallopt = ctypes.CDLL(None).mallopt
        if all(mallopt(parameter, value) for parameter, value in _MALLOC):
            done.append("memory is kept, not given back")
    if done:
        print(f"on CPUs: {', '.join(done)}", file=sys.stderr, flush=True)
