"""Pickles of plain data, read by an interpreter of our own.

Python's unpickler calls what a file names, and NumPy's objects believe the state that a file gives
them: there the file chooses pointers, codecs and sizes. Here it builds `None`, truth values,
integers, floats, strings, bytes, lists, tuples, and dicts whose keys are strings, and nothing else;
NumPy's arrays of numbers become lists. What it names is looked up in a table of our own functions.

Source of the opcodes: the module `pickletools` of Python's library, which describes each.
"""

import codecs
import dataclasses
import re
import struct
from collections.abc import Callable
from typing import Any

import numpy as np

from senet_jax.system.errors import shown

MOST_OPCODES = 2**23
"""The names of a million images, and which of them are easy or hard, take half of them."""
MOST_CONTAINERS = 2**21
"""Lists, tuples, dicts and arrays."""

_LONGEST_NUMBER = 40
"""In bytes, as digits or not; 64 bits take 20."""
_NUMBERS = re.compile(r"([<>=|]?)([iu][1248]|f[248])")


class PickleError(ValueError):
    """A file is no pickle of plain data."""


def load_plain(content: bytes) -> Any:
    """What a pickle of any protocol says, those of Python 2 among them.

    Time and memory grow with the file's size and no faster. But a file may refer to one object many
    times, and a list may hold itself: whoever walks through the value has to count.

    Strings of Python 2 are taken for UTF-8; what is not becomes surrogates, as in names of files.

    Raises:
        PickleError: it is too large, or asks for more than plain data.
        Exception: of another kind, where it is broken.
    """
    return _Interpreter(content).run()


@dataclasses.dataclass(frozen=True)
class _Global:
    """The name of a function or a class."""

    name: str


@dataclasses.dataclass
class Dtype:
    """A type of numbers; its byte order may come later, as its state."""

    code: str
    order: str

    @classmethod
    def of(cls, code: Any, *_: Any) -> "Dtype":
        """The type that a file names.

        Raises:
            PickleError: it is not of numbers.
        """
        match = _NUMBERS.fullmatch(code) if type(code) is str else None
        if match is None:
            raise PickleError(f"it holds an array of {shown(code)}, and arrays are of numbers")
        return Dtype(match[2], match[1] or "=")

    def set_state(self, state: Any) -> None:
        """Takes the byte order from what a file gives as the state.

        Raises:
            PickleError: it says more.
        """
        _, self.order, *others = state
        if self.order not in ("<", ">", "=", "|") or others[:3] != [None] * 3:
            raise PickleError(f"a type of numbers has the state {shown(state)}")


def numbers_of(data: Any, dtype: Any) -> np.ndarray:
    """The numbers that bytes are, read-only.

    Raises:
        PickleError: the type is none of numbers.
    """
    if not isinstance(dtype, Dtype):
        raise PickleError(f"{shown(dtype)} is no type of numbers")
    if type(data) is str:  # The bytes of Python 2.
        data = data.encode("utf-8", "surrogateescape")
    return np.frombuffer(data, dtype.order + dtype.code)


def _array(data: Any, dtype: Any, shape: Any, *_: Any) -> list[int] | list[float]:
    numbers = numbers_of(data, dtype)
    if type(shape) is not tuple or (shape != numbers.shape and not (0 in shape and not data)):
        raise PickleError(f"an array of {len(numbers)} numbers has the shape {shown(shape)}")
    return numbers.tolist()


def _scalar(dtype: Any, data: Any) -> int | float:
    return numbers_of(data, dtype).item()


def encode(text: Any, codec: Any) -> bytes:
    """How Python 3 writes bytes in the protocols of Python 2."""
    if type(text) is not str or codec != "latin1":
        raise PickleError(f"it encodes {shown(text)} as {shown(codec)}")
    return text.encode("latin-1")


def _ordered_dict(pairs: Any = ()) -> dict[str, Any]:
    """Empty, or of pairs, as Python 2 writes it."""
    if not all(type(key) is str for key, _ in pairs):
        raise PickleError(f"a dict has the pairs {shown(pairs)}, and keys are strings")
    return dict(pairs)


def _never_called(*arguments: Any) -> None:
    """The class of arrays, which stands in a file for `_reconstruct` to take."""
    raise PickleError(f"it makes an array of {shown(arguments)}")


_CORES = ("numpy.core", "numpy._core")
_FUNCTIONS: dict[str, Callable[..., Any]] = {
    "_codecs.encode": encode,
    **dict.fromkeys(("builtins.bytes", "__builtin__.bytes"), lambda: b""),
    "collections.OrderedDict": _ordered_dict,
    "numpy.dtype": Dtype.of,
    "numpy.ndarray": _never_called,
    **dict.fromkeys((f"{core}.multiarray._reconstruct" for core in _CORES), lambda *_: []),
    **dict.fromkeys((f"{core}.multiarray.scalar" for core in _CORES), _scalar),
    **dict.fromkeys((f"{core}.numeric._frombuffer" for core in _CORES), _array),
}


class _Interpreter:
    """A stack, the heights of its marks, and the objects that opcodes refer to by number."""

    def __init__(self, content: bytes):
        self._content, self._at = content, 0
        self._stack: list[Any] = []
        self._marks: list[int] = []
        self._memo: dict[int, Any] = {}
        self._containers = 0
        # What a file holds it gives to a function once, but for the shortest texts.
        self._given_left = 4 * len(content)

    def run(self) -> Any:
        for _ in range(MOST_OPCODES):
            opcode = self._content[self._skip(1)]
            if opcode == _STOP:
                return self.pop()
            if opcode not in _OPCODES:
                raise PickleError(f"it has the opcode {opcode:#04x}, which plain data has not")
            _OPCODES[opcode](self)
        raise PickleError(f"it has more than {MOST_OPCODES:,} opcodes")

    # What the file has.

    def _skip(self, count: int) -> int:
        start = self._at
        self._at += count
        if self._at > len(self._content):
            raise PickleError("it is cut short")
        return start

    def number(self, form: struct.Struct) -> Any:
        return form.unpack_from(self._content, self._skip(form.size))[0]

    def sized(self, form: struct.Struct) -> bytes:
        count = self.number(form)
        start = self._skip(count)
        return self._content[start : start + count]

    def line(self) -> bytes:
        line = self._content[self._at : self._content.index(b"\n", self._at)]
        self._at += len(line) + 1
        return line

    def digits(self) -> str:
        line = self.line()
        if len(line) > _LONGEST_NUMBER:
            raise PickleError(f"it has the number {shown(line)}")
        return line.decode("ascii")

    # What it does.

    def push(self, value: Any) -> None:
        self._stack.append(value)

    def push_new(self, value: Any) -> None:
        self._containers += 1
        if self._containers > MOST_CONTAINERS:
            raise PickleError(f"it has more than {MOST_CONTAINERS:,} lists, tuples and dicts")
        self._stack.append(value)

    def pop(self) -> Any:
        return self._stack.pop()

    def pop_several(self, count: int) -> list[Any]:
        return [self._stack.pop() for _ in range(count)][::-1]

    def mark(self) -> None:
        self._marks.append(len(self._stack))

    def pop_to_mark(self) -> list[Any]:
        height = self._marks.pop()
        items = self._stack[height:]
        del self._stack[height:]
        return items

    def append(self, items: list[Any]) -> None:
        self._top(list).extend(items)

    def push_dict(self, items: list[Any]) -> None:
        self.push_new({})
        self.set_items(items)

    def set_items(self, items: list[Any]) -> None:
        into, keys = self._top(dict), items[::2]
        if not all(type(key) is str for key in keys):
            raise PickleError(f"a dict has the keys {shown(keys)}, and names are strings")
        into.update(zip(keys, items[1::2], strict=True))

    def _top(self, kind: type) -> Any:
        if type(self._stack[-1]) is not kind:
            raise PickleError(f"{shown(self._stack[-1])} is used as a {kind.__name__}")
        return self._stack[-1]

    def duplicate(self) -> None:
        self._stack.append(self._stack[-1])

    def put(self, number: int) -> None:
        self._memo[number] = self._stack[-1]

    def put_next(self) -> None:
        self.put(len(self._memo))

    def get(self, number: int) -> None:
        self._stack.append(self._memo[number])

    def push_global(self, module: str, name: str) -> None:
        name = f"{module}.{name}"
        if name not in _FUNCTIONS:
            raise PickleError(f"it asks for {shown(name)[1:-1]}, which is not plain data")
        self.push(_Global(name))

    def call(self) -> None:
        function, arguments = self.pop_several(2)
        if type(function) is not _Global or type(arguments) is not tuple:
            raise PickleError(f"it calls {shown(function)} with {shown(arguments)}")
        self.push_new(_FUNCTIONS[function.name](*self._given(arguments)))

    def set_state(self) -> None:
        """The state that comes after a type of numbers, or after an array."""
        made, state = self.pop_several(2)
        if type(made) is Dtype:
            made.set_state(state)
        elif type(made) is list:
            _, shape, dtype, _, data = self._given(state)
            made[:] = _array(data, dtype, shape)
        else:
            raise PickleError(f"{shown(made)} has the state {shown(state)}")
        self.push(made)

    def _given(self, values: tuple) -> tuple:
        self._given_left -= sum(len(value) for value in values if hasattr(value, "__len__"))
        if self._given_left < 0:
            raise PickleError("it makes more than it holds")
        return values


def _python_2_string(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")


def _string(data: bytes) -> str:
    return data.decode("utf-8", "surrogatepass")


def _long(data: bytes) -> int:
    if len(data) > _LONGEST_NUMBER:
        raise PickleError(f"it has an integer of {len(data)} bytes")
    return int.from_bytes(data, "little", signed=True)


def _integer_or_truth(digits: str) -> int:
    return {"00": False, "01": True}[digits] if digits in ("00", "01") else int(digits)


_U8, _U16, _U32, _U64, _I32, _DOUBLE = map(struct.Struct, ("<B", "<H", "<I", "<Q", "<i", ">d"))
_HANDLERS: dict[bytes, Callable[[_Interpreter], Any]] = {
    # Protocol, frame.
    b"\x80": lambda m: m.number(_U8),
    b"\x95": lambda m: m.number(_U64),
    # None, truth values, numbers.
    b"N": lambda m: m.push(None),
    b"\x88": lambda m: m.push(True),
    b"\x89": lambda m: m.push(False),
    b"I": lambda m: m.push(_integer_or_truth(m.digits())),
    b"L": lambda m: m.push(int(m.digits().removesuffix("L"))),
    b"J": lambda m: m.push(m.number(_I32)),
    b"K": lambda m: m.push(m.number(_U8)),
    b"M": lambda m: m.push(m.number(_U16)),
    b"\x8a": lambda m: m.push(_long(m.sized(_U8))),
    b"\x8b": lambda m: m.push(_long(m.sized(_U32))),
    b"F": lambda m: m.push(float(m.digits())),
    b"G": lambda m: m.push(m.number(_DOUBLE)),
    # Strings and bytes.
    b"S": lambda m: m.push(_python_2_string(codecs.escape_decode(m.line().strip()[1:-1])[0])),
    b"T": lambda m: m.push(_python_2_string(m.sized(_U32))),
    b"U": lambda m: m.push(_python_2_string(m.sized(_U8))),
    b"V": lambda m: m.push(m.line().decode("raw-unicode-escape")),
    b"X": lambda m: m.push(_string(m.sized(_U32))),
    b"\x8c": lambda m: m.push(_string(m.sized(_U8))),
    b"\x8d": lambda m: m.push(_string(m.sized(_U64))),
    b"B": lambda m: m.push(m.sized(_U32)),
    b"C": lambda m: m.push(m.sized(_U8)),
    b"\x8e": lambda m: m.push(m.sized(_U64)),
    b"\x96": lambda m: m.push(m.sized(_U64)),
    # Lists, tuples, dicts.
    b"(": lambda m: m.mark(),
    b"0": lambda m: m.pop(),
    b"1": lambda m: m.pop_to_mark(),
    b"]": lambda m: m.push_new([]),
    b"l": lambda m: m.push_new(m.pop_to_mark()),
    b"a": lambda m: m.append(m.pop_several(1)),
    b"e": lambda m: m.append(m.pop_to_mark()),
    b")": lambda m: m.push_new(()),
    b"t": lambda m: m.push_new(tuple(m.pop_to_mark())),
    b"\x85": lambda m: m.push_new(tuple(m.pop_several(1))),
    b"\x86": lambda m: m.push_new(tuple(m.pop_several(2))),
    b"\x87": lambda m: m.push_new(tuple(m.pop_several(3))),
    b"}": lambda m: m.push_new({}),
    b"d": lambda m: m.push_dict(m.pop_to_mark()),
    b"s": lambda m: m.set_items(m.pop_several(2)),
    b"u": lambda m: m.set_items(m.pop_to_mark()),
    # The memo.
    b"p": lambda m: m.put(int(m.digits())),
    b"q": lambda m: m.put(m.number(_U8)),
    b"r": lambda m: m.put(m.number(_U32)),
    b"\x94": lambda m: m.put_next(),
    b"g": lambda m: m.get(int(m.digits())),
    b"h": lambda m: m.get(m.number(_U8)),
    b"j": lambda m: m.get(m.number(_U32)),
    b"2": lambda m: m.duplicate(),
    # Functions.
    b"c": lambda m: m.push_global(_string(m.line()), _string(m.line())),
    b"\x93": lambda m: m.push_global(*m.pop_several(2)),
    b"R": lambda m: m.call(),
    b"b": lambda m: m.set_state(),
}
_OPCODES = {opcode[0]: handler for opcode, handler in _HANDLERS.items()}
_STOP = ord(".")
