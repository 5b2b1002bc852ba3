import collections
import pickle

import numpy as np
import pytest

from senet_jax.data import plain_pickle
from senet_jax.data.plain_pickle import PickleError, load_plain

PROTOCOLS = range(pickle.HIGHEST_PROTOCOL + 1)
VALUE = {
    "constants": [None, True, False],
    "integers": [0, -1, 255, 256, 65535, 65536, -(2**31), 2**31, 2**63 - 1, -(2**63)],
    "floats": [0.1, -1e300, float("inf")],
    "strings": ["", "a", "Ö\n\\'\x00", "x" * 300, "\udc80"],
    "bytes": [b"", b"a", b"\x80" * 300],
    "containers": [[], (), {}, (1,), (1, 2), (1, 2, 3), (1, 2, 3, 4), {"a": {"b": [[1]]}}],
}
VALUE["shared"] = [VALUE["integers"], VALUE["integers"]]


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_plain_values_of_every_protocol(protocol):
    assert load_plain(pickle.dumps(VALUE, protocol)) == VALUE


@pytest.mark.parametrize("protocol", PROTOCOLS)
@pytest.mark.parametrize("dtype", ["u1", "i1", "<i2", ">i4", "<i8", ">u8", "f2", "<f4", ">f8"])
def test_arrays_of_numbers_are_lists(dtype, protocol):
    for array in (np.arange(300).astype(dtype), np.arange(6).astype(dtype)[::2]):
        read = load_plain(
            pickle.dumps([array, array[:0], array[3 - len(array[:1]) :][0]], protocol)
        )
        assert read == [array.tolist(), [], array[2].item()]
        assert type(read[0][0]) is type(array[0].item())
    assert load_plain(pickle.dumps(np.zeros((0, 4), dtype), protocol)) == []


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_an_ordered_dict_is_a_dict(protocol):
    ordered = collections.OrderedDict(b=1, a=[2])
    read = load_plain(pickle.dumps(ordered, protocol))
    assert read == {"b": 1, "a": [2]} and type(read) is dict


# As Python 2 and its NumPy wrote them.
ARRAY_2 = (
    b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(I0\ntS'b'\ntR(I1\n(I2\ntcnumpy\n"
    b"dtype\n(S'i4'\nI0\nI1\ntR(I3\nS'<'\nNNNI-1\nI-1\nI0\ntbI00\nS'\\x80\\x00\\x00\\x00"
    b"\\xff\\xff\\xff\\xff'\ntb."
)


def test_python_2():
    assert load_plain(ARRAY_2) == [128, -1]
    assert load_plain(b"U\x05caf\xc3\xa9.") == "café"
    assert load_plain(b"T\x04\x00\x00\x00caf\xe9.") == "caf\udce9"
    assert load_plain(b"S'it''s \\xe9'\n.") == "it''s \udce9"
    assert load_plain(b"(I01\nL7L\nL8\nF0.5\nl.") == [True, 7, 8, 0.5]
    pairs = b"ccollections\nOrderedDict\n((lp1\n(lp2\nS'a'\naI1\naatR."
    assert load_plain(pairs) == {"a": 1}


FORGED_POINTER = b"cnumpy\nndarray\n((I1\ntS'O'\nC\x08AAAAAAAAtR."
FORGED_STATE = (
    b"cnumpy._core.numeric\n_frombuffer\n(C\x08AAAAAAAAcnumpy\ndtype\n(S'O'\nI0\nI1\ntR(I3\nS'|'\n"
    b"NNNI8\nI8\nI0\ntb(I1\ntS'C'\ntR."
)
DTYPE = b"cnumpy\ndtype\n(S'i8'\nI0\nI1\ntR"
CODEC = b"c_codecs\nencode\n(C\x01AS'hex_codec'\ntR."
BIG = b"B\x00\x00\x10\x00" + bytes(2**20)
# 20 thousand arrays of a megabyte, of which the file holds one.
COPIES = BIG + b"q\x000" + DTYPE.replace(b"i8", b"u1") + b"q\x010(J\x00\x00\x10\x00tq\x020("
COPIES += b"cnumpy._core.numeric\n_frombuffer\n(h\x00h\x01h\x02S'C'\ntR" * 20_000
ENCODED = (
    b"X\x00\x00\x10\x00"
    + b"a" * 2**20
    + b"q\x000S'latin1'\nq\x010("
    + (b"c_codecs\nencode\n(h\x00h\x01tR" * 20_000)
)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (FORGED_POINTER, "it makes an array of"),
        (FORGED_STATE, "array of 'O', and arrays are of numbers"),
        (DTYPE + b"(I3\nS'|'\n(S'f'\nI1\ntNNI8\nI8\nI0\ntb.", "has the state"),
        (DTYPE + b"(I3\nS'O'\nNNNI8\nI8\nI0\ntb.", "has the state"),
        (CODEC, "it encodes b'A' as 'hex_codec'"),
        (COPIES, "makes more than it holds"),
        (ENCODED, "makes more than it holds"),
        (b"cos\nsystem\n(S'true'\ntR.", "asks for os.system, which is not plain data"),
        (b"\x8c\x05numpy\x8c\x11ndarray.__class__\x93.", "asks for numpy.ndarray.__class__"),
        (b"cnumpy\ndtype\nS'i8'\nR.", "it calls"),
        (b"S'a'\n(tR.", "it calls 'a'"),
        (b"(lS'a'\nI1\ns.", "is used as a dict"),
        (b"}I1\nI1\ns.", "and names are strings"),
        (b"S'a'\nI1\na.", "is used as a list"),
        (b"S'a'\n}b.", "has the state"),
        (b"(i__main__\nA\n.", "the opcode 0x69"),
        (b"Pid\n.", "the opcode 0x50"),
        (b"\x82\x01.", "the opcode 0x82"),
        (b"\x8f.", "the opcode 0x8f"),
        (b"I" + b"1" * 5_000 + b"\n.", "it has the number"),
        (b"\x8b\x00\x10\x00\x00" + bytes(4096) + b".", "an integer of 4096 bytes"),
        (b"\x8e" + b"\xff" * 8 + b".", "cut short"),
        (b"]", "cut short"),
        (b"", "cut short"),
    ],
)
def test_what_is_not_plain_is_refused(content, message):
    with pytest.raises(PickleError) as raised:
        load_plain(content)
    assert message in str(raised.value) and len(str(raised.value)) < 400


@pytest.mark.parametrize(
    "content", [b".", b"e.", b"0.", b"h\x05.", b"(u.", b"X\x01\x00\x00\x00\xff."]
)
def test_what_is_broken_is_an_error(content):
    with pytest.raises((LookupError, ValueError)):
        load_plain(content)


def test_a_file_that_shares_is_no_larger_than_it_is():
    depth = 200
    value = load_plain(b"]q\x00" + b"(h\x00h\x00lq\x00" * depth + b".")
    for _ in range(depth):
        assert value[0] is value[1]
        value = value[0]


def test_its_length_is_bounded(monkeypatch):
    monkeypatch.setattr(plain_pickle, "MOST_OPCODES", 100)
    assert load_plain(b"(" + b"N" * 97 + b"l.") == [None] * 97
    with pytest.raises(PickleError, match="more than 100 opcodes"):
        load_plain(b"(" + b"N" * 98 + b"l.")
    monkeypatch.setattr(plain_pickle, "MOST_CONTAINERS", 10)
    with pytest.raises(PickleError, match="more than 10 lists"):
        load_plain(b"]" * 11 + b".")
