"""Whether memory grows while work goes on."""

from collections.abc import Callable

import jax
import pytest

from benchmarks.memory import anonymous_bytes


def growth(monkeypatch, work: Callable[[Callable[[int], None]], object], steps: int) -> int:
    """Anonymous bytes at most in the second half of the steps over those in the first half.

    The work is done by one device: the threads of several have heaps that take long to fill.

    Args:
        monkeypatch: pytest's.
        work: is given what it calls after every step.
        steps: how many steps there are.
    """
    if anonymous_bytes() is None:
        pytest.skip("the kernel does not tell how much anonymous memory a process has")
    first = jax.local_devices()[:1]
    monkeypatch.setattr(jax, "local_devices", lambda: first)
    seen: list[int] = []
    work(lambda _: seen.append(anonymous_bytes()))
    assert len(seen) == steps
    return max(seen[steps // 2 :]) - max(seen[: steps // 2])
