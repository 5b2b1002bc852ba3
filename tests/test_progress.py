import pytest

from senet_jax.progress import Progress, format_seconds


class _Clock:
    seconds = 0.0

    def __call__(self):
        return self.seconds


def _lines(total, steps):
    """What is written when after each (seconds, count) so many more units are done."""
    lines, clock = [], _Clock()
    progress = Progress("reading", total, "images", 2.0, clock, lines.append)
    for seconds, count in steps:
        clock.seconds = seconds
        progress.advance(count)
    return lines


def test_quick_work_is_silent():
    assert _lines(3, [(0.5, 1), (1.0, 1), (1.9, 1)]) == []


def test_a_line_every_interval_and_one_at_the_end():
    assert _lines(100, [(1, 10), (2, 10), (3, 10), (4, 10), (5, 60)]) == [
        "reading: 20/100 images, 10 images/s, ETA 8s",
        "reading: 40/100 images, 10 images/s, ETA 6s",
        "reading: 100/100 images, 20 images/s, took 5s",
    ]


def test_no_second_line_where_the_last_interval_ends_with_the_work():
    assert _lines(2, [(2, 1), (4, 1)]) == [
        "reading: 1/2 images, 0.5 images/s, ETA 2s",
        "reading: 2/2 images, 0.5 images/s, took 4s",
    ]


def test_writes_to_standard_error(capsys):
    Progress("reading", 2, "images", interval_seconds=0).advance()
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("reading: 1/2 images, ")


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (59.4, "59s"), (59.6, "1m00s"), (75, "1m15s"), (3600, "1h00m"), (8000, "2h13m")],
)
def test_durations(seconds, text):
    assert format_seconds(seconds) == text


def test_a_quiet_process_says_nothing(monkeypatch):
    monkeypatch.setattr(Progress, "quiet", True)
    lines = []
    times = iter([0.0, 10.0, 20.0])
    progress = Progress("x", 2, "images", clock=lambda: next(times), write=lines.append)
    progress.advance()
    progress.advance()
    assert not lines
