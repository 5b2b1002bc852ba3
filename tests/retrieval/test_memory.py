import pathlib
import types

import jax
import jax.numpy as jnp
import pytest

from senet_jax import memory as host_memory
from senet_jax.models.architecture import ARCHITECTURES
from senet_jax.models.senet import build_model
from senet_jax.models.valid_region import ValidRegion
from senet_jax.retrieval import memory
from senet_jax.retrieval.buckets import ACCELERATOR_ECONOMY, CPU_ECONOMY, Batch, Plan
from senet_jax.retrieval.describer import fast_form, plain_form
from senet_jax.retrieval.memory import economy, memory_bytes, needed_bytes

PLAN = Plan((Batch((0, 1), ((10, 20), (30, 40)), 2), Batch((2,), ((50, 30),))), 0.0)


@pytest.fixture
def limit(tmp_path, monkeypatch):
    monkeypatch.setattr(host_memory, "_LIMIT", tmp_path / "memory.max")
    return tmp_path / "memory.max"


def _accelerator(monkeypatch, memory_stats):
    device = types.SimpleNamespace(memory_stats=lambda: memory_stats)
    monkeypatch.setattr(jax, "local_devices", lambda: [device])
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")


def _of_the_machine():
    kibibytes = pathlib.Path("/proc/meminfo").read_text().split("MemTotal:")[1].split()[0]
    return 1024 * int(kibibytes)


def test_of_the_host_without_a_limit(limit):
    assert memory_bytes() == _of_the_machine()
    limit.write_text("max\n")
    assert memory_bytes() == _of_the_machine()


def test_of_a_container(limit):
    limit.write_text("123456789\n")
    assert memory_bytes() == 123456789
    limit.write_text(f"{2**62}\n")
    assert memory_bytes() == _of_the_machine()


def test_of_an_accelerator(limit, monkeypatch):
    _accelerator(monkeypatch, {"bytes_limit": 7 * 2**30})
    assert memory_bytes() == 7 * 2**30
    _accelerator(monkeypatch, None)
    limit.write_text("123456789\n")
    assert memory_bytes() == 123456789


def test_devices_of_a_host_share_its_memory(monkeypatch):
    largest = 300 * 2 * 30 * 40 + memory.KERNEL_BYTES
    assert needed_bytes(PLAN, lanes=1, at_once=1) == largest
    assert needed_bytes(PLAN, lanes=8, at_once=1) == 8 * largest
    _accelerator(monkeypatch, {})
    assert needed_bytes(PLAN, lanes=8) == 500 * 2 * 30 * 40
    assert needed_bytes(Plan((), 0.0), lanes=8) == 0


def test_so_do_batches_that_are_under_way_at_once(monkeypatch):
    both = 300 * (2 * 30 * 40 + 50 * 30) + 2 * memory.KERNEL_BYTES
    assert needed_bytes(PLAN, lanes=1) == both
    assert needed_bytes(PLAN, lanes=3, at_once=2) == 3 * both
    alone = Plan(PLAN.batches[:1], 0.0)
    assert needed_bytes(alone, lanes=1) == needed_bytes(alone, lanes=1, at_once=1)
    assert needed_bytes(Plan((), 0.0), lanes=8) == 0


def test_batches_fit_into_half_of_an_accelerator(monkeypatch):
    assert economy() == CPU_ECONOMY
    _accelerator(monkeypatch, {"bytes_limit": 80 * 2**30})
    assert economy() == ACCELERATOR_ECONOMY
    _accelerator(monkeypatch, {"bytes_limit": 8 * 2**30})
    assert 500 * economy().batch_pixels == pytest.approx(4 * 2**30, rel=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["r50", "r101"])
@pytest.mark.parametrize(("form", "least"), [(fast_form, 0.6), (plain_form, 0.4)])
@pytest.mark.parametrize("shape", [(512, 768), (1088, 1456)])
def test_no_program_takes_more_than_is_foreseen(name, form, least, shape):
    model = build_model(ARCHITECTURES[name], **form())
    image = jax.ShapeDtypeStruct((1, *shape, 3), jnp.float32)
    region = ValidRegion(jax.ShapeDtypeStruct((1, 2), jnp.int32))
    variables = jax.eval_shape(model.init, jax.random.key(0), image)
    program = jax.jit(lambda *inputs: model.apply(*inputs)[0]).lower(variables, image, region)
    taken = program.compile().memory_analysis().temp_size_in_bytes
    foreseen = needed_bytes(Plan((Batch((0,), (shape,)),), 0.0), lanes=1, at_once=1)
    assert least * foreseen < taken <= foreseen
