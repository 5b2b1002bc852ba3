import numpy as np
import pytest

from senet_jax.metrics.evaluation_report import MEASURES, EvaluationReport
from senet_jax.system.errors import UserError
from senet_jax.training.metrics import (
    FILE,
    MetricsWriter,
    console_line,
    evaluation_metrics,
    read_metrics,
)


def _write(workdir, last_step, *steps):
    writer = MetricsWriter(workdir, last_step)
    for step in steps:
        writer.write(step, {"train/loss": step / 2})
    writer.close()


def test_there_and_back(tmp_path):
    _write(tmp_path, -1, 0, 2, 4)
    assert read_metrics(tmp_path) == [{"step": s, "train/loss": s / 2} for s in (0, 2, 4)]
    assert list((tmp_path / "tensorboard").iterdir())


@pytest.mark.parametrize(("last_step", "kept"), [(-1, []), (0, [0]), (3, [0, 2]), (4, [0, 2, 4])])
def test_lines_after_the_step_it_goes_on_from_are_dropped(tmp_path, last_step, kept):
    _write(tmp_path, -1, 0, 2, 4)
    _write(tmp_path, last_step, 6)
    assert [line["step"] for line in read_metrics(tmp_path)] == [*kept, 6]


@pytest.mark.parametrize("broken", ['{"step": 4, "tr', "", "[]", '{"loss": 1}', '{"step": null}'])
def test_a_line_that_was_cut_short_is_dropped(tmp_path, broken):
    _write(tmp_path, -1, 0, 2)
    with (tmp_path / FILE).open("a") as file:
        file.write(broken)
    _write(tmp_path, 4, 6)
    assert [line["step"] for line in read_metrics(tmp_path)] == [0, 2, 6]


def test_the_lines_are_never_gone_for_a_moment(tmp_path):
    """A kill at that moment would lose them."""
    _write(tmp_path, -1, 0, 2)
    with (tmp_path / FILE).open() as file:
        _write(tmp_path, -1)
        assert len(file.readlines()) == 2


def test_a_line_is_there_as_soon_as_it_is_written(tmp_path):
    writer = MetricsWriter(tmp_path, -1)
    writer.write(1, {"train/loss": 0.5})
    assert read_metrics(tmp_path) == [{"step": 1, "train/loss": 0.5}]
    writer.close()


def test_no_lines_are_one_line(tmp_path):
    with pytest.raises(UserError, match="cannot read"):
        read_metrics(tmp_path)
    (tmp_path / FILE).write_text("")
    with pytest.raises(UserError, match="holds no line yet"):
        read_metrics(tmp_path)


def test_the_line_on_the_console(capsys):
    console_line(
        50,
        200,
        {
            "train/loss": 1.25,
            "train/loss_contrastive": 0.5,
            "train/target_cosine": 0.1,
            "learning_rate": 0.005,
            "images_per_second_per_device": 123.4,
            "data_wait": 0.034,
        },
        seconds_left=90,
    )
    line = capsys.readouterr().err
    assert line.startswith(
        "step 50/200 (25.0 %), loss 1.2500, loss contrastive 0.5000, learning rate 5.00e-03, "
        "123 images/s per device, 3 % waiting for data, ETA "
    )


def test_a_protocol_without_queries_has_no_metric():
    """A held-out part of one's own photographs has no hard images."""
    scored, nothing = np.full((1, len(MEASURES)), 0.5), np.full((1, len(MEASURES)), np.nan)
    report = EvaluationReport(("a",), {"easy": scored, "medium": scored, "hard": nothing})
    assert dict(evaluation_metrics({"town": report})) == {
        "eval/town/easy/map": 0.5,
        "eval/town/medium/map": 0.5,
    }
