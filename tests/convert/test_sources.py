import os

import pytest

from senet_jax.convert.sources import is_spelled, read_source, source_name, weights_folder
from senet_jax.weights import load_weights, save_weights
from tests.oracles.lite0 import needs_lite0


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "senet_jax" / "weights"


@needs_lite0
def test_a_name_is_converted_once_into_the_user_s_cache(cache, monkeypatch):
    folder = weights_folder("pretrained:lite0")
    assert folder.parent == cache
    assert load_weights(folder).remarks == ["trained on ImageNet, not on landmarks"]
    with monkeypatch.context() as context:
        context.setattr("senet_jax.convert.sources.read_source", None)
        assert weights_folder("pretrained:lite0") == folder
    (folder / "weights.safetensors").write_bytes(b"broken")
    assert load_weights(weights_folder("pretrained:lite0")).architecture.name == "lite0"
    assert os.listdir(cache) == ["pretrained-lite0"]


def test_a_folder_is_what_it_is(tmp_path, cache):
    folder = tmp_path / "random:tiny"
    assert weights_folder(str(folder)) == folder and not cache.exists()


def test_what_names_no_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert all(map(is_spelled, ("pretrained:lite0", "random:tiny:0", "thumbnails")))
    assert not any(map(is_spelled, ("r50", "./thumbnails", "weights/r50")))
    assert source_name("~/r50") == os.path.expanduser("~/r50")
    save_weights("thumbnails", read_source("random:tiny_baseline:0")[0])
    assert not is_spelled("thumbnails")
    assert read_source("thumbnails")[0].random
