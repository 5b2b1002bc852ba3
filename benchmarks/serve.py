"""Latency of the parts of a search on the page, and the memory of the server over many of them.

  python -m benchmarks.serve INDEX [--searches=1000] [--rerank_every=15] [--rows=N]

The server is that of senet-jax serve, in a process of its own, asked through HTTP as the page asks.
Every second query is a box of a photograph of the index, every other one a part of one that is
uploaded, no two alike, so that nothing kept serves two. With more rows than the index has, it is
filled up with copies whose descriptors are others, see `grown_index`.
"""

import argparse
import http.client
import json
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from typing import Any

import cv2
import numpy as np

from benchmarks.grown_index import grow
from benchmarks.memory import memory_bytes
from senet_jax.index.photographs import ShrunkPhotograph
from senet_jax.index.store import open_index
from senet_jax.system.files import local_path

WARM_UP = 8
STEPS = (0.1, 0.25, 0.5, 0.75, 1.0)
"""Of all searches, after which the memory is told."""


class Server:
    """The server of an index, and what its answers took."""

    def __init__(self, index: pathlib.Path):
        command = [sys.executable, "-m", "senet_jax", "serve", str(index), "--port=0"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        line = next(line for line in self.process.stdout if "http://" in line)
        host = line.split("http://")[1].split("/")[0]
        self._connection = http.client.HTTPConnection(host)
        self.seconds: dict[str, list[float]] = {}
        self._folder = open_index(index).listing.folder
        self.photographs = [
            photograph
            for start in range(0, self.json("/api/index")["photographs"], 200)
            for photograph in self.json(f"/api/photographs?start={start}&count=200")["photographs"]
        ]

    def timed(self, part: str, work: Callable[[], Any]) -> Any:
        """The result of work, whose time is noted."""
        start = time.perf_counter()
        result = work()
        self.seconds.setdefault(part, []).append(time.perf_counter() - start)
        return result

    def ask(self, path: str, content: bytes | None = None) -> bytes:
        """The body of an answer; with content it is posted."""
        self._connection.request("GET" if content is None else "POST", path, content)
        answer = self._connection.getresponse()
        body = answer.read()
        assert answer.status < 300, body
        return body

    def json(self, path: str, content: bytes | None = None) -> Any:
        """The same, of JSON."""
        return json.loads(self.ask(path, content))

    def search(self, draw: np.random.Generator, rerank: bool, upload: bool) -> None:
        """Asks as the page does, and notes what each part took."""
        known = self.photographs[int(draw.integers(len(self.photographs)))]
        photograph = ShrunkPhotograph(self._folder, known["name"])
        image = self.timed("read", photograph.whole)
        height, width = image.shape[:2]
        if upload:
            top, left = int(draw.integers(height // 8)), int(draw.integers(width // 8))
            content = cv2.imencode(".jpg", image[top:, left:])[1].tobytes()
            known = self.timed("upload", lambda: self.json("/api/photographs", content))
            height, width = known["height"], known["width"]
        x1, y1 = int(draw.integers(width // 2)), int(draw.integers(height // 2))
        box = f"{x1},{y1},{x1 + width // 2},{y1 + height // 2}"
        path = f"/api/search?photograph={known['id']}&box={box}&rerank={str(rerank).lower()}"
        found = self.timed(
            "answer with re-ranking" if rerank else "answer", lambda: self.json(path)
        )
        self.seconds.setdefault("describe", []).append(found["seconds"]["describe"])
        part = "search and re-rank" if rerank else "search"
        self.seconds.setdefault(part, []).append(found["seconds"]["search"])
        self.timed("page", lambda: self._load_page(found))

    def _load_page(self, found: dict[str, Any]) -> None:
        """What a browser loads to show the results: the page and the small pictures."""
        for path in ("/", "/page.js", "/compared.js", "/base.css", "/page.css", "/api/index"):
            self.ask(path)
        for result in found["results"]:
            self.ask(f"/api/photographs/{result['id']}/small.jpg")

    def memory(self) -> str:
        """Resident and anonymous memory."""
        status = pathlib.Path(f"/proc/{self.process.pid}/status")
        resident, own = (memory_bytes(status, kind) for kind in ("VmRSS", "RssAnon"))
        return f"{resident / 2**20:.0f} MiB resident, {own / 2**20:.0f} of them anonymous"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("index", type=local_path)
    parser.add_argument("--searches", type=int, default=1000)
    parser.add_argument("--rerank_every", type=int, default=15)
    parser.add_argument("--rows", type=int, default=0)
    flags = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        index = grow(flags.index, pathlib.Path(folder), flags.rows) if flags.rows else flags.index
        server = Server(index)
        try:
            measure(server, flags.searches, flags.rerank_every)
        finally:
            server.process.send_signal(signal.SIGINT)
            server.process.wait()


def measure(server: Server, searches: int, rerank_every: int) -> None:
    """Searches, and prints what it took."""
    draw = np.random.default_rng(0)
    for number in range(WARM_UP):
        server.search(draw, rerank=number % 4 == 0, upload=number % 2 == 1)
    server.seconds.clear()
    print(f"{len(server.photographs):,} photographs; at first {server.memory()}", flush=True)
    for number in range(1, searches + 1):
        server.search(draw, rerank=number % rerank_every == 0, upload=number % 2 == 1)
        if number in {round(step * searches) for step in STEPS}:
            print(f"after {number:,} searches {server.memory()}", flush=True)
    for part, values in server.seconds.items():
        median, high = np.quantile(values, [0.5, 0.95])
        print(f"{part:22} {len(values):6,} times, median {median:.3f} s, 95 % {high:.3f} s")


if __name__ == "__main__":
    main()
