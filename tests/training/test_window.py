import jax.numpy as jnp
import pytest

from senet_jax.training.window import Window


class Clock:
    now = 100.0

    def __call__(self):
        return self.now

    def passes(self, seconds):
        self.now += seconds
        return "done"


@pytest.fixture
def clock():
    return Clock()


def test_means_seconds_and_waiting(clock):
    window = Window(7, clock)
    assert (window.first_step, window.rates()) == (7, None)
    for loss in (1.0, 2.0, 6.0):
        assert window.waiting_for(lambda: clock.passes(0.5)) == "done"
        clock.passes(1.5)
        window.add({"loss": jnp.float32(loss)})
    assert window.means() == {"loss": 3.0}
    assert window.seconds() == 6
    assert window.rates() == (2, 0.25)


def test_what_is_left_out_is_in_the_means_and_not_in_the_time(clock):
    window = Window(0, clock)
    window.waiting_for(lambda: clock.passes(10))
    clock.passes(30)
    window.add({"loss": jnp.float32(1)})
    assert window.leave_out() == 40
    assert (window.seconds(), window.rates()) == (0, None)
    clock.passes(2)
    window.add({"loss": jnp.float32(3)})
    assert window.rates() == (2, 0)
    assert window.means() == {"loss": 2}
