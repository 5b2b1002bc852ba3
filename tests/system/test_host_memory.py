import pathlib

from senet_jax.system import host_memory as memory
from senet_jax.system.host_memory import KERNEL_BYTES, host_memory_bytes, most_cpu_pixels


def test_of_the_machine_or_of_the_container(tmp_path, monkeypatch):
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(memory, "_LIMIT", limit)
    kibibytes = pathlib.Path("/proc/meminfo").read_text().split("MemTotal:")[1].split()[0]
    assert host_memory_bytes() == 1024 * int(kibibytes)
    limit.write_text("max\n")
    assert host_memory_bytes() == 1024 * int(kibibytes)
    limit.write_text("1000\n")
    assert host_memory_bytes() == 1000


def test_pixels_that_it_suffices_for(tmp_path, monkeypatch):
    limit = tmp_path / "memory.max"
    monkeypatch.setattr(memory, "_LIMIT", limit)
    limit.write_text(f"{2 * (KERNEL_BYTES + 300 * 1000)}\n")
    assert most_cpu_pixels(devices=2) == 1000
    limit.write_text("1000\n")
    assert most_cpu_pixels() == 0
