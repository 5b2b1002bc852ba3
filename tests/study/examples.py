"""Results of a study that was never run."""

import numpy as np

from senet_jax.study.plan import COMPARISONS, DATASETS, RERANKER
from senet_jax.study.results import TRAININGS, Results, RunScores, among

QUERIES, SEEDS, IMAGES = 30, 3, 5000
GAIN = 0.04
_KINDS = ":blind", ":protocol"


def scores(rng, gain=0.0):
    made = np.round(np.clip(rng.uniform(0.2, 0.7, QUERIES) + gain, 0, 1), 4)
    return {"easy": np.full(QUERIES, np.nan), "medium": made, "hard": made / 2}


def trainings(chosen=None, distractors=""):
    """Variants, all if none is chosen, with three seeds; the channel-wise one gains on others.

    Where distractors are named, runs were evaluated with them as well.
    """
    rng = np.random.default_rng(0)
    variants = {row.variant for each in COMPARISONS.values() for row in each.rows}
    runs = []
    for seed in range(SEEDS):
        for variant in sorted(chosen or variants):
            gain = GAIN * (variant == "channel_wise")
            entries = {name: scores(rng, gain) for name in DATASETS}
            for method in ("alpha_qe:blind", "geometric:blind", *map(RERANKER.__add__, _KINDS)):
                entries |= {f"{name}+{method}": scores(rng, gain) for name in DATASETS}
            if distractors:
                entries |= {among(name, distractors): scores(rng, gain) for name in list(entries)}
            runs.append(RunScores(variant, seed, entries, {"model": variant}))
    about = {"world": {"world": {"seed": 0, "side": 192}}, "settings": {}}
    if distractors:
        about["distractors"] = {distractors: IMAGES}
    return Results(TRAININGS, about, tuple(runs))
