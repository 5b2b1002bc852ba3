import pytest

from senet_jax.models.registry import ARCHITECTURES
from tests.oracles.lively_twin import architecture_named


@pytest.fixture
def small_heads(monkeypatch):
    """Adds small networks with the heads of a classifier and of CVNet to the known ones."""
    for name in ("tiny_classifier", "tiny_learnable"):
        monkeypatch.setitem(ARCHITECTURES, name, architecture_named(name))
