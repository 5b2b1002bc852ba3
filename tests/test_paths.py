"""Every path that a user can give: `~` is the home, and another machine's are refused in a line."""

import argparse
import functools
import importlib
import importlib.util
import pathlib

import matplotlib as mpl
import numpy as np
import pytest

from senet_jax import main as main_module
from senet_jax import quantise
from senet_jax.command_line import expand_paths, settings_of, validate
from senet_jax.config import flat, schema_of
from senet_jax.study.plan import COMPARISONS
from senet_jax.system import distributed, runtime
from senet_jax.system.errors import CommandParser, UserError
from tests.test_commands import COMMANDS
from tests.test_config import _evaluation, _training, _training_on_pairs

# Flags that are no paths; with their command where another has a path of that name.
OTHERS = {
    *(
        "--alphas",
        "--backend",
        "--box",
        "--dataset",
        "--devices",
        "--distributed",
        "--help",
        "--host",
        "--method",
        "--model",
        "--no-whiten",
        "--port",
        "--rerank",
        "--token",
    ),
    *("--point", "--protocol", "--width"),
    *("name", "--neighbours", "--size", "--storage", "--threshold", "--top", "--verbose"),
    *("--seed", "--side", "--training_families", "--validation_families"),
    *("--evaluation_families", "--siblings", "--training_views", "--queries", "--easy", "--hard"),
    *(
        "--seeds",
        "--variants",
        "--jobs",
        "--set",
        "--systems",
        "--datasets",
        "systems --distractors",
    ),
    *(f"{tables} --distractors" for tables in (*COMPARISONS, "ablations", "all")),
    *("--backend", "--processes", "--junk", "--held_out", "synthetic_landmarks --distractors"),
    "--count",
    "senet_jax.export --to",
}
REMOTE = "gs://bucket/a"


class _Parsed(Exception):
    pass


def _module(command):
    is_package = importlib.util.find_spec(command).submodule_search_locations is not None
    return importlib.import_module(f"{command}.__main__" if is_package else command)


def _parsers():
    """For the words that begin a command line, its module's main function and its parser."""

    def stop(parser, *_):
        raise _Parsed(parser)

    for command in COMMANDS:
        main = _module(command).main
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(CommandParser, "parse_args", stop)
            patch.setattr(CommandParser, "parse_known_args", stop)
            with pytest.raises(_Parsed) as parsed:
                main()
        (parser,) = parsed.value.args
        nested = [a for a in parser._actions if isinstance(a, argparse._SubParsersAction)]
        for word, own in nested[0].choices.items() if nested else [(None, parser)]:
            yield f"{command} {word}" if word else command, (main, own, [word] * bool(word))


PARSERS = dict(_parsers())


def _paths_and_others(command):
    _, parser, words = PARSERS[command]
    actions = [a for a in parser._actions if not isinstance(a, argparse._HelpAction)]
    names = {(a.option_strings or [a.dest])[-1]: a for a in actions}
    is_other = {
        name: bool({name, " ".join([*words, name]), f"{command} {name}"} & OTHERS) for name in names
    }
    return (
        {name: action for name, action in names.items() if not is_other[name]},
        {name: action for name, action in names.items() if is_other[name]},
    )


PATHS = [(command, name) for command in PARSERS for name in _paths_and_others(command)[0]]


def test_the_flags_are_found():
    assert ("senet_jax.main", "--workdir") in PATHS
    assert ("senet_jax.data.prepare folder", "--images") in PATHS
    assert len(PATHS) > 35


@pytest.fixture
def home(tmp_path, monkeypatch):
    mpl.get_configdir(), mpl.get_cachedir()  # It asks once where they are, and makes them.
    (tmp_path / "home").mkdir()
    (tmp_path / "here").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "here")
    yield tmp_path / "home"
    assert not list((tmp_path / "here").iterdir())


def _value(flag, path):
    return ",".join([path] * 3) if flag in ("--on", "--report") else path


@pytest.mark.parametrize(("command", "name"), PATHS)
def test_a_path_on_the_command_line(command, name, home, run_command_here):
    """The flag expands its own value, and the command refuses another machine's."""
    paths, others = _paths_and_others(command)
    main, _, words = PARSERS[command]
    if paths[name].type is not None:  # `score.compare` takes its arguments apart later.
        assert str(home / "a") in str(paths[name].type(_value(name, "~/a")))

    values = {flag: _value(flag, REMOTE if flag == name else "~/a") for flag in paths}
    values |= {flag: next(iter(action.choices or ["a"])) for flag, action in others.items()}
    arguments = words + [
        f"{flag}={values[flag]}" if action.option_strings else values[flag]
        for flag, action in {**paths, **others}.items()
        if action.required or flag == name
    ]
    takes_all = main.__module__ in ("senet_jax.main", "senet_jax.forecast.__main__")
    whole = functools.partial(main, ["", *arguments]) if takes_all else main
    done = run_command_here(whole, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: 'gs://bucket/a' is no path of this machine")
    assert done.stderr.count("\n") == 1
    assert not list(home.iterdir())


def test_a_command_reads_and_writes_at_home(home, run_command_here):
    np.save(home / "x.npy", np.eye(3, dtype=np.float32))
    done = run_command_here(quantise.main, "~/x.npy", "~/new/y.npy", "--storage=float16")
    assert (done.returncode, done.stdout) == (0, f"wrote {home / 'new' / 'y.npy'}\n")
    assert np.load(home / "new" / "y.npy").dtype == np.float16


CONFIGS = {
    "evaluate": (
        _evaluation,
        {"weights", "data_root", "cvnet_weights", "lightglue_weights", "local_features"},
    ),
    "train": (_training, {"start", "data.folder", "evaluation.data_root"}),
    "train_pairs": (_training_on_pairs, {"start", "data.folder"}),
}


@pytest.mark.parametrize("job", CONFIGS)
def test_paths_in_a_config(job, home):
    make, paths = CONFIGS[job]
    schema = schema_of(settings_of(job), make({}))
    assert {key for key in schema if "folder" in f"{key} {schema[key].meaning}"} == paths
    for key in paths:
        config = make({key: "~/a"})
        validate(config)
        expand_paths(config)
        assert flat(config)[key] == str(home / "a")
        for remote in (REMOTE, "s3://a", "hdfs://a/b"):
            with pytest.raises(UserError, match=f"config.{key} is '{remote}'.* no path of this"):
                validate(make({key: remote}))
    config = make({})
    before = flat(config)
    expand_paths(config)
    assert flat(config) == before


@pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")
def test_the_config_itself_and_what_it_names(home, monkeypatch, run_command_here):
    """The job gets plain paths."""
    source = pathlib.Path(main_module.__file__).parents[1] / "configs" / "evaluate.py"
    (home / "mine.py").write_text(source.read_text())
    started = []
    monkeypatch.setattr(main_module, "_job", lambda name: lambda *given: started.append(given))
    monkeypatch.setattr(runtime, "tune_for_inference", lambda: None)
    monkeypatch.setattr(distributed, "announce", lambda: None)
    monkeypatch.setattr(main_module, "_write_page", lambda workdir: None)
    arguments = ["--config=~/mine.py:tiny", "--workdir=~/runs", "--config.weights=~/w"]
    done = run_command_here(lambda: main_module.main(["main", *arguments]))
    assert (done.returncode, done.stderr) == (0, "")
    ((config, workdir),) = started
    assert (config.weights, workdir, config.model) == (str(home / "w"), home / "runs", "tiny")
