"""Weights of the formats that there were, and of those that there may be.

`fixtures/weights_format_1.zip` was written by the last version that knew format 1 alone: folders
and files of three small networks, and what they made of the pixels below.
"""

import json
import pathlib
import zipfile

import jax
import numpy as np
import pytest
import safetensors.numpy

from senet_jax.convert.sources import read_source
from senet_jax.convert.translate import state_from_weights
from senet_jax.models.cvnet import (
    PairRegion,
    Reranker,
    reranker_params,
    resizings,
    stage3_before_relu,
)
from senet_jax.models.preprocessing import normalise
from senet_jax.models.registry import build_model, family_of
from senet_jax.models.valid_region import WHOLE
from senet_jax.system.errors import UserError
from senet_jax.weights import load_weights, save_weights
from tests.programs import quickly
from tests.tolerances import FEW_ROUNDINGS

FIXTURE = pathlib.Path(__file__).parent / "fixtures" / "weights_format_1.zip"
FAMILIES = {"small": "senet", "small_cvnet": "cvnet", "small_trunk": "resnet"}
PIXELS = (np.arange(64 * 48 * 3) * 7919 % 251).astype(np.uint8).reshape(1, 64, 48, 3)


@pytest.fixture(scope="module")
def of_format_1(tmp_path_factory):
    folder = tmp_path_factory.mktemp("format_1")
    with zipfile.ZipFile(FIXTURE) as archive:
        archive.extractall(folder)
    return folder


@pytest.mark.parametrize("name", FAMILIES)
def test_folders_of_format_1_give_the_same_tensors_and_outputs(of_format_1, name):
    assert json.loads((of_format_1 / name / "model.json").read_text())["format"] == 1
    weights = load_weights(of_format_1 / name)
    assert family_of(weights.architecture).name == FAMILIES[name]
    stored = safetensors.numpy.load_file(of_format_1 / name / "weights.safetensors")
    carried = {key for key in stored if key.startswith("carried/")}
    assert stored.keys() - carried <= weights.tensors.keys()
    for path in stored.keys() - carried:
        assert weights.tensors[path].tobytes() == stored[path].tobytes(), path
    model = build_model(weights.architecture)
    images = normalise(PIXELS, weights.preprocessing)
    output, _ = jax.jit(model.apply)(weights.variables(), images)
    expected = json.loads((of_format_1 / "expected.json").read_text())[name]
    np.testing.assert_allclose(output[0], expected["output"], rtol=0, atol=FEW_ROUNDINGS)


def test_the_reranker_that_format_1_carried_along_scores_the_same(of_format_1):
    weights = load_weights(of_format_1 / "small_cvnet")
    assert not weights.carried
    variables, model = weights.variables(["reranker"]), build_model(weights.architecture)
    images = normalise(PIXELS, weights.preprocessing)

    def score_with_its_mirror(variables, images):
        stage3 = stage3_before_relu(model, variables, images, WHOLE)
        size = stage3.shape[1:3]
        reranker = {"params": reranker_params(variables)}
        maps = Reranker().apply(reranker, stage3, resizings(size, size), method="maps")
        region = PairRegion(np.array([[*size, *size]]))
        return Reranker().apply(reranker, maps, maps[:, :, ::-1], region, method="scores")

    [score] = quickly(score_with_its_mirror)(variables, images)
    expected = json.loads((of_format_1 / "expected.json").read_text())["small_cvnet"]["score"]
    np.testing.assert_allclose(score, expected, rtol=0, atol=FEW_ROUNDINGS)


@pytest.mark.parametrize("name", ["small", "small_cvnet"])
def test_weights_of_format_1_become_format_2_and_the_same_checkpoint(of_format_1, tmp_path, name):
    save_weights(tmp_path / "weights", load_weights(of_format_1 / name))
    described = json.loads((tmp_path / "weights" / "model.json").read_text())
    assert (described["format"], described["family"]) == (2, FAMILIES[name])
    weights = load_weights(tmp_path / "weights")
    assert set(weights.carried) <= {"stem.bn.num_batches_tracked"}
    state = state_from_weights(weights)
    theirs = safetensors.numpy.load_file(of_format_1 / f"{name}.safetensors")
    assert state.keys() == theirs.keys()
    for key, array in theirs.items():
        assert state[key].dtype == array.dtype and state[key].tobytes() == array.tobytes(), key


@pytest.mark.parametrize("name", ["small", "small_cvnet"])
def test_files_of_format_1_are_the_folders_of_format_1(of_format_1, name):
    ours, _ = read_source(str(of_format_1 / f"{name}.safetensors"))
    folder = load_weights(of_format_1 / name)
    assert ours.architecture == folder.architecture and ours.source == folder.source
    assert ours.tensors.keys() == folder.tensors.keys()
    for path, tensor in folder.tensors.items():
        assert ours.tensors[path].tobytes() == tensor.tobytes(), path


@pytest.fixture
def described(of_format_1, tmp_path):
    """Writes small weights whose description is changed, of format 2; gives their folder."""
    save_weights(tmp_path / "weights", load_weights(of_format_1 / "small"))

    def change(changes):
        path = tmp_path / "weights" / "model.json"
        value = json.loads(path.read_text())
        del value["checksum"]
        path.write_text(json.dumps(changes(value)))
        return tmp_path / "weights"

    return change


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"format": 3}, "the format is 3, and 1 to 2 are read here; install the version"),
        ({"format": True}, "the format is True, and 1 to 2"),
        ({"format": "2"}, "the format is '2', and 1 to 2"),
        ({"format": None}, "the format is None, and 1 to 2"),
        ({"family": "lite0"}, "no family of models is called 'lite0'; there are senet, resnet"),
        ({"family": "os:system"}, "no family of models is called 'os:system'"),
        ({"family": ["senet"]}, r"no family of models is called \['senet'\]"),
        ({"family": "cvnet"}, "does not describe a network"),
    ],
)
def test_an_unknown_format_or_family_is_one_line(described, changes, message):
    folder = described(lambda value: value | changes)
    with pytest.raises(UserError, match=message) as caught:
        load_weights(folder)
    assert str(folder / "model.json") in str(caught.value) and "\n" not in str(caught.value)


def test_a_folder_without_a_format_is_of_format_1(described):
    folder = described(
        lambda value: {k: v for k, v in value.items() if k not in ("format", "family")}
    )
    assert family_of(load_weights(folder).architecture).name == "senet"


def test_settings_that_came_later_are_filled_in(described, of_format_1):
    def without(value):
        del value["architecture"]["head"], value["architecture"]["self_similarity"]["fusion"]
        return value

    folder = described(without)
    assert load_weights(folder).architecture == load_weights(of_format_1 / "small").architecture


def test_settings_that_are_not_known_yet_are_one_line(described):
    def with_more(value):
        value["architecture"]["attention"] = "global"
        return value

    with pytest.raises(UserError, match=r"does not describe a network .*'attention' is unknown"):
        load_weights(described(with_more))
