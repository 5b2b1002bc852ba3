import itertools
import threading

import pytest

from senet_jax.data.ahead import in_order


def test_results_come_in_the_order_of_the_inputs():
    gates = [threading.Event() for _ in range(4)]

    def wait_for_the_next(index):
        if index + 1 < len(gates):
            gates[index + 1].wait(10)
        gates[index].set()
        return index

    assert list(in_order(wait_for_the_next, range(4), threads=4)) == [0, 1, 2, 3]


@pytest.mark.parametrize(("ahead", "taken"), [(None, 3), (5, 6)])
def test_it_works_ahead_and_no_further(ahead, taken):
    inputs = itertools.count()
    results = in_order(str, inputs, threads=2, ahead=ahead)
    assert next(results) == "0"
    assert next(inputs) == taken
    results.close()


def test_an_error_comes_in_its_turn_and_ends_the_work():
    results = in_order(lambda number: 1 // number, iter([1, 0, 1]), threads=2)
    assert next(results) == 1
    with pytest.raises(ZeroDivisionError):
        next(results)
    assert list(results) == []
