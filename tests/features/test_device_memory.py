import types

import jax
import jax.numpy as jnp
import pytest

from senet_jax.features import device_memory as memory
from senet_jax.features.device_memory import device_costs, memory_bytes, most_pixels, needed_bytes
from senet_jax.features.networks import fast_form, plain_form
from senet_jax.features.plan import ACCELERATOR_COSTS, CPU_COSTS, Batch, Plan
from senet_jax.models.registry import ARCHITECTURES, build_model
from senet_jax.models.valid_region import ValidRegion
from senet_jax.system.host_memory import KERNEL_BYTES
from tests.programs import quickly

PLAN = Plan((Batch((0, 1), ((10, 20), (30, 40)), 2), Batch((2,), ((50, 30),))), 0.0)


def _accelerator(monkeypatch, memory_stats):
    device = types.SimpleNamespace(memory_stats=lambda: memory_stats)
    monkeypatch.setattr(jax, "local_devices", lambda: [device])
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")


def test_of_an_accelerator(monkeypatch):
    _accelerator(monkeypatch, {"bytes_limit": 7 * 2**30})
    assert memory_bytes() == 7 * 2**30
    _accelerator(monkeypatch, None)
    monkeypatch.setattr(memory, "host_memory_bytes", lambda: 123456789)
    assert memory_bytes() == 123456789


def test_devices_of_a_host_share_its_memory(monkeypatch):
    largest = 300 * 2 * 30 * 40 + KERNEL_BYTES
    assert needed_bytes(PLAN, devices=1, batches_in_flight=1) == largest
    assert needed_bytes(PLAN, devices=8, batches_in_flight=1) == 8 * largest
    _accelerator(monkeypatch, {})
    assert needed_bytes(PLAN, devices=8) == 500 * 2 * 30 * 40
    assert needed_bytes(Plan((), 0.0), devices=8) == 0


def test_so_do_batches_in_flight(monkeypatch):
    both = 300 * (2 * 30 * 40 + 50 * 30) + 2 * KERNEL_BYTES
    assert needed_bytes(PLAN, devices=1) == both
    assert needed_bytes(PLAN, devices=3, batches_in_flight=2) == 3 * both
    alone = Plan(PLAN.batches[:1], 0.0)
    assert needed_bytes(alone, devices=1) == needed_bytes(alone, devices=1, batches_in_flight=1)
    assert needed_bytes(Plan((), 0.0), devices=8) == 0


def test_batches_fit_into_half_of_an_accelerator(monkeypatch):
    assert device_costs() == CPU_COSTS
    _accelerator(monkeypatch, {"bytes_limit": 80 * 2**30})
    assert device_costs() == ACCELERATOR_COSTS
    _accelerator(monkeypatch, {"bytes_limit": 8 * 2**30})
    assert 500 * device_costs().batch_pixels == pytest.approx(4 * 2**30, rel=1e-6)
    assert 500 * most_pixels(devices=8) == pytest.approx(8 * 2**30, rel=1e-6)


@pytest.mark.parametrize("devices", [1, 8])
def test_a_program_that_the_memory_suffices_for(devices):
    largest = Plan((Batch((0,), ((1, most_pixels(devices)),)),), 0.0)
    needed = needed_bytes(largest, devices, batches_in_flight=1)
    assert needed <= memory_bytes() < needed + 400 * devices


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "form", "least", "shape"),
    [
        ("r50", fast_form, 0.6, (512, 768)),
        ("r50", fast_form, 0.6, (1088, 1456)),
        ("r50", plain_form, 0.4, (512, 768)),
        ("r50", plain_form, 0.4, (1088, 1456)),
        # More of the same blocks.
        ("r101", fast_form, 0.6, (512, 768)),
    ],
)
def test_no_program_takes_more_than_is_foreseen(name, form, least, shape):
    model = build_model(ARCHITECTURES[name], **form())
    image = jax.ShapeDtypeStruct((1, *shape, 3), jnp.float32)
    region = ValidRegion(jax.ShapeDtypeStruct((1, 2), jnp.int32))
    variables = jax.eval_shape(model.init, jax.random.key(0), image)
    program = quickly(lambda *inputs: model.apply(*inputs)[0]).lower(variables, image, region)
    taken = program.compile().memory_analysis().temp_size_in_bytes
    foreseen = needed_bytes(Plan((Batch((0,), (shape,)),), 0.0), devices=1, batches_in_flight=1)
    assert least * foreseen < taken <= foreseen
