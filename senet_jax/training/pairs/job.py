"""The job `train_pairs`: from trained weights and a prepared dataset to weights with a re-ranker.

In the workdir it leaves what the job `train` does, see `training.loop`, and `maps/`, the maps of
the training images by the frozen network, which are computed first. Started again, it resumes from
the newest checkpoint.
"""

import dataclasses
import json
import pathlib

import jax
from ml_collections import config_dict

from senet_jax.config import read
from senet_jax.data.loader import TrainingData
from senet_jax.data.prepared import PreparedImages, open_prepared
from senet_jax.models.registry import output_of
from senet_jax.system.errors import UserError, shown
from senet_jax.system.process import Preemption, interruptible, locked_workdir
from senet_jax.system.runtime import use_compilation_cache
from senet_jax.system.signals import Terminated
from senet_jax.training import resume
from senet_jax.training.checkpoint import Checkpoints
from senet_jax.training.course import Course, say
from senet_jax.training.export import CHECKPOINTS, found_of_start
from senet_jax.training.pairs.kept_maps import KeptMaps, keep_maps
from senet_jax.training.pairs.settings import PairTrainingSettings
from senet_jax.training.pairs.setup import PairSetup
from senet_jax.training.pairs.triples import Batches, Triples
from senet_jax.training.setup import make_augmentation, make_duration, rate_note
from senet_jax.weights import Weights, load_weights

_IMAGES_AT_ONCE = 64


def train_pairs(config: config_dict.ConfigDict, workdir: pathlib.Path) -> None:
    """Runs the job; see the module.

    Raises:
        UserError: a setting, a file or a place to write is not as it has to be, or the loss is
            not finite.
    """
    use_compilation_cache()
    if jax.process_count() > 1:
        raise UserError(
            f"{jax.process_count()} processes were started, and the job train_pairs is for one; "
            "leave --distributed out"
        )
    with Preemption() as preemption:
        _train(config, workdir, preemption)


def _train(config: config_dict.ConfigDict, workdir: pathlib.Path, preemption: Preemption) -> None:
    told = read(PairTrainingSettings, config)
    images = open_prepared(told.data.folder)
    weights = load_weights(told.start)
    if weights.architecture.name != told.model:
        raise UserError(
            f"config.model is {shown(told.model)}, and config.start holds weights of "
            f"{weights.architecture.name}; name that, or other weights"
        )
    output_of(weights.architecture, "dense")
    found = {
        "sha256": images.fingerprint,
        "name": images.name,
        "images": len(images),
        "classes": len(images.class_names),
    }
    settings = json.loads(config.to_json_best_effort()) | {
        "data_found": found,
        "start_found": found_of_start(weights),
        "rate_changes": [],
    }
    with locked_workdir(workdir):
        kept = _kept_maps(told, images, weights, workdir, preemption)
        triples = Triples(kept, told.batch_size, told.seed, told.pairs)
        duration = make_duration(told, triples.steps_per_epoch)
        setup = PairSetup(told, weights, len(images.class_names), duration)
        score_of = resume.measured(settings)
        with Checkpoints(workdir / CHECKPOINTS, told.checkpoint.keep, score_of) as checkpoints:
            data = Batches(triples, duration.total_steps)
            course = Course(setup, data, workdir, checkpoints, preemption)
            settings = course.begin(settings, setup.start())
            note = rate_note(told)
            if note is not None:
                say(note)
            course.run()
            course.finish(settings, setup.trained(course.variables()["params"], settings))


def _kept_maps(
    told: PairTrainingSettings,
    images: PreparedImages,
    weights: Weights,
    workdir: pathlib.Path,
    preemption: Preemption,
) -> KeptMaps:
    """The maps of all training images, each changed at random once."""
    changes = make_augmentation(told.data)
    in_order = TrainingData(images, _IMAGES_AT_ONCE, told.seed, changes, shuffled=False)
    origin = {
        "images_sha256": images.fingerprint,
        "weights_sha256": weights.sha256,
        "changes": {name: str(value) for name, value in dataclasses.asdict(changes).items()},
        "seed": told.seed,
    }

    def stop_if_asked() -> None:
        if preemption.requested():
            raise KeyboardInterrupt if preemption.interrupted else Terminated

    with interruptible(lambda: "no map is kept yet; the same command begins again"):
        return keep_maps(
            workdir, weights, in_order, len(images), told.data.workers, origin, stop_if_asked
        )
