import pathlib

from senet_jax import memory
from senet_jax.memory import host_memory_bytes


def test_of_the_machine_or_of_the_container(tmp_path, monkeypatch):
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(memory, "_LIMIT", limit)
    kibibytes = pathlib.Path("/proc/meminfo").read_text().split("MemTotal:")[1].split()[0]
    assert host_memory_bytes() == 1024 * int(kibibytes)
    limit.write_text("max\n")
    assert host_memory_bytes() == 1024 * int(kibibytes)
    limit.write_text("1000\n")
    assert host_memory_bytes() == 1000
