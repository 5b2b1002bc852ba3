import os
import threading
import time

import pytest

from senet_jax.system.threads import in_order, usable_cores


def test_results_keep_their_order():
    def slow_if_even(number):
        time.sleep(0.01 * (number % 2 == 0))
        return -number

    assert list(in_order(slow_if_even, range(9), 3)) == [-number for number in range(9)]
    assert list(in_order(slow_if_even, [], 3)) == []


@pytest.mark.parametrize(("given", "ahead"), [((), 2), ((5,), 5)])
def test_few_inputs_are_taken_ahead(given, ahead):
    """A list may have a million."""
    taken = []
    inputs = (taken.append(i) or i for i in range(100))
    results = in_order(lambda number: number, inputs, 2, *given)
    for result in range(50):
        assert next(results) == result
        assert len(taken) == result + 1 + ahead
    results.close()
    assert len(taken) == 50 + ahead


@pytest.mark.parametrize("stop", [KeyboardInterrupt, ZeroDivisionError])
def test_what_waits_is_given_up_where_the_work_is_broken_off(stop):
    begun, go, threads = [], threading.Event(), threading.active_count()

    def work(number):
        begun.append(number)
        if number:
            go.wait(10)

    def broken_off():
        for _ in in_order(work, range(100), 2):
            go.set()
            raise stop

    with pytest.raises(stop):
        broken_off()
    assert len(begun) <= 4
    assert threading.active_count() == threads  # Threads that outlive Python's end crash it.


def test_cores_are_those_that_the_process_was_given(monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    monkeypatch.setattr(os, "sched_getaffinity", lambda process: {3, 5, 6})
    assert usable_cores() == 3
