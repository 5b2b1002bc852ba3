"""What the README and other texts tell a user to type, parsed by the commands, and run."""

import ast
import importlib
import json
import re
import shlex
import sys

import numpy as np
import pytest

from senet_jax import main as main_module
from senet_jax.forecast import __main__ as forecast_module
from senet_jax.system.errors import CommandParser, run_command
from tests.data.pictures import encoded, picture
from tests.installed import REPOSITORY, Installation
from tests.test_commands import COMMANDS

# ml_collections loads a config file in an old way.
pytestmark = pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")

README = (REPOSITORY / "README.md").read_text()
_COMMAND = r"(?:python -m senet_jax\.|senet-jax )([a-z][\w.]*)"


def _texts():
    """Each text that shows commands: where it is -> its lines."""
    pages = ("*.md", "*/README.md", "docs/*.md")
    for path in sorted(path for pattern in pages for path in REPOSITORY.glob(pattern)):
        yield path, path.read_text()
    for folder in ("configs", "senet_jax"):
        for path in sorted((REPOSITORY / folder).rglob("*.py")):
            source = path.read_text()
            yield path, ast.get_source_segment(source, ast.parse(source).body[0])


def _commands():
    """Every command that a text shows, in a line of its own or between backticks."""
    for path, text in _texts():
        name = str(path.relative_to(REPOSITORY))
        joined = re.sub(r"\\\n\s*", "", text)
        shown = re.findall(rf"^\s*({_COMMAND}.*?)(?:\s\s.*)?$", joined, re.MULTILINE)
        quoted = re.findall(rf"`({_COMMAND}[^`]*)`", re.sub(r"\n\s*", " ", text))
        for command, _ in [*shown, *quoted]:
            yield pytest.param(command.rstrip(":"), id=f"{name}: {command}")


class _Parsed(Exception):
    pass


def _parse(command, monkeypatch):
    """Parses a command as the one that is called does, and does not run it.

    Placeholders become what they stand for. What has three dots, or no argument, is a mention.
    """
    without_placeholder = re.sub(r"\[--config\.(key=value|KEY=VALUE)( \.\.\.)?\]", "", command)
    name, arguments = re.match(_COMMAND, command)[1], shlex.split(without_placeholder)
    module = f"senet_jax.{name}"
    arguments = arguments[2 if arguments[0] == "senet-jax" else 3 :]
    assert module in COMMANDS
    if "..." in arguments or not arguments:
        return
    arguments = [argument.strip("[]") for argument in arguments]
    arguments = [
        re.sub(r"configs/X.py|(FILE|CONFIG)(\[:NAME)?$", "configs/demo.py", a) for a in arguments
    ]
    arguments = [re.sub("=N$", "=1", argument) for argument in arguments]

    def parsed(function):
        def parse(*values):
            function(*values)
            raise _Parsed

        return parse

    monkeypatch.setattr(CommandParser, "parse_args", parsed(CommandParser.parse_args))
    for of_config in (main_module, forecast_module):
        monkeypatch.setattr(of_config, "validate", parsed(of_config.validate))
    monkeypatch.chdir(REPOSITORY)
    monkeypatch.setattr(sys, "argv", [module, *arguments])
    path = REPOSITORY / module.replace(".", "/")
    main = importlib.import_module(f"{module}.__main__" if path.is_dir() else module).main
    if module in ("senet_jax.main", "senet_jax.forecast"):
        run_command(lambda: main(sys.argv))
    else:
        run_command(main)


@pytest.mark.parametrize("command", list(_commands()))
def test_what_is_shown_is_what_the_commands_take(command, monkeypatch, capsys):
    try:
        _parse(command, monkeypatch)
    except _Parsed:
        return
    except SystemExit as end:
        assert end.code == 0, capsys.readouterr().err  # It was --help.


@pytest.mark.parametrize(
    "command",
    [
        "python -m senet_jax.converter a b",
        "senet-jax converter a b",
        "senet-jax convert a b --colour=red",
        "python -m senet_jax.convert a b --colour=red",
        "python -m senet_jax.main --config=configs/X.py --workdir=DIR --config.colour=red",
        "python -m senet_jax.forecast --config=configs/X.py --workdir=DIR",
        "python -m senet_jax.data.prepare folder --target=a",
    ],
)
def test_what_they_do_not_take_would_be_seen(command, monkeypatch):
    with pytest.raises((AssertionError, SystemExit)) as refused:
        _parse(command, monkeypatch)
    assert getattr(refused.value, "code", 2) == 2


def test_the_table_lists_every_command():
    rows = re.findall(rf"^\| `{_COMMAND}", README, re.MULTILINE)
    assert sorted(f"senet_jax.{row}" for row in rows) == COMMANDS


@pytest.fixture(scope="module")
def installation(tmp_path_factory):
    installed = Installation(tmp_path_factory.mktemp("installation"))
    found = installed.run("python -c 'import senet_jax; print(senet_jax.__file__)'", "/")
    assert found.stdout == f"{installed.package}/__init__.py\n"
    return installed


@pytest.mark.slow
@pytest.mark.parametrize(
    "config", ["r50_cls", "ablation:direct", str(REPOSITORY / "configs" / "r50_cls.py")]
)
def test_a_config_is_found_from_another_folder(installation, tmp_path, config):
    ours, theirs = (
        {path.name for path in folder.glob("*.py")}
        for folder in (REPOSITORY / "configs", installation.package / "configs")
    )
    assert ours <= theirs  # All are there, and found in one way.
    flag = f"--config={shlex.quote(config)}"
    done = installation.run(f"senet-jax main {flag} --help", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    assert "  --config.model=" in done.stdout
    assert not any(tmp_path.iterdir())


def _write_dataset(root, name):
    folder = root / "datasets" / name / "jpg"
    folder.mkdir(parents=True)
    for number in range(6):
        (folder / f"{number}.jpg").write_bytes(encoded(picture(48, 64, seed=number)))
    truth = {
        "imlist": [str(number) for number in range(6)],
        "qimlist": ["0", "1"],
        "gnd": [
            {"bbx": [0, 0, 64, 48], "easy": [place], "hard": [place + 2], "junk": []}
            for place in (0, 1)
        ],
    }
    (folder.parent / f"gnd_{name}.json").write_text(json.dumps(truth))


def _block(heading):
    """The first block of commands below a heading of the README."""
    return README.split(f"\n## {heading}\n")[1].split("```")[1]


@pytest.mark.slow
def test_the_readme_from_a_checkpoint_to_every_command(installation, tmp_path):
    """As a user types it, with the smallest network and images in place of the real ones."""
    for name in ("roxford5k", "rparis6k"):
        _write_dataset(tmp_path, name)
    for label in ("a", "b"):
        (tmp_path / "classes" / label).mkdir(parents=True)
        for number in range(2):
            image = encoded(picture(40, 40, seed=number))
            (tmp_path / "classes" / label / f"{number}.jpg").write_bytes(image)
    ranks = np.argsort(np.random.default_rng(0).random((2, 6)), axis=1).astype(np.int32)
    np.save(tmp_path / "R.npy", ranks)

    run_as = [
        "senet-jax convert random:demo:0 senet_demo.pyth",
        *_block("From a checkpoint to mAP")
        .strip()
        .replace("\\\n", "")
        .replace("r50", "demo")
        .split("\n"),
        "senet-jax convert.compare weights/demo senet_demo.pyth datasets/roxford5k/jpg/0.jpg",
        "senet-jax data.check datasets roxford5k",
        "senet-jax data.prepare folder --images=classes --target=datasets/classes",
    ]
    found = "runs/demo/descriptors/roxford5k"
    truth = "datasets/roxford5k/gnd_roxford5k.json"
    arrays = f"--query={found}/query.npy --database={found}/database.npy"
    run_as += [
        f"senet-jax score {truth} {arrays} --json=A.json",
        f"senet-jax score {truth} --ranks=R.npy --json=B.json",
        "senet-jax score.compare runs/demo/report.json runs/demo/report.json",
        f"senet-jax search.arrays {found}/query.npy {found}/database.npy R2.npy --top=3",
        "senet-jax index datasets/roxford5k index --weights=weights/demo",
        "senet-jax search index datasets/roxford5k/jpg/0.jpg --top=3 --json=found.json",
        "senet-jax duplicates index",
        f"senet-jax quantise {found}/database.npy X.npy --storage=int8",
        f"senet-jax rerank R.npy OUT.npy {arrays} --method=aqe,dba",
        "senet-jax rerank.tune --neighbours=1,2 "
        + " ".join(
            f"--{part}={truth},{found}/query.npy,{found}/database.npy" for part in ("on", "report")
        ),
        "senet-jax forecast --config=evaluate:demo --config.weights=w",
        "senet-jax report --help",
        "senet-jax figure lists runs/demo runs/demo --to=lists.svg",
        "senet-jax export weights/demo exported --to=stablehlo",
        "senet-jax serve --help",
        "senet-jax study systems --workdir=study --data_root=datasets --datasets=roxford5k "
        "--systems='weights/demo; weights/demo+alpha_qe'",
    ]
    assert {f"senet_jax.{re.match(_COMMAND, line)[1]}" for line in run_as} == set(COMMANDS)
    for line in run_as:
        done = installation.run(line, tmp_path)
        assert done.returncode == 0 and "Traceback" not in done.stderr, (line, done)
        assert done.stdout
    report = json.loads((tmp_path / "runs/demo/report.json").read_text())
    scored = json.loads((tmp_path / "A.json").read_text())
    assert scored["medium"]["map"] == report["roxford5k"]["medium"]["map"]
    made = ("runs/demo/report.html", "lists.svg", "datasets/classes/report.json", "found.json")
    made += ("study/results/results.json", "study/results/roxford5k.tex")
    for written in ("X.npy", "OUT.npy", "B.json", *made):
        assert (tmp_path / written).is_file()
    assert not list(tmp_path.glob("*.egg-info"))
