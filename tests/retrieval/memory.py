"""Whether memory grows while work goes on."""

from collections.abc import Callable

import pytest

from benchmarks.memory import anonymous_bytes


def growth(work: Callable[[Callable[[int], None]], object], steps: int) -> int:
    """Anonymous bytes at most in the second half of the steps over those in the first half.

    Args:
        work: is given what it calls after every step.
        steps: how many steps there are.
    """
    if anonymous_bytes() is None:
        pytest.skip("the kernel does not tell how much anonymous memory a process has")
    seen: list[int] = []
    work(lambda _: seen.append(anonymous_bytes()))
    assert len(seen) == steps
    return max(seen[steps // 2 :]) - max(seen[: steps // 2])
