"""What a command sets before JAX does its first work."""

import os
import pathlib

import jax


def use_compilation_cache() -> None:
    """Keeps compiled programs in the user's cache folder, so that a second run compiles nothing.

    `JAX_COMPILATION_CACHE_DIR` names another folder.
    """
    if not os.environ.get("JAX_COMPILATION_CACHE_DIR"):
        cache = pathlib.Path(os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache")
        jax.config.update("jax_compilation_cache_dir", str(cache / "senet_jax" / "xla"))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
