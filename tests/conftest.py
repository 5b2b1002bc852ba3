import collections
import os
import subprocess
import sys
import tempfile

import pytest

from senet_jax.system.errors import run_command

# The suite's workers share the cores: threads that wait for each other by spinning take one from
# another worker.
for _threads in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ.setdefault(_threads, "1")
# Eight devices on any machine; it must be set before JAX starts.
os.environ.setdefault("XLA_FLAGS", "--xla_force_host_platform_device_count=8")
# Commands under test keep their compiled programs here and not in the user's cache.
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    _CACHE = tempfile.TemporaryDirectory(prefix="senet_jax_tests_")
    os.environ["JAX_COMPILATION_CACHE_DIR"] = _CACHE.name
# So do the tests, small programs too: what one process has compiled, none compiles again.
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")


def pytest_collection_modifyitems(items):
    """Begins with the files of the most slow tests, so that no worker has one left at the end."""
    slow = collections.Counter(item.path for item in items if item.get_closest_marker("slow"))
    items.sort(key=lambda item: -slow[item.path])


@pytest.fixture
def run_command_here(monkeypatch, capsys):
    """Runs a command's main function in this process, as `python -m` would in its own."""

    def run(main, *arguments):
        monkeypatch.setattr(sys, "argv", ["command", *map(str, arguments)])
        exit_code = 0
        try:
            run_command(main)
        except SystemExit as end:
            exit_code = end.code
        return subprocess.CompletedProcess(arguments, exit_code, *capsys.readouterr())

    return run
