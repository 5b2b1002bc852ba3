import importlib.util
import pathlib

import pytest
from ml_collections import config_dict

from senet_jax.config import names, validate
from senet_jax.errors import UserError
from senet_jax.models.architecture import ARCHITECTURES
from senet_jax.models.senet import variable_shapes

CONFIGS = pathlib.Path(__file__).parents[1] / "configs"


def _get_config(file_name, *model):
    spec = importlib.util.spec_from_file_location("config", CONFIGS / file_name)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.get_config(*model)


def _evaluation(**changes):
    """A valid config with some keys changed; None takes a key away."""
    config = _get_config("evaluate.py", "tiny")
    config.weights = "weights"
    with config.unlocked(), config.ignore_type():
        for key, value in changes.items():
            if value is None:
                del config[key]
            else:
                config[key] = value
    return config


# file -> the names that may follow its colon.
SHIPPED = {"evaluate.py": [name for name, known in ARCHITECTURES.items() if known.describes]}


def test_every_shipped_config_is_tested():
    runnable = {path.name for path in CONFIGS.glob("*.py") if "def get_config" in path.read_text()}
    assert runnable == set(SHIPPED)


@pytest.mark.parametrize(
    ("file_name", "model"), [(file, name) for file, names_ in SHIPPED.items() for name in names_]
)
def test_shipped_config(file_name, model):
    config = _get_config(file_name, model)
    config.weights = "weights"
    validate(config)
    assert config.model == model


@pytest.mark.slow
@pytest.mark.parametrize("name", ARCHITECTURES)
def test_every_model_can_be_built(name):
    assert variable_shapes(ARCHITECTURES[name])["params"]


def test_the_default_is_r50_of_the_benchmark():
    config = _get_config("evaluate.py")
    assert config.model == "r50"
    assert config.scales == (0.7071, 1.0, 1.4142)
    assert config.crop_queries is True


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"colour": "red"}, "config.colour is unknown to the job evaluate; keys: job, model"),
        ({"strict": None}, "config.strict is missing; the job evaluate needs it"),
        ({"job": "sleep"}, "config.job is 'sleep'; jobs are evaluate"),
        ({"job": None}, "config.job is None; jobs are evaluate"),
        ({"job": ["evaluate"]}, r"config.job is \['evaluate'\]; jobs are"),
        ({"weights": ""}, "config.weights is ''; it has to be a name that is not empty"),
        ({"weights": " "}, "config.weights is ' '; it has to be a name that is not empty"),
        ({"data_root": 3}, "config.data_root is 3; it has to be a name"),
        ({"datasets": ","}, "config.datasets is ','; it has to be names"),
        ({"datasets": ("a",)}, "config.datasets is .*; it has to be names, separated by commas"),
        ({"distractors": False}, "config.distractors is False; it has to be a string"),
        ({"scales": ()}, r"config.scales is \(\); it has to be a tuple of positive numbers"),
        ({"scales": (1, -1)}, r"config.scales is \(1, -1\)"),
        ({"scales": (1, float("nan"))}, r"config.scales is \(1, nan\)"),
        ({"scales": ("1",)}, "config.scales is"),
        ({"scales": 1.0}, "config.scales is 1.0"),
        ({"crop_queries": 1}, "config.crop_queries is 1; it has to be True or False"),
        ({"strict": "yes"}, "config.strict is 'yes'; it has to be True or False"),
        ({"mode": "fast"}, "config.mode is 'fast'; it has to be one of auto, exact"),
        ({"model": "r51"}, "no model is called 'r51'; there are r50"),
        ({"model": "resnet50"}, "'resnet50', a classifier of ImageNet; evaluation needs"),
    ],
)
def test_wrong_config_is_one_line(changes, message):
    with pytest.raises(UserError, match=message):
        validate(_evaluation(**changes))


def test_an_empty_config_is_one_line():
    with pytest.raises(UserError, match=r"config\.job is None"):
        validate(config_dict.ConfigDict())


def test_names_are_separated_by_commas():
    assert names("a") == ["a"]
    assert names(" a, b ,,c") == ["a", "b", "c"]
    assert names("") == []
    with pytest.raises(UserError, match="'a,b, a' names 'a' more than once; name it once"):
        names("a,b, a")
