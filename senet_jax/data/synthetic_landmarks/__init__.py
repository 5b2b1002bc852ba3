"""A generated world of landmarks and their look-alikes, for tests, the demo and studies.

Each landmark is a building put together by a grammar from a shared vocabulary of parts.
"""

from senet_jax.data.synthetic_landmarks.distractor_set import write_distractors
from senet_jax.data.synthetic_landmarks.drawing import drawing
from senet_jax.data.synthetic_landmarks.evaluation_set import (
    DATASETS,
    ground_truths,
    write_evaluation,
)
from senet_jax.data.synthetic_landmarks.redrawn import redrawn
from senet_jax.data.synthetic_landmarks.training_set import training_source
from senet_jax.data.synthetic_landmarks.world import DEMO, TINY, Shot, World
from senet_jax.data.world_sizes import NAME

__all__ = [
    "DATASETS",
    "DEMO",
    "NAME",
    "TINY",
    "Shot",
    "World",
    "drawing",
    "ground_truths",
    "redrawn",
    "training_source",
    "write_distractors",
    "write_evaluation",
]
