"""Workdirs of runs that ended, made without running one."""

import json

import numpy as np

from configs.demo import get_config
from senet_jax.data.revisitop import load_dataset
from senet_jax.metrics.report import evaluate_descriptors
from senet_jax.metrics.saved import LISTED
from senet_jax.training.final_report import keep_lists, write_final_report
from tests.data.pictures import encoded, picture, write_dataset

METRICS = [
    {"step": 0, "eval/town/medium/map": 0.1},
    {"step": 2, "train/loss": 3.0},
    {"step": 2, "eval/town/medium/map": 0.2},
]


def write_town(folder):
    """Writes a dataset `town` of three images and two queries, with boxes."""
    write_dataset(folder, "town", boxes=[(2, 3, 40, 30), (0, 0, 48, 40)])
    for seed, name in enumerate("abcqr"):
        (folder / "town" / "jpg" / f"{name}.jpg").write_bytes(encoded(picture(40, 48, seed)))


def write_training(world, workdir, seed=0):
    """Writes what a training leaves that was evaluated on `town`, with random descriptors."""
    settings = json.loads(get_config().to_json_best_effort())
    settings["evaluation"] |= {"data_root": str(world), "datasets": "town"}
    truth, reports = load_dataset(world, "town").ground_truth, {}
    for step in (0, 2):
        queries, images = np.random.default_rng(seed + step).standard_normal((2, 3, 4))
        report = evaluate_descriptors(truth, queries[:2], [images], listed=LISTED)
        keep_lists(workdir, step, {"town": report})
        reports[str(step)] = {"town": report.to_json()}
    write_final_report(
        *(workdir,),
        settings=settings,
        weights_sha256="0",
        training_set="generated (3 images of 3 classes)",
        step=2,
        classes=3,
        seconds=1.0,
        reports=reports,
    )
    (workdir / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in METRICS))
    return workdir
