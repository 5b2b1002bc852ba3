"""Work in threads that end with what they work for."""

import collections
import concurrent.futures
from collections.abc import Callable, Iterable, Iterator


def in_order(function: Callable, inputs: Iterable, threads: int) -> Iterator:
    """What a function makes of each input, in their order; the threads work ahead.

    Where the work is broken off, by Ctrl-C for one, only what is under way is waited for.
    """
    under_way: collections.deque = collections.deque()
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        try:
            for given in inputs:
                under_way.append(pool.submit(function, given))
                # One more waits, so that a thread that has finished goes on at once.
                if len(under_way) > threads:
                    yield under_way.popleft().result()
            while under_way:
                yield under_way.popleft().result()
        finally:
            for future in under_way:
                future.cancel()
