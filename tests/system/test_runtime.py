import ctypes
import importlib.metadata
import json
import os
import pathlib
import platform
import subprocess
import sys

import jax
import pytest

from senet_jax.system import runtime
from senet_jax.system.runtime import tune_for_inference, unused_accelerator, use_compilation_cache

REPOSITORY = pathlib.Path(__file__).parents[2]
OPTIONS = (
    "jax_platforms",
    "jax_compilation_cache_dir",
    "jax_persistent_cache_min_compile_time_secs",
    "jax_persistent_cache_min_entry_size_bytes",
)


@pytest.fixture(autouse=True)
def restored():
    before = {option: getattr(jax.config, option) for option in OPTIONS}
    yield
    for option, value in before.items():
        jax.config.update(option, value)


def test_programs_are_kept_in_the_cache_folder_of_the_user(monkeypatch, tmp_path):
    monkeypatch.delenv("JAX_COMPILATION_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    use_compilation_cache()
    assert jax.config.jax_compilation_cache_dir == str(tmp_path / "senet_jax" / "xla")
    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setenv("HOME", str(tmp_path))
    use_compilation_cache()
    assert jax.config.jax_compilation_cache_dir == str(tmp_path / ".cache" / "senet_jax" / "xla")
    assert jax.config.jax_persistent_cache_min_compile_time_secs == 0


def test_a_folder_that_is_named_is_left(monkeypatch):
    before = jax.config.jax_compilation_cache_dir
    monkeypatch.setenv("JAX_COMPILATION_CACHE_DIR", "elsewhere")
    use_compilation_cache()
    assert jax.config.jax_compilation_cache_dir == before


FLAG = "--xla_cpu_experimental_ynn_fusion_type=dot"
KEPT = "memory is kept, not given back"


@pytest.fixture
def bare(monkeypatch):
    """An environment in which the user set nothing; what glibc is told, is noted and not done."""
    for name in list(os.environ):
        if name == "XLA_FLAGS" or name.startswith(("MALLOC_", "GLIBC_TUNABLES")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("XLA_FLAGS", "to be restored")
    monkeypatch.delenv("XLA_FLAGS")
    monkeypatch.setattr(platform, "libc_ver", lambda: ("glibc", "2.36"))
    told = []

    class Library:
        def __init__(self, name):
            assert name is None

        def mallopt(self, parameter, value):
            told.append((parameter, value))
            return 1

    monkeypatch.setattr(ctypes, "CDLL", Library)
    monkeypatch.setattr(runtime, "_TRIED_JAXLIB", (importlib.metadata.version("jaxlib"),))
    return told


def test_what_makes_cpus_faster_is_set_and_said(bare, capsys):
    tune_for_inference()
    assert os.environ["XLA_FLAGS"] == FLAG
    assert bare == [(-8, 1), (-4, 0), (-1, 2**31 - 1), (-2, 64 * 2**20)]
    assert capsys.readouterr().err == f"on CPUs: XLA_FLAGS={FLAG}, {KEPT}\n"


@pytest.mark.parametrize("flags", ["--xla_dump_to=somewhere", ""])
def test_the_flags_of_the_user_are_left_alone(bare, capsys, monkeypatch, flags):
    monkeypatch.setenv("XLA_FLAGS", flags)
    tune_for_inference()
    assert os.environ["XLA_FLAGS"] == flags
    assert capsys.readouterr().err == f"on CPUs: {KEPT}\n"


@pytest.mark.parametrize("name", ["MALLOC_ARENA_MAX", "MALLOC_TRIM_THRESHOLD_", "GLIBC_TUNABLES"])
def test_the_allocator_of_the_user_is_left_alone(bare, capsys, monkeypatch, name):
    monkeypatch.setenv(name, "4")
    tune_for_inference()
    assert bare == []
    assert capsys.readouterr().err == f"on CPUs: XLA_FLAGS={FLAG}\n"


def test_a_library_without_mallopt_is_left_alone(bare, capsys, monkeypatch):
    monkeypatch.setattr(platform, "libc_ver", lambda: ("", ""))
    tune_for_inference()
    assert bare == []
    assert capsys.readouterr().err == f"on CPUs: XLA_FLAGS={FLAG}\n"


def test_an_untried_jaxlib_gets_no_flag(bare, capsys, monkeypatch):
    """It would end the process if it did not know it."""
    monkeypatch.setattr(runtime, "_TRIED_JAXLIB", ("0.0.1",))
    tune_for_inference()
    assert "XLA_FLAGS" not in os.environ
    assert capsys.readouterr().err == f"on CPUs: {KEPT}\n"


def test_nothing_is_said_where_nothing_is_done(bare, capsys, monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "")
    monkeypatch.setenv("MALLOC_ARENA_MAX", "4")
    tune_for_inference()
    assert capsys.readouterr().err == ""


IN_A_PROCESS = """
import json, os, sys
from senet_jax.system.runtime import tune_for_inference
tune_for_inference()
import jax
import jax.numpy as jnp
print(json.dumps([os.environ["XLA_FLAGS"], float(jnp.sum(jnp.ones((8, 8)) @ jnp.ones((8, 8))))]))
"""


@pytest.mark.skipif(
    importlib.metadata.version("jaxlib") not in runtime._TRIED_JAXLIB,
    reason="the flag was not tried with this jaxlib",
)
def test_the_flag_is_known_to_the_jaxlib_it_is_set_for():
    set_by_user = ("XLA_FLAGS", "MALLOC_", "GLIBC_TUNABLES")
    environment = {k: v for k, v in os.environ.items() if not k.startswith(set_by_user)}
    done = subprocess.run(
        [sys.executable, "-c", IN_A_PROCESS],
        cwd=REPOSITORY,
        env=environment | {"JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr.splitlines()[0].startswith(f"on CPUs: XLA_FLAGS={FLAG}")
    assert json.loads(done.stdout) == [FLAG, 512]


@pytest.mark.parametrize("name", ["nvidia0", "accel0", "vfio/0", "dxg"])
def test_an_accelerator_that_is_not_used_is_said(monkeypatch, tmp_path, name):
    jax.config.update("jax_platforms", None)
    (tmp_path / "nvidiactl").write_text("")  # Is there without a GPU, too.
    assert unused_accelerator(tmp_path) is None
    (tmp_path / name).parent.mkdir(exist_ok=True)
    (tmp_path / name).write_text("")
    warning = unused_accelerator(tmp_path)
    assert f"ON THE CPU, although there is {tmp_path / name}" in warning
    assert f"'jax[cuda13]=={jax.__version__}'" in warning and "\n" not in warning
    with monkeypatch.context() as used:
        used.setattr(jax, "default_backend", lambda: "gpu")
        assert unused_accelerator(tmp_path) is None


def test_a_cpu_that_is_chosen_is_no_fallback(tmp_path):
    (tmp_path / "nvidia0").write_text("")
    jax.config.update("jax_platforms", "cpu")
    assert unused_accelerator(tmp_path) is None


def test_the_options_of_one_program_are_for_cpus_without_flags(monkeypatch):
    version = importlib.metadata.version("jaxlib")
    monkeypatch.setattr(runtime, "_TRIED_JAXLIB", (version,))
    monkeypatch.setenv("XLA_FLAGS", "")
    assert runtime.cpu_compiler_options() == {}
    monkeypatch.delenv("XLA_FLAGS")
    options = runtime.cpu_compiler_options()
    assert options == {"xla_cpu_experimental_ynn_fusion_type": "LIBRARY_FUSION_TYPE_DOT"}
    monkeypatch.setattr(runtime, "_TRIED_JAXLIB", ())
    assert runtime.cpu_compiler_options() == {}
