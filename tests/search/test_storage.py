import numpy as np
import pytest

from senet_jax.search.database import BlockedDatabase, as_float32
from senet_jax.search.exact import top_k
from senet_jax.search.storage import STORAGES, descriptor_width, quantise
from senet_jax.system.files import open_array

ROWS = np.random.default_rng(0).standard_normal((50, 24)).astype(np.float32)
# The bytes of a descriptor, and how far a number may be from its own: half of the last bit of each
# number, or half of a row's scale.
BYTES = {"float32": 96, "float16": 48, "bfloat16": 48, "int8": 28}
ERRORS = {
    "float32": 0 * ROWS,
    "float16": abs(ROWS) * 2.0**-11 + 2.0**-25,
    "bfloat16": abs(ROWS) * 2.0**-8,
    "int8": abs(ROWS).max(axis=1, keepdims=True) / 127 * 0.5001,
}


@pytest.mark.parametrize("storage", STORAGES)
def test_numbers_are_rounded_to_the_nearest(storage):
    quantised = quantise(ROWS, storage)
    assert quantised.nbytes == len(ROWS) * BYTES[storage]
    numbers = as_float32(quantised)
    assert (abs(numbers - ROWS) <= ERRORS[storage]).all()
    # Once more nothing is lost: the first rounding has found a number that can be held.
    np.testing.assert_array_equal(as_float32(quantise(numbers, storage)), as_float32(quantised))


def test_bfloat16_by_hand():
    """One and 1/128 is the next number above one; half way goes to the even one."""
    rows = np.array([[1, 1 + 1 / 128, 1 + 1 / 256, 1 + 3 / 256, -3.0e38]], np.float32)
    bits = quantise(rows, "bfloat16")["bfloat16"]
    assert bits.tolist() == [[0x3F80, 0x3F81, 0x3F80, 0x3F82, 0xFF62]]


def test_int8_by_hand():
    rows = np.array([[127, -127, 63.4, 63.6], [0, 0, 0, 0], [2, -1, 0, 0.5]], np.float32)
    quantised = quantise(rows, "int8")
    np.testing.assert_array_equal(quantised["scale"], np.array([1, 1, 2 / 127], np.float32))
    assert quantised["int8"].tolist() == [[127, -127, 63, 64], [0, 0, 0, 0], [127, -64, 0, 32]]


@pytest.mark.parametrize("value", [1e-45, 1e-38, 3e38])
def test_the_smallest_and_largest_numbers(value):
    rows = np.array([[value, -value / 2]], np.float32)
    for storage in ("bfloat16", "int8"):
        found = as_float32(quantise(rows, storage))
        assert abs(found - rows).max() <= max(rows.max() * 0.005, 127 * 1.2e-38)


def test_beyond_float16_is_infinite():
    assert np.isinf(quantise(np.array([[1e5]], np.float32), "float16")).all()


@pytest.mark.parametrize("storage", STORAGES)
def test_a_database_on_disk_is_read_as_one_in_memory(tmp_path, storage):
    np.save(tmp_path / "x.npy", quantise(ROWS[20:], storage))
    mapped = open_array(tmp_path / "x.npy")
    assert isinstance(mapped, np.memmap)
    numbers = np.concatenate([ROWS[:20], as_float32(quantise(ROWS[20:], storage))])
    database = BlockedDatabase((ROWS[:20], mapped), block_rows=16)
    assert (database.size, database.width) == ROWS.shape
    for start in database.starts:
        block = database.read(start)
        assert block.dtype == np.float32
        np.testing.assert_array_equal(block[: 50 - start], numbers[start : start + 16])
    plain = BlockedDatabase((numbers,), block_rows=16)
    found, expected = (top_k(ROWS[:5], d, 50).ranks for d in (database, plain))
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("storage", STORAGES)
def test_the_width_of_descriptors(storage):
    assert descriptor_width(quantise(ROWS, storage)) == 24
    assert descriptor_width(quantise(ROWS[:0], storage)) == 24


@pytest.mark.parametrize(
    "array",
    [
        ROWS[0],
        ROWS.astype(complex),
        np.zeros(3, [("int8", "i1", (4,)), ("scale", "<f4")]),
        np.zeros(3, [("scale", "<f8"), ("int8", "i1", (4,))]),
        np.zeros(3, [("scale", "<f4"), ("int8", "i1")]),
        np.zeros(3, [("bfloat16", "<u4", (4,))]),
        np.zeros((3, 1), [("bfloat16", "<u2", (4,))]),
        np.zeros(3, [("float8", "i1", (4,))]),
        np.zeros(3, []),
    ],
)
def test_other_arrays_are_no_descriptors(array):
    assert descriptor_width(array) is None
