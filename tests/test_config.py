import functools
import importlib.util
import itertools
import json
import pathlib

import pytest
from ml_collections import config_dict

from senet_jax.command_line import keys_help, settings_of, validate
from senet_jax.config import flat, names, read, to_config
from senet_jax.data.builder import build
from senet_jax.data.synthetic_landmarks import TINY, training_source
from senet_jax.models.registry import ARCHITECTURES, describes
from senet_jax.system.errors import UserError
from senet_jax.training.loop import train
from senet_jax.training.pairs.job import train_pairs

CONFIGS = pathlib.Path(__file__).parents[1] / "configs"


def _load(file_name):
    spec = importlib.util.spec_from_file_location("config", CONFIGS / file_name)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _get_config(file_name, *model):
    return _load(file_name).get_config(*model)


def _changed(config, changes):
    """The config with values under `a.b` changed, maybe to another type; None takes a key away."""
    with config.unlocked(), config.ignore_type():
        for key, value in changes.items():
            *parents, leaf = key.split(".")
            part = functools.reduce(getattr, parents, config)
            if value is None:
                del part[leaf]
            else:
                part[leaf] = value
    return config


def _evaluation(changes):
    return _changed(_get_config("evaluate.py", "tiny"), {"weights": "weights"} | changes)


def _training(changes):
    return _changed(_load("common.py").train("tiny"), changes)


def _training_on_pairs(changes):
    return _changed(_get_config("demo_reranker.py"), changes)


# The names that may follow a file's colon, where there are any.
NAMES = {
    "ablation.py": ["baseline", "concat", "direct", "dot"],
    "finetune.py": ["datasets/mine"],
    "landmarks.py": ["baseline", "channel_wise", "concat", "direct", "dot", "fusion"],
    "photographs.py": ["baseline", "channel_wise", "concat", "direct", "dot", "fusion"],
    "study.py": ["baseline", "both", "channel_wise", "classification", "concat", "dot", "fusion"],
    "evaluate.py": [name for name, known in ARCHITECTURES.items() if describes(known)],
}
SHIPPED = [
    (path.name, *name)
    for path in sorted(CONFIGS.glob("*.py"))
    if hasattr(_load(path.name), "get_config")
    for name in ([(name,) for name in NAMES.get(path.name, ())] or [()])
]


@pytest.mark.parametrize("arguments", SHIPPED, ids=":".join)
def test_shipped_config(arguments):
    config = _get_config(*arguments)
    if config.get("weights") == "":  # For the user to name.
        config.weights = "weights"
    validate(config)
    assert arguments[0] != "evaluate.py" or config.model == arguments[1]


def test_shipped_configs_are_found():
    assert ("evaluate.py", "r50") in SHIPPED


JOBS_THAT_TRAIN = {"train": train, "train_pairs": train_pairs}
TRAININGS, PAIR_TRAININGS = (
    [arguments for arguments in SHIPPED if _get_config(*arguments).job == job]
    for job in JOBS_THAT_TRAIN
)


@pytest.mark.parametrize("arguments", TRAININGS + PAIR_TRAININGS, ids=":".join)
def test_without_data_a_line_says_how_to_get_it(arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = _get_config(*arguments)
    command = f"python -m senet_jax.data.prepare .*--target={config.data.folder}$"
    with pytest.raises(UserError, match=command):
        JOBS_THAT_TRAIN[config.job](config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "arguments", [a for a in TRAININGS + PAIR_TRAININGS if _get_config(*a).start], ids=":".join
)
def test_without_its_start_a_line_says_how_to_get_it(arguments, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = _get_config(*arguments)
    build(training_source(TINY), config.data.folder)
    command = f"no weights folder at {config.start}; make one with `python -m senet_jax.convert"
    with pytest.raises(UserError, match=command):
        JOBS_THAT_TRAIN[config.job](config, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_a_training_on_own_photographs_is_evaluated_on_what_is_held_out(tmp_path):
    folder = tmp_path / "photos"
    assert _get_config("finetune.py", f"{folder}/").evaluation.datasets == ""
    (tmp_path / "photos_held_out").mkdir()
    config = _get_config("finetune.py", f"{folder}/")
    assert (config.evaluation.datasets, config.evaluation.data_root) == (
        "photos_held_out",
        str(tmp_path),
    )
    with pytest.raises(ValueError, match=r"name the prepared dataset, --config=configs/finetune"):
        _get_config("finetune.py")


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
        ({"scales": ()}, r"config.scales is \(\); it has to be a tuple of numbers from 0.01 to 16"),
        ({"scales": (1, -1)}, r"config.scales is \(1, -1\)"),
        ({"scales": (1, float("nan"))}, r"config.scales is \(1, nan\)"),
        ({"scales": ("1",)}, "config.scales is"),
        ({"scales": (0.009,)}, "config.scales is .*; it has to be a tuple of numbers from 0.01"),
        ({"scales": (16.1,)}, "config.scales is .*; it has to be a tuple of numbers from 0.01"),
        ({"rerank_top": 2**31}, "config.rerank_top is 2147483648; it has to be an integer from 1"),
        ({"rerank_top": 10**5000}, "config.rerank_top is <int>; it has to be an integer from 1"),
        ({"mode": "\x1b[2J" * 100}, r"config.mode is '\\x1b\[2J.*; it has to be one of auto"),
        ({"data_root": "a" * 256}, "config.data_root is .*; .* has a name that is too long"),
        ({"scales": 1.0}, "config.scales is 1.0"),
        ({"crop_queries": 1}, "config.crop_queries is 1; it has to be True or False"),
        ({"strict": "yes"}, "config.strict is 'yes'; it has to be True or False"),
        ({"mode": "fast"}, "config.mode is 'fast'; it has to be one of auto, exact"),
        ({"model": "r51"}, "no model is called 'r51'; there are r50"),
        (
            {"model": "resnet50"},
            "'resnet50', which gives no descriptors of images; the job evaluate needs",
        ),
    ],
)
def test_wrong_config_is_one_line(changes, message):
    with pytest.raises(UserError, match=message):
        validate(_evaluation(changes))


def test_the_recipe_of_the_training_configs():
    validate(_training({}))
    validate(_load("common.py").classification_only(_training({})))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"data.colour": 1}, "config.data.colour is unknown to the job train"),
        ({"data": 1}, "config.data is unknown to the job train"),
        ({"data.side": None}, "config.data.side is missing; the job train needs it"),
        ({"data.side": 512.0}, "config.data.side is 512.0; it has to be an integer from 1 on"),
        ({"batch_size": True}, "config.batch_size is True; it has to be an integer from 1 on"),
        ({"epochs": 0.0}, "config.epochs is 0.0; it has to be a number above 0"),
        ({"epochs": float("inf")}, "config.epochs is inf; it has to be a number"),
        ({"optimizer.momentum": 1.0}, "is 1.0; it has to be a number from 0 on and below 1"),
        ({"optimizer.no_weight_decay": "bias"}, "is 'bias'; it has to be a tuple of regular"),
        ({"optimizer.rate_multipliers": (("fc",),)}, "it has to be a tuple of .*pairs"),
        (
            {"optimizer.no_weight_decay": ("bias", "(")},
            r"config.optimizer.no_weight_decay has '\(', which is no regular expression: missing",
        ),
        (
            {"optimizer.rate_multipliers": (("fc", 1.0), ("[a", 2.0))},
            r"config.optimizer.rate_multipliers has '\[a', which is no regular expression: unterm",
        ),
        (
            {"optimizer.no_weight_decay": ("a{99999999999999999999}",)},
            "is no regular expression: the repetition number is too large; mend it",
        ),
        ({"optimizer.recipe": (144,)}, "a pair of a batch size and a learning rate, such as"),
        ({"losses.margin_kind": "sphere"}, "it has to be one of curricular, arc"),
        ({"optimizer.warmup_epochs": 25.0}, "warm up over a part of the training"),
        ({"losses.queue_length": 143}, "the queue takes at least a batch"),
        ({"data.group_classes": 2}, "give both or none"),
        (
            {"allow_changes": "optimizer.learning_rate,seed"},
            "config.allow_changes names 'seed'; only a rate .*: optimizer.learning_rate",
        ),
        (
            {"losses.classification_weight": 0.0, "losses.contrastive_weight": 0.0},
            "are 0; one loss is needed",
        ),
        ({"model": "resnet50"}, "which gives no descriptors of images; the job train needs"),
        ({"model": "disk"}, "which gives no descriptors of images; the job train needs"),
    ],
)
def test_wrong_training_config_is_one_line(changes, message):
    with pytest.raises(UserError, match=message):
        validate(_training(changes))


def test_an_empty_config_is_one_line():
    with pytest.raises(UserError, match=r"config\.job is None"):
        validate(config_dict.ConfigDict())


def test_names_are_separated_by_commas():
    assert names("a") == ["a"]
    assert names(" a, b ,,c") == ["a", "b", "c"]
    assert names("") == []
    with pytest.raises(UserError, match="'a,b, a' names 'a' more than once; name it once"):
        names("a,b, a")


@pytest.mark.parametrize("arguments", [("evaluate.py",), ("r50_cls.py",), ("demo.py",)])
def test_help_says_of_each_key_its_value_and_its_meaning(arguments):
    config = _get_config(*arguments)
    lines = keys_help(config).splitlines()
    values = [line for line in lines if line.startswith("  --")]
    keys = [line.split("=")[0].removeprefix("  --config.") for line in values]
    assert sorted(keys) == sorted(flat(config)) and keys[:2] == ["job", "model"]
    for value, meaning in itertools.pairwise(lines):
        assert not (value.startswith("  --") and meaning.startswith("  --")), value
    assert "UNKNOWN" not in "".join(lines)
    assert max(map(len, lines)) <= 100


def test_the_values_in_the_help_are_as_a_shell_takes_them():
    text = keys_help(_evaluation({"weights": "my weights", "colour": "red"}))
    assert "  --config.weights='my weights'\n        weights folder" in text
    assert "  --config.scales='(0.7071, 1.0, 1.4142)'\n" in text
    assert text.endswith("\n  --config.colour=red\n        UNKNOWN to this job")


@pytest.mark.parametrize("arguments", SHIPPED, ids=":".join)
def test_a_config_and_its_settings_say_the_same(arguments):
    config = _get_config(*arguments)
    if config.get("weights") == "":
        config.weights = "weights"
    settings = read(settings_of(config.job), config)
    assert to_config(settings).to_dict() == config.to_dict()
    # As a training writes them down, and reads them again.
    assert read(settings_of(config.job), json.loads(config.to_json_best_effort())) == settings


def test_help_says_where_a_value_of_the_recipe_is_from():
    text = keys_help(_training({}))
    for key, source in (
        ("optimizer.nesterov=True", "parent"),
        ("losses.contrastive_weight=0.5", "second-hand"),
        ("losses.keys_batch_norm=batch", "open"),
    ):
        meaning = text.split(f"  --config.{key}\n")[1].split("\n  --config.")[0]
        assert " ".join(meaning.split()).endswith(f"[default: {source}]")


def test_a_loss_is_in_a_config_by_its_weight():
    config = _training({key: None for key in flat(_training({})) if "losses.contr" in key})
    for key in list(config.losses):
        if key in ("queue_length", "max_positives", "network_momentum") or "keys" in key:
            del config.losses[key]
    validate(config)
    assert [loss.name for loss in read(settings_of("train"), config).losses] == ["classification"]
    with pytest.raises(UserError, match=r"config\.losses holds no loss; set config\.losses\.NAME"):
        validate(_training({"losses": config_dict.ConfigDict()}))
