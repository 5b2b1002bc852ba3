"""Work that threads do before it is asked for."""

import collections
import concurrent.futures
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

Given = TypeVar("Given")
Made = TypeVar("Made")


def in_order(
    function: Callable[[Given], Made],
    inputs: Iterable[Given],
    threads: int,
    ahead: int | None = None,
) -> Iterator[Made]:
    """What a function makes of each input, in their order; the threads work ahead.

    Args:
        function: is called in the threads.
        inputs: are taken in the thread of the caller, and may be without end.
        threads: how many there are.
        ahead: how many results may wait, or be under way, beside the one that is given; as many
            as there are threads, so that one that has finished goes on at once, if it is None.

    Yields:
        The results; close the iterator to stop the work.
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
