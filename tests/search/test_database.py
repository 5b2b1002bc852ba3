import jax
import numpy as np
import pytest

from senet_jax.search.database import BlockedDatabase, check_descriptors, read_items
from senet_jax.system.errors import UserError

ROWS = np.arange(22, dtype=np.float32).reshape(11, 2)


@pytest.mark.parametrize("cuts", [[], [3], [4, 8], [0, 1, 1, 10, 11]])
@pytest.mark.parametrize("block_rows", [1, 4, 11, 16])
def test_blocks_do_not_depend_on_the_parts(cuts, block_rows):
    database = BlockedDatabase(tuple(np.split(ROWS, cuts)), block_rows=block_rows)
    blocks = [database.read(start) for start in database.starts]
    assert all(block.shape == (block_rows, 2) and block.dtype == np.float32 for block in blocks)
    whole = np.concatenate(blocks)
    np.testing.assert_array_equal(whole[:11], ROWS)
    assert not whole[11:].any()
    is_ranked = np.concatenate([database.is_ranked(start) for start in database.starts])
    assert is_ranked.tolist() == [True] * 11 + [False] * (len(whole) - 11)


@pytest.mark.parametrize(("size", "count"), [(21, 2), (21, 3), (3, 2), (0, 2), (40, 1)])
def test_shares_are_all_blocks_once(size, count):
    shares = [
        BlockedDatabase((np.zeros((size, 2)),), block_rows=4, share=(index, count))
        for index in range(count)
    ]
    assert sorted(start for share in shares for start in share.starts) == [*range(0, size, 4)]
    assert sum(share.share_size for share in shares) == size


def test_unranked_rows():
    database = BlockedDatabase((ROWS,), unranked={10, 0, 5}, block_rows=6)
    assert np.flatnonzero(~database.is_ranked(0)).tolist() == [0, 5]
    assert np.flatnonzero(~database.is_ranked(6)).tolist() == [4, 5]


def test_other_types_become_float32():
    parts = (ROWS[:2].astype(np.float16), ROWS[2:5].astype(">f8"), ROWS[5:].astype(np.uint8))
    np.testing.assert_array_equal(BlockedDatabase(parts, block_rows=11).read(0), ROWS)


def test_whole_blocks_are_not_copied():
    assert np.shares_memory(BlockedDatabase((ROWS,), block_rows=4).read(4), ROWS)


def test_blocks_that_are_put_together_are_not_copied_by_jax():
    rows = np.ones((100, 7), np.float32)
    for parts in ((rows[:30], rows[30:]), (rows.astype(np.float16),)):
        database = BlockedDatabase(parts, block_rows=64)
        for start in database.starts:
            block = database.read(start)
            on_device = jax.device_put(block, jax.devices("cpu")[0])
            assert on_device.unsafe_buffer_pointer() == block.ctypes.data


def test_rows_are_named_by_their_part(tmp_path):
    np.save(tmp_path / "x.npy", ROWS)
    mapped = np.load(tmp_path / "x.npy", mmap_mode="r")
    database = BlockedDatabase((ROWS[:3], ROWS[:0], mapped))
    assert database.name(0) == "row 0 of part 0 of the database"
    assert database.name(2) == "row 2 of part 0 of the database"
    assert database.name(3) == f"row 0 of {tmp_path / 'x.npy'}"
    assert database.name(13) == f"row 10 of {tmp_path / 'x.npy'}"


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (ROWS[:, :1], "part 1 of the database has 1 columns, part 0 of the database has 2"),
        (ROWS[0], r"float32 of shape \(2,\)"),
        (ROWS.astype(complex), "is complex128"),
        (ROWS.astype(bool), "is bool"),
        (ROWS.astype(object), "is object"),
        (ROWS.astype(np.longdouble), "is float128|is longdouble"),
        (ROWS.astype(np.uint16).view("V2"), r"is \|V2"),
    ],
)
def test_wrong_parts_are_one_line(part, message):
    with pytest.raises(UserError, match=message):
        BlockedDatabase((ROWS, part))


def test_descriptors_of_absurd_length_are_refused():
    for shape in ((0, 2**16 + 1), (0, 2**40)):
        with pytest.raises(UserError, match=r"x\.npy has the shape .* up to 65,536 numbers"):
            check_descriptors(np.zeros(shape, np.float16), "x.npy")
    check_descriptors(np.zeros((0, 2**16), np.float16), "x.npy")


@pytest.mark.parametrize("items", [[[19, 0, -1], [8, 9, 0]], [[3, 0, 6], [7, 8, 9]], [[2], [1]]])
def test_items_are_read_from_their_parts(tmp_path, items):
    rows = np.random.default_rng(0).standard_normal((20, 16), np.float32)
    np.save(tmp_path / "part.npy", rows[9:].astype(np.float64))
    parts = rows[:7], rows[7:7], rows[7:9], np.load(tmp_path / "part.npy", mmap_mode="r")
    items = np.array(items)
    expected = np.where(items[..., None] < 0, 0, rows[items])
    seen = read_items(BlockedDatabase(parts), items)
    assert (seen.dtype, seen.tolist()) == (np.float32, expected.tolist())
    assert read_items(BlockedDatabase(parts), np.zeros((2, 0), int)).shape == (2, 0, 16)


def test_a_descriptor_that_is_not_finite_is_named():
    rows = np.ones((6, 16))
    rows[4, 2] = 1e200
    database = BlockedDatabase((rows[:3], rows[3:]))
    with pytest.raises(UserError, match="row 1 of part 1 of the database is not finite in float32"):
        read_items(database, np.array([[0, 4]]))
