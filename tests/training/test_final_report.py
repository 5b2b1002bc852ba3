"""What a training leaves of its evaluations, with stand-ins for both."""

import cv2
import numpy as np
import pytest

from senet_jax.data.revisitop import load_dataset
from senet_jax.metrics.report import evaluate_ranks
from senet_jax.metrics.saved import load_lists, read_report
from senet_jax.report.__main__ import main as report
from senet_jax.system.signals import PREEMPTED_EXIT_CODE
from senet_jax.weights import load_weights
from tests.training.stand_in import stop_at

# ml_collections loads a config file in an old way.
pytestmark = pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")


def test_the_lists_of_before_and_after_are_kept_although_it_was_stopped(
    evaluated, tiny_world, run_command_here
):
    assert evaluated(after_step=stop_at(1)).returncode == PREEMPTED_EXIT_CODE
    done = evaluated()
    assert done.returncode == 0, done.stderr
    found = read_report(done.workdir / "report.json")
    names = ["landmarks", "landmarks_untrained"]
    assert list(found.entries) == names
    files = {f"{folder}/{name}.npy" for folder in ("ranks", "scores") for name in names}
    assert set(found.run.files_crc32) == files
    truth = load_dataset(tiny_world, "landmarks").ground_truth
    lists = {
        name: load_lists(done.workdir, name, found.run.files_crc32, len(truth.image_names))
        for name in names
    }
    for name, of_name in lists.items():
        again = evaluate_ranks(truth, of_name.ranked)
        assert again.to_json() == found.entries[name].to_json()
    assert (lists[names[0]].ranked.ranks != lists[names[1]].ranked.ranks).any()
    assert all((np.diff(each.similarities) <= 0).all() for each in lists.values())

    drawn = run_command_here(report, done.workdir)
    assert drawn.returncode == 0, drawn.stderr
    assert cv2.imread(str(done.workdir / "ranked_lists.png")).shape[0] > 3 * 234


def test_the_weights_and_the_page_say_what_the_network_was_trained_on(train, tmp_path):
    seen = "synthetic_landmarks (48 images of 12 classes)"
    first = train(workdir=tmp_path / "first")
    assert first.returncode == 0, first.stderr
    weights = load_weights(first.workdir / "weights")
    assert weights.training_set == seen
    assert weights.training_sets == ("synthetic_landmarks",)
    second = train(start=first.workdir / "weights", workdir=tmp_path / "second")
    assert second.returncode == 0, second.stderr
    assert load_weights(second.workdir / "weights").training_set == f"{seen}, then {seen}"
    for done, told in ((first, seen), (second, f"{seen}, then {seen}")):
        assert f"The network was trained on {told}." in (done.workdir / "report.html").read_text()
