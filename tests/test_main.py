import pathlib
import subprocess
import sys

import pytest

from senet_jax import main as main_module
from senet_jax.main import main
from senet_jax.system import distributed, runtime
from senet_jax.system.distributed import Processes

REPOSITORY = pathlib.Path(__file__).parents[1]
CONFIG = REPOSITORY / "configs" / "evaluate.py"

# ml_collections loads a config file in an old way.
pytestmark = pytest.mark.filterwarnings("ignore:the load_module:DeprecationWarning")


@pytest.fixture
def jobs(monkeypatch):
    """What is run in place of jobs: a list of (name, config, workdir)."""
    started = []
    monkeypatch.setattr(
        main_module,
        "_job",
        lambda name: lambda config, workdir: started.append((name, config, workdir)),
    )
    monkeypatch.setattr(runtime, "tune_for_inference", lambda: started.append("tuned"))
    monkeypatch.setattr(distributed, "announce", lambda: None)
    monkeypatch.setattr(main_module, "_write_page", lambda workdir: None)
    return started


@pytest.fixture
def run(run_command_here, jobs):
    return lambda *flags: run_command_here(lambda: main(["main", *flags]))


WEIGHTS = "--config.weights=w"


def test_runs_the_job_of_the_config(run, jobs):
    flags = ("--config.scales=(1.0, 2.0)", "--config.crop_queries=False", "--config.strict")
    done = run(f"--config={CONFIG}:tiny", "--workdir=somewhere", WEIGHTS, *flags)
    assert (done.returncode, done.stderr) == (0, "")
    tuned, (name, config, workdir) = jobs
    assert tuned == "tuned"
    assert name == config.job == "evaluate"
    assert workdir == pathlib.Path("somewhere")
    assert (config.model, config.weights) == ("tiny", "w")
    assert config.scales == (1.0, 2.0)
    assert (config.crop_queries, config.strict) == (False, True)


def test_one_call_leaves_nothing_to_the_next(run, jobs):
    run(f"--config={CONFIG}:tiny", "--workdir=a", WEIGHTS, "--config.mode=exact")
    run(f"--config={CONFIG}:tiny", "--workdir=b", WEIGHTS)
    assert [(config.mode, str(workdir)) for _, config, workdir in jobs[1::2]] == [
        ("exact", "a"),
        ("auto", "b"),
    ]
    assert run("--workdir=c").returncode == 2


@pytest.mark.parametrize(
    ("flags", "message"),
    [
        ((), "--config=CONFIG and --workdir=DIR are needed"),
        (("--workdir=d",), "--config=CONFIG and --workdir=DIR are needed"),
        ((f"--config={CONFIG}:tiny", WEIGHTS), "--config=CONFIG and --workdir=DIR are needed"),
        (("--config=configs/missing.py", "--workdir=d"), "missing.py"),
        (("--config=evalaute:r50", "--workdir=d"), "no config is called 'evalaute'; there are abl"),
        (("--config=common", "--workdir=d"), "no config is called 'common'"),
        ((f"--config={CONFIG}:r51", WEIGHTS, "--workdir=d"), "no model is called 'r51'"),
        ((f"--config={CONFIG}", "--workdir=d"), "config.weights is ''"),
        ((f"--config={CONFIG}", "--workdir=d", "--colour=red"), "colour"),
        ((f"--config={CONFIG}", "--workdir=d", "--config.colour=red"), "no such key"),
        ((f"--config={CONFIG}", "--workdir=d", "--config.strict=perhaps"), "perhaps"),
        ((f"--config={CONFIG}", "--workdir=d", WEIGHTS, "--config.scales=big"), "config.scales"),
        ((f"--config={CONFIG}", "--workdir=d", WEIGHTS, "--config.scales=()"), "config.scales"),
        ((f"--config={CONFIG}", "--workdir=d", "rest"), "unexpected argument 'rest'"),
        (("--config=configs/demo.py", "--workdir=d", "--distributed="), "--distributed is ''"),
        (("--config=configs/demo.py", "--workdir=d", "--distributed=2"), "--distributed is '2'"),
        (
            (f"--config={CONFIG}", "--workdir=d", WEIGHTS, "--distributed=2"),
            "--distributed is '2'",
        ),
    ],
)
def test_a_wrong_command_line_is_one_line(run, jobs, flags, message):
    done = run(*flags)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
    assert message in done.stderr
    assert not jobs


@pytest.mark.parametrize(
    ("flags", "before"),
    [(("--config=configs/demo.py",), []), ((f"--config={CONFIG}:tiny", WEIGHTS), ["tuned"])],
    ids=["train", "evaluate"],
)
def test_processes_join_before_the_job(run, jobs, monkeypatch, flags, before):
    """What makes CPUs faster comes first: JAX reads it when it starts."""
    joined = []
    monkeypatch.setattr(distributed, "join", lambda processes: joined.append((processes, *jobs)))
    done = run(*flags, "--workdir=d", "--distributed=10.0.0.1:1234,2,1")
    assert done.returncode == 0
    assert joined == [(Processes("10.0.0.1:1234", 2, 1), *before)]
    assert len(jobs) == len(before) + 1
    run(*flags, "--workdir=d")
    assert len(joined) == 1


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("def get_config(", "SyntaxError"),
        ("get_config = lambda: 1 / 0", "ZeroDivisionError"),
        ("import nowhere_at_all", "nowhere_at_all"),
        ("", "get_config"),
        (
            "def get_config(name=''): raise ValueError('name a folder\\x1b')",
            "wrong flags or config, ValueError: name a folder\\x1b (see",
        ),
    ],
)
def test_a_broken_config_file_is_one_line(run, tmp_path, monkeypatch, text, message):
    # A config file is loaded as this module, whose names would outlive a file without them.
    monkeypatch.delitem(sys.modules, "config_config", raising=False)
    (tmp_path / "broken.py").write_text(text)
    done = run(f"--config={tmp_path / 'broken.py'}", "--workdir=d")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1 and message in done.stderr
    assert "Traceback" not in done.stderr


def test_help_names_the_flags_and_the_configs(run):
    done = run("--help")
    assert (done.returncode, done.stderr) == (0, "")
    assert "--config=CONFIG[:NAME] --workdir=DIR" in done.stdout
    assert "the folder for all that the job writes" in done.stdout
    assert "\n  r50_cls       SENet R50 on GLDv2-clean, trained" in done.stdout
    assert f"\nthey are in {CONFIG.parent}\n" in done.stdout
    assert "  common" not in done.stdout  # It is no config.


def test_a_config_of_the_project_is_a_word(run, jobs, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "evaluate").write_text("a file of that name that lies here")
    done = run("--config=evaluate:tiny", "--workdir=d", WEIGHTS)
    assert (done.returncode, done.stderr) == (0, "")
    assert [config.model for _, config, _ in jobs[1:]] == ["tiny"]


def test_help_lists_the_keys_of_the_config_that_is_named(run):
    flags = ("--config=configs/r50_cls.py", "--config.batch_size=32", "--help")
    done = run(*flags)
    assert (done.returncode, done.stderr) == (0, "")
    assert "keys of configs/r50_cls.py, with their values:\n  --config.job=train\n" in done.stdout
    assert "  --config.batch_size=32\n        images a step" in done.stdout
    assert str(REPOSITORY) not in done.stdout
    assert "error: " in run("--config=configs/r51.py", "--help").stderr


def test_a_config_finds_its_neighbours_from_another_folder(run, jobs, tmp_path, monkeypatch):
    """Its own, not those of a folder of the same name that lies here."""
    for name in [name for name in sys.modules if name.split(".")[0] == "configs"]:
        monkeypatch.delitem(sys.modules, name)
    (tmp_path / "configs").mkdir()
    (tmp_path / "configs" / "common.py").write_text("")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        sys, "path", [str(tmp_path), *(p for p in sys.path if p != str(REPOSITORY))]
    )
    before = list(sys.path)
    done = run(f"--config={REPOSITORY / 'configs' / 'r50_cls.py'}", "--workdir=d")
    assert (done.returncode, done.stderr) == (0, "")
    assert [config.model for _, config, _ in jobs] == ["r50"]
    assert sys.path == before


def test_as_a_command_a_mistake_is_one_line_too():
    done = subprocess.run(
        [sys.executable, "-m", "senet_jax.main", "--config=configs/missing.py", "--workdir=d"],
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("error: ") and done.stderr.count("\n") == 1
