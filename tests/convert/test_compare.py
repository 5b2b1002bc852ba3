import cv2
import pytest
import torch

from senet_jax.convert.compare import main
from senet_jax.convert.translate import weights_from_state
from senet_jax.weights import save_weights
from tests.convert.checkpoints import save, state_dict, under_torchvision_names
from tests.data.pictures import picture
from tests.oracles.lively_twin import lively_weights

pytestmark = pytest.mark.usefixtures("small_heads")


@pytest.fixture
def compare(run_command_here, tmp_path):
    """Compares weights with a checkpoint's state on a photograph."""
    cv2.imwrite(str(tmp_path / "photo.png"), picture(37, 61))

    def run(weights, state):
        save_weights(tmp_path / "weights", weights)
        path = save(tmp_path / "a.pth", state)
        return run_command_here(main, tmp_path / "weights", path, tmp_path / "photo.png")

    return run


def test_weights_agree_with_the_file_they_were_made_from(compare):
    done = compare(lively_weights("tiny"), state_dict("tiny"))
    assert (done.returncode, done.stderr) == (0, "")
    taken, heading, *rows, verdict = done.stdout.splitlines()
    assert taken.endswith("a.pth: PyTorch file, its 'model_state', float32 and int64")
    assert heading.split() == ["map", "shape", "largest", "difference", "relative"]
    assert [row.split()[0] for row in rows] == [
        *("stem", "s1", "s2", "s3", "s4"),
        *("q", "self_similarity", "structure", "fused", "pooled", "descriptor"),
    ]
    assert rows[0].split()[1] == "10x16x16"
    assert max(float(row.split()[-1]) for row in rows) < 1e-5
    assert verdict == "they agree to float32 rounding"


def test_torchvision_naming_gets_its_rgb(compare):
    state = under_torchvision_names(state_dict("tiny_classifier"))
    weights = weights_from_state({key: tensor.numpy() for key, tensor in state.items()}, {})
    done = compare(weights, state)
    assert (done.returncode, done.stderr) == (0, "")
    # With the stem as it is they part there, so the flip is what makes them agree.
    done = compare(lively_weights("tiny_classifier"), state)
    assert done.returncode == 2 and "they part at stem" in done.stderr


def test_a_trunk_without_a_classifier_gives_its_features(compare):
    state = state_dict("tiny_classifier")
    del state["head.fc.weight"], state["head.fc.bias"]
    weights = weights_from_state({key: tensor.numpy() for key, tensor in state.items()}, {})
    done = compare(weights, {f"backbone.{key}": tensor for key, tensor in state.items()})
    assert (done.returncode, done.stderr) == (0, "")
    assert "prefix 'backbone.' taken off" in done.stdout.splitlines()[0]
    assert done.stdout.splitlines()[-2].split()[:2] == ["descriptor", "128"]


@pytest.mark.parametrize(
    ("key", "stage"), [("s3.b1.f.b.weight", "s3"), ("SSM.FFN.2.bias", "fused")]
)
def test_the_first_map_that_differs_is_named(compare, key, stage):
    state = state_dict("tiny")
    state[key] += 0.5 * state[key].std() * torch.randn(state[key].shape)
    done = compare(lively_weights("tiny"), state)
    assert done.returncode == 2
    assert done.stderr.startswith(f"error: they part at {stage}; is ")


def test_another_network_is_refused(compare):
    done = compare(lively_weights("tiny"), state_dict("tiny_concat"))
    assert (done.returncode, done.stdout) == (2, "")
    assert "do not fit tiny" in done.stderr and "looks like tiny_concat" in done.stderr
