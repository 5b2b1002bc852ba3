"""What the latest steps of a training measured, and how long they took."""

import time
from collections.abc import Callable
from typing import Any, TypeVar

import jax
import numpy as np

Result = TypeVar("Result")


class Window:
    """The steps since the last line of metrics.

    Args:
        first_step: how many steps were done before.
        clock: seconds since any fixed moment.

    Attributes:
        first_step: see there.
    """

    def __init__(self, first_step: int, clock: Callable[[], float] = time.monotonic):
        self.first_step = first_step
        self._clock = clock
        self._start, self._waited, self._untimed = clock(), 0.0, 0
        self._values: list[dict[str, Any]] = []

    def waiting_for(self, work: Callable[[], Result]) -> Result:
        """Does the work and counts its time as waiting."""
        start = self._clock()
        result = work()
        self._waited += self._clock() - start
        return result

    def add(self, values: dict[str, Any]) -> None:
        """Keeps a step's metrics, which may not be computed yet.

        Waits until those of the step before are: a device has its next step while it computes, and
        what is asked for, such as to stop, is heard after two steps at most.
        """
        if self._values:
            jax.block_until_ready(self._values[-1])
        self._values.append(values)

    def leave_out(self) -> float:
        """Leaves what there is so far out of the time, as of a step that had to be compiled.

        Returns:
            The time that is left out.
        """
        jax.block_until_ready(self._values)
        seconds = self.seconds()
        self._start, self._waited, self._untimed = self._clock(), 0.0, len(self._values)
        return seconds

    def means(self) -> dict[str, float]:
        """The metrics' means; waits for the last step."""
        fetched = jax.device_get(self._values)
        return {name: float(np.mean([v[name] for v in fetched])) for name in fetched[0]}

    def seconds(self) -> float:
        """The time that was not left out."""
        return self._clock() - self._start

    def rates(self) -> tuple[float, float] | None:
        """Seconds a step, and which part of them was waiting; None if no step is in the time."""
        steps, seconds = len(self._values) - self._untimed, self.seconds()
        return (seconds / steps, self._waited / seconds) if steps else None
