import pytest

from senet_jax.data.builder import build
from senet_jax.data.synthetic_landmarks import TINY, training_source, write_evaluation


@pytest.fixture(scope="session")
def tiny_world(tmp_path_factory):
    """A folder with `landmarks_to_learn`, 48 prepared images of 12 classes, and `landmarks`."""
    folder = tmp_path_factory.mktemp("tiny_world")
    build(training_source(TINY), folder / "landmarks_to_learn")
    write_evaluation(TINY, "evaluation", folder)
    return folder


@pytest.fixture
def train(tiny_world, tmp_path, monkeypatch, run_command_here):
    """Runs the command with the stand-in, or with another step, in this process."""
    # Pytest would take the place of the hook of `stored_steps` if they were imported before it is
    # set up, as this file may be.
    from senet_jax import main as main_module
    from senet_jax.training import loop
    from senet_jax.training.setup import Setup
    from tests.training import landmarks
    from tests.training.stand_in import STEPS, Stops, add_one
    from tests.training.training_command import TINY_CONFIG

    flags = {
        "start": "",
        "batch_size": 16,
        "epochs": STEPS / 3,  # Of 48 images.
        "log_every_steps": 2,
        "data.folder": tiny_world / "landmarks_to_learn",
        "data.side": 32,
        "data.workers": 0,
        "optimizer.warmup_epochs": 1.0,
        "losses.contrastive_weight": 0.0,
        "evaluation.data_root": tiny_world,
        "checkpoint.every_steps": 3,
    }
    monkeypatch.setattr(loop, "use_compilation_cache", lambda: None)
    monkeypatch.setattr(
        Setup, "initial_variables", lambda setup, start: landmarks.initial(setup.architecture)
    )

    def run(step=add_one, after_step=lambda step: False, workdir=tmp_path / "run", **changes):
        monkeypatch.setattr(Setup, "make_step", lambda setup, axis_name: step)
        monkeypatch.setattr(loop, "Preemption", lambda: Stops(after_step))
        given = flags | {key.replace("__", "."): value for key, value in changes.items()}
        arguments = [
            f"--config={TINY_CONFIG}",
            f"--workdir={workdir}",
            *(f"--config.{key}={value}" for key, value in given.items()),
        ]
        done = run_command_here(lambda: main_module.main(["main", *arguments]))
        done.workdir = workdir
        return done

    return run


@pytest.fixture
def evaluated(train, monkeypatch):
    from senet_jax.training import loop
    from tests.training.stand_in import Evaluations

    def run(order="better", asks=False, seen=lambda: None, **options):
        monkeypatch.setattr(loop, "Evaluator", Evaluations(order, asks, seen))
        return train(evaluation__datasets="landmarks", evaluation__every_steps=3, **options)

    return run
