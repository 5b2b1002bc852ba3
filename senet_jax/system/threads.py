"""Work in threads that end with what they work for."""

import collections
import concurrent.futures
from collections.abc import Callable, Generator, Iterable
from typing import Any


def in_order(
    function: Callable, inputs: Iterable, threads: int, ahead: int | None = None
) -> Generator[Any, None, None]:
    """What a function makes of each input, in their order; the threads work ahead.

    Where the work is broken off, by Ctrl-C for one, only what is under way is waited for.

    Args:
        function: is called in the threads.
        inputs: are taken in the caller's thread, and may be without end.
        threads: how many there are.
        ahead: how many results there may be, or be under way, beyond the one that is given; as many
            as threads if it is None, so that one that has finished goes on at once.
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
