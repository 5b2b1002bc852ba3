import dataclasses
import json

import jax
import pytest

from senet_jax.models.families.resnet import ResNetSettings
from senet_jax.models.families.senet import SENetSettings
from senet_jax.models.registry import ARCHITECTURES, describes, find_architecture, variable_shapes
from senet_jax.system.errors import UserError

PARAMETERS = {
    "r50": 38_923_584,
    "r101": 57_915_712,
    "r152": 73_559_360,
    "r50_baseline": 27_704_384,
    "r101_baseline": 46_696_512,
    "r152_baseline": 62_340_160,
}


@pytest.mark.parametrize("name", PARAMETERS)
def test_parameter_count(name):
    leaves = jax.tree.leaves(variable_shapes(ARCHITECTURES[name])["params"])
    assert sum(leaf.size for leaf in leaves) == PARAMETERS[name]


def test_self_similarity_module_has_its_parameters():
    assert PARAMETERS["r50"] - PARAMETERS["r50_baseline"] == 11_219_200
    leaves = jax.tree.leaves(variable_shapes(ARCHITECTURES["r50"])["params"]["ssm"])
    assert sum(leaf.size for leaf in leaves) == 11_219_200


def test_every_network_has_its_ablations():
    for base in ("r50", "r101", "r152", "tiny", "demo"):
        module = ARCHITECTURES[base].self_similarity
        assert ARCHITECTURES[f"{base}_direct"].self_similarity == dataclasses.replace(
            module, similarity="direct"
        )
        assert ARCHITECTURES[f"{base}_dot"].self_similarity == dataclasses.replace(
            module, measure="dot"
        )
        assert ARCHITECTURES[f"{base}_concat"].self_similarity == dataclasses.replace(
            module, fusion="concat"
        )
        assert ARCHITECTURES[f"{base}_fusion"].self_similarity == dataclasses.replace(
            module, similarity="none"
        )
        assert ARCHITECTURES[f"{base}_baseline"].self_similarity is None


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_json_there_and_back(name):
    value = json.loads(json.dumps(ARCHITECTURES[name].to_json()))
    assert type(ARCHITECTURES[name]).from_json(value) == ARCHITECTURES[name]


@pytest.mark.parametrize(
    "changes",
    [
        {"name": 7},
        {"depths": [1, 1, 1]},
        {"depths": "1111"},
        {"depths": [1, 1, 1, 0]},  # Nothing makes the map of stage 3 as wide as that of stage 4.
        {"depths": [1, 0, 1, 1], "stage_widths": [32, 32, 96, 128]},  # Nor half as large.
        {"depths": [1, 1, 0, 1], "stage_widths": [32, 64, 64, 128]},
        {"depths": [1, 1, 1, 1.5]},
        {"outputs": "128"},
        {"outputs": True},
        {"stem_width": -16},
        {"head": "max"},
        {"self_similarity": False},
        {"self_similarity": {"similarity": "diagonal"}},
        {"self_similarity": {"colour": 1}},
        {"self_similarity": {"window": 6}},
        {"self_similarity": {"width": None}},
        {"unknown": 1},
        # What no network can have; each of them hung or ended in a traceback.
        {"depths": [1, 1, 2**63, 1]},
        {"depths": [1, 1, 1000, 1]},
        {"depths": [40, 40, 40, 40]},
        {"stage_widths": [32, 64, 96, 1]},
        {"stage_widths": [32, 64, 10**400, 128]},
        {"stage_strides": [1, 2, 1, 64]},
        {"stem_width": 2**40},
        {"outputs": 2**31},
        {"outputs": 10**4000},
        {"self_similarity": {"window": 1}},
        {"self_similarity": {"window": 2**31 + 1}},
        {"self_similarity": {"width": 2**31}},
        {"self_similarity": {"similarity": ["channelwise"]}},
        {"head": ["gem"]},
        {"head": {}},
        {"head": "average"},
        {"head": "classifier"},
        {"head": "average", "self_similarity": None, "outputs": 7},
        {"name": ""},
        {"name": "x" * 65},
        {"name": "\x1b[31mred"},
        {"name": "../tiny"},
    ],
)
def test_wrong_json_is_one_line(changes):
    value = ARCHITECTURES["tiny"].to_json() | changes
    with pytest.raises(UserError, match="does not describe a network") as caught:
        SENetSettings.from_json(value)
    assert len(str(caught.value)) < 500


def test_a_trunk_without_its_classifier_there_and_back():
    trunk = ARCHITECTURES["resnet50"].without_classifier()
    assert (trunk.outputs, describes(trunk)) == (2048, False)
    assert type(trunk).from_json(json.loads(json.dumps(trunk.to_json()))) == trunk
    assert not any("fc" in path for path in variable_shapes(trunk)["params"])


def test_an_average_has_no_outputs_of_its_own():
    value = ARCHITECTURES["resnet50"].to_json() | {"head": "average", "outputs": 7}
    with pytest.raises(UserError, match="it has 7 outputs and no layer that makes them"):
        ResNetSettings.from_json(value)


def test_what_is_missing_is_the_default_if_there_is_one():
    value = ARCHITECTURES["r50"].to_json()
    for key, entry in value.items():
        rest = {other: kept for other, kept in value.items() if other != key}
        if key in ("name", "depths"):
            with pytest.raises(UserError, match=f"does not describe a network .*'{key}'"):
                SENetSettings.from_json(rest)
        else:
            assert SENetSettings.from_json(rest).to_json() == value, entry
    module = {"self_similarity": {"measure": "dot"}}
    assert SENetSettings.from_json(value | module).self_similarity.window == 7


@pytest.mark.parametrize("value", [[], None, "r50", 3])
def test_what_is_no_object_is_one_line(value):
    with pytest.raises(UserError, match="does not describe a network"):
        SENetSettings.from_json(value)


def test_unknown_name_lists_the_known_ones():
    with pytest.raises(UserError, match=r"'r51'; there are r50, .*cvnet_r101"):
        find_architecture("r51")
