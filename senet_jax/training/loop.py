"""The job `train`: from a config and a prepared dataset to weights and a report.

In the workdir it leaves `config.json`, `checkpoints/`, `metrics.jsonl`, `tensorboard/`, and at the
end `weights/` and `report.json`. Started again, it resumes from the newest checkpoint.
"""

import json
import pathlib

import jax
from ml_collections import config_dict

from senet_jax.config import names, read
from senet_jax.data.loader import TrainingData
from senet_jax.data.prepared import open_prepared
from senet_jax.data.revisitop import load_dataset
from senet_jax.system.process import Preemption, locked_workdir
from senet_jax.system.runtime import use_compilation_cache
from senet_jax.training import resume
from senet_jax.training.checkpoint import Checkpoints
from senet_jax.training.course import Course, say
from senet_jax.training.evaluator import Evaluator
from senet_jax.training.export import CHECKPOINTS, export, found_of_start
from senet_jax.training.settings import TrainingSettings
from senet_jax.training.setup import (
    make_augmentation,
    make_grouping,
    make_setup,
    rate_note,
)
from senet_jax.weights import load_weights


def train(config: config_dict.ConfigDict, workdir: pathlib.Path) -> None:
    """Runs the job; see the module.

    Raises:
        UserError: a setting, a file or a place to write is not as it has to be, or the loss is
            not finite.
    """
    use_compilation_cache()
    with Preemption() as preemption:
        _train(config, workdir, preemption)


def _train(config: config_dict.ConfigDict, workdir: pathlib.Path, preemption: Preemption) -> None:
    told = read(TrainingSettings, config)
    images = open_prepared(told.data.folder)
    data = TrainingData(
        images,
        told.batch_size,
        told.seed,
        make_augmentation(told.data),
        pairs=any(loss.pairs for loss in told.weighed_losses()),
        grouping=make_grouping(told.data),
        process_index=jax.process_index(),
        process_count=jax.process_count(),
    )
    setup = make_setup(told, len(images.class_names), data.steps_per_epoch)
    evaluated = names(told.evaluation.datasets)
    datasets = [load_dataset(told.evaluation.data_root, name) for name in evaluated]
    weights = load_weights(told.start) if told.start else None
    start = None if weights is None else setup.start_from(weights)
    settings = json.loads(config.to_json_best_effort()) | {
        "data_found": {
            "sha256": images.fingerprint,
            "name": images.name,
            "images": len(images),
            "classes": len(images.class_names),
            "steps_per_epoch": data.steps_per_epoch,
        },
        "start_found": found_of_start(weights),
        "rate_changes": [],
    }
    with (
        locked_workdir(workdir),
        Checkpoints(
            workdir / CHECKPOINTS, told.checkpoint.keep, resume.measured(settings)
        ) as checkpoints,
    ):
        course = Course(setup, data, workdir, checkpoints, preemption)
        if datasets:
            evaluator = Evaluator(
                setup.architecture, setup.preprocessing, datasets, told.evaluation.scales
            )
            course.evaluate_by(evaluator, told.evaluation.every_steps)
        settings = course.begin(settings, start)
        note = rate_note(told)
        if note is not None:
            say(note)
        course.run()
        if jax.process_index() == 0:
            course.finish(settings, export(setup, course.variables(), settings))
