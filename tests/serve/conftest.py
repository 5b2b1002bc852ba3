import contextlib
import socket
import threading
import time

import numpy as np
import pytest
from fastapi.testclient import TestClient

from senet_jax.features.local_features import LocalFeatures
from senet_jax.index import searcher as searcher_module
from senet_jax.index.searcher import Searcher
from senet_jax.serve.__main__ import make_server
from senet_jax.serve.access import Guard
from senet_jax.serve.app import make_app
from senet_jax.serve.service import Service
from tests.index.conftest import Colours, town, weights, world

__all__ = ["town", "weights", "world"]

HOSTILE = '<script>alert("x")<script> & \n\x1b 写真.jpg'


def local_features(pixels):
    """A corner every ten pixels, told by where it is: the same of all photographs of a size."""
    ys, xs = np.mgrid[5 : pixels.shape[0] : 10, 5 : pixels.shape[1] : 10]
    keypoints = np.stack([xs.ravel(), ys.ravel()], axis=1).astype(np.float32)
    count = len(keypoints)
    descriptors = np.eye(count, 100, dtype=np.float32)
    return LocalFeatures(keypoints, descriptors, np.ones(count), np.ones(count), 10.0)


class LocalCache:
    """In place of the cache of local features: none is kept."""

    def __getitem__(self, photograph):
        return vars(local_features(photograph.read()))

    def compute(self, photographs):
        return [self[photograph] for photograph in photographs]

    def fill(self, photographs, label):
        pass


@pytest.fixture
def service(town, monkeypatch):
    """Of a town with a hostile name in it."""
    town.write(HOSTILE, 40)
    town.update()
    monkeypatch.setattr(searcher_module.Describer, "of", lambda weights, **_: Colours())
    monkeypatch.setattr(searcher_module, "local_feature_cache", lambda *_, **__: LocalCache())
    return Service(Searcher.open(town.index), "alpha_qe,geometric(top=5)")


@pytest.fixture
def client(service):
    app = Guard(make_app(service), frozenset({"127.0.0.1"}), None)
    return TestClient(app, base_url="http://127.0.0.1:8000")


@contextlib.contextmanager
def listening(app):
    """The address of a server that runs in a thread."""
    server, listener = make_server(app), socket.create_server(("127.0.0.1", 0))
    thread = threading.Thread(target=server.run, args=[[listener]])
    thread.start()
    try:
        while not server.started:
            assert thread.is_alive()
            time.sleep(0.01)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        thread.join()
        listener.close()
