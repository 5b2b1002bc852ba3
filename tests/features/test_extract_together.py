import numpy as np
import pytest

from senet_jax.data.revisitop import Photograph
from senet_jax.features.extract import extract
from senet_jax.features.extract_together import extract_together
from senet_jax.system.errors import USER_ERROR_EXIT_CODE, UserError
from tests.data.pictures import encoded, picture, with_broken_pixels
from tests.features.mean_colour import MeanColour
from tests.training.training_process import ended, photographs_of, start_two

SHAPES = [(30, 40), (40, 30), (70, 90), (90, 70), (31, 41), (32, 42), (33, 43)]
BROKEN = 3
"""The row of an image whose header alone can be read."""


@pytest.fixture
def folder(tmp_path):
    """Photographs in `whole`, and in `broken`, where one is."""
    for name in ("whole", "broken"):
        (tmp_path / name).mkdir()
        for row, shape in enumerate(SHAPES):
            content = encoded(picture(*shape, seed=row))
            if name == "broken" and row == BROKEN:
                content = with_broken_pixels(content)
            (tmp_path / name / f"{row}.jpg").write_bytes(content)
    return tmp_path


@pytest.mark.parametrize("mode", ["auto", "exact"])
def test_one_process_describes_all(folder, mode):
    photographs = [*photographs_of(folder / "whole"), Photograph(folder / "whole", "0.jpg")]
    found = extract_together(MeanColour(mode), photographs, (0.5, 1.0), label="x")
    expected, _ = extract(MeanColour(mode), photographs, (0.5, 1.0), label="x")
    assert found.tobytes() == expected.tobytes()
    assert extract_together(MeanColour(mode), [], (1.0,), label="x").shape == (0, 3)


def test_it_hears_that_it_has_to_stop(folder):
    describer, answers = MeanColour("exact"), iter([False, False, True])
    options = {"label": "x", "stopped": lambda: next(answers)}
    assert extract_together(describer, photographs_of(folder / "whole"), (1.0,), **options) is None
    assert 3 <= len(describer.filled) < len(SHAPES)


def test_a_number_that_is_not_finite_is_an_error(folder, monkeypatch):
    nothing = np.full((1, 3), np.nan, np.float32)
    monkeypatch.setattr(MeanColour, "__call__", lambda *_, **__: nothing)
    with pytest.raises(UserError, match="the descriptor of row 0 is not finite"):
        extract_together(MeanColour("exact"), photographs_of(folder / "whole"), (1.0,), label="x")


@pytest.mark.slow
def test_two_processes_describe_half_each_stop_together_and_fail_together(folder):
    processes = start_two("describe_together", folder)
    with ended(*processes):
        outputs = [process.communicate(timeout=100) for process in processes]
    assert [process.returncode for process in processes] == [USER_ERROR_EXIT_CODE] * 2, outputs

    expected, _ = extract(MeanColour("exact"), photographs_of(folder / "whole"), (1.0,), label="x")
    for index in range(2):
        assert np.load(folder / f"{index}.npy").tobytes() == expected.tobytes()
    said = [[line for line in out.splitlines() if "Gloo" not in line] for out, _ in outputs]
    assert [lines[0] for lines in said] == ["described 4", "described 3"]
    assert said[0][1] == said[1][1] and said[0][1].startswith("stopped when asked for the time ")

    last = [errors.splitlines()[-1] for _, errors in outputs]
    assert last[1].startswith("error: cannot read ") and f"{BROKEN}.jpg" in last[1]
    assert last[0] == last[1].replace("error: ", "error: process 1: ")
