"""A map in threads that keeps the order and ends its threads."""

import collections
import concurrent.futures
import os
from collections.abc import Callable, Generator, Iterable
from typing import Any


def usable_cores() -> int:
    """How many cores this process may use: a container or a scheduler may leave it a few."""
    return len(os.sched_getaffinity(0))


def in_order(
    function: Callable, inputs: Iterable, threads: int, ahead: int | None = None
) -> Generator[Any, None, None]:
    """Yields the results of a function in the order of its inputs; the threads work ahead.

    Where the work is interrupted, as by Ctrl-C, it waits only for calls that have begun.

    Args:
        function: called in the threads.
        inputs: taken in the caller's thread; they may be endless.
        threads: how many there are.
        ahead: how many results may be ready or under way beyond the one that is yielded; None: as
            many as threads, so that no thread waits for the caller.
    """
    ahead = threads if ahead is None else ahead
    under_way: collections.deque = collections.deque()
    with concurrent.futures.ThreadPoolExecutor(threads, "ahead") as pool:
        try:
            for given in inputs:
                under_way.append(pool.submit(function, given))
                if len(under_way) > ahead:
                    yield under_way.popleft().result()
            while under_way:
                yield under_way.popleft().result()
        finally:
            for future in under_way:
                future.cancel()
