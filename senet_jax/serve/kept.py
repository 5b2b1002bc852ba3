"""What a server keeps in memory, up to a number of bytes."""

import collections
import threading
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

Value = TypeVar("Value")


class Kept(Generic[Value]):
    """Values up to a size in all; those that were not used for the longest time go first.

    Any number of threads may use it.

    Args:
        most: how large the values may be together; one that is larger is not kept.
        size: of a value.
    """

    def __init__(self, most: int, size: Callable[[Value], int]):
        self._most, self._size = most, size
        self._values: collections.OrderedDict[Hashable, Value] = collections.OrderedDict()
        self._total = 0
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> Value | None:
        """A value; None if it is not kept, or no longer."""
        with self._lock:
            if key in self._values:
                self._values.move_to_end(key)
            return self._values.get(key)

    def put(self, key: Hashable, value: Value) -> None:
        """Keeps a value."""
        with self._lock:
            if key in self._values:
                self._total -= self._size(self._values.pop(key))
            self._values[key] = value
            self._total += self._size(value)
            while self._total > self._most:
                self._total -= self._size(self._values.popitem(last=False)[1])

    def made(self, key: Hashable, make: Callable[[], Value]) -> Value:
        """A value, which is made if it is not kept."""
        value = self.get(key)
        if value is None:
            value = make()
            self.put(key, value)
        return value
