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
