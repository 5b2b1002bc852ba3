"""Latency of the parts of a search, and the memory of a server over many of them.

  python -m benchmarks.serve INDEX --searches=1000 --rerank_every=20

Everything runs in one process: the server answers through its whole application, without a network.
The queries are boxes of photographs of the index, no two alike, so that nothing kept serves two.
"""

import argparse
import pathlib
import time

import numpy as np
import psutil
from fastapi.testclient import TestClient

from senet_jax.index.searcher import Searcher
from senet_jax.serve.__main__ import RERANK
from senet_jax.serve.app import make_app
from senet_jax.serve.service import Service
from senet_jax.system.progress import Progress
from senet_jax.system.runtime import tune_for_inference, use_compilation_cache

WARM_UP = 8


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("index", type=pathlib.Path)
    parser.add_argument("--searches", type=int, default=1000)
    parser.add_argument("--rerank_every", type=int, default=20)
    flags = parser.parse_args()
    tune_for_inference()
    use_compilation_cache()
    Progress.quiet = True
    service = Service(Searcher.open(flags.index), RERANK)
    client = TestClient(make_app(service))
    draw = np.random.default_rng(0)
    seconds: dict[str, list[float]] = {}
    for _ in range(WARM_UP):
        search(client, service, draw, rerank=True, seconds={})
    memory = [resident_bytes()]
    for number in range(flags.searches):
        search(client, service, draw, number % flags.rerank_every == 0, seconds)
        if (number + 1) % max(1, flags.searches // 10) == 0:
            memory.append(resident_bytes())
    print(f"{len(service.photographs):,} photographs, {flags.searches:,} searches")
    for part, values in seconds.items():
        median, high = np.quantile(values, [0.5, 0.95])
        print(f"{part:10} {len(values):6,} times, median {median:.3f} s, 95 % {high:.3f} s")
    print("resident memory in MiB:", " ".join(f"{value / 2**20:.0f}" for value in memory))


def search(client, service, draw, rerank, seconds):
    """Asks as the page does, and notes what each part took."""

    def timed(part, work):
        start = time.perf_counter()
        result = work()
        seconds.setdefault(part, []).append(time.perf_counter() - start)
        return result

    photographs = service.photographs
    [known] = photographs.some(int(draw.integers(len(photographs))), 1)
    image = timed("read", known.photograph.whole)
    height, width = image.shape[:2]
    x1, y1 = int(draw.integers(width // 2)), int(draw.integers(height // 2))
    box = f"{x1},{y1},{x1 + width // 2},{y1 + height // 2}"
    question = {"photograph": known.id, "box": box, "rerank": rerank}
    answer = timed("answer", lambda: client.get("/api/search", params=question))
    assert answer.status_code == 200, answer.text
    found = answer.json()
    seconds.setdefault("describe", []).append(found["seconds"]["describe"])
    part = "re-rank" if rerank else "search"
    seconds.setdefault(part, []).append(found["seconds"]["search"])
    timed("page", lambda: fetch_page(client, found))


def fetch_page(client, found):
    """What a browser loads to show the results: the page and the small pictures."""
    for path in ("/", "/page.js", "/compared.js", "/page.css", "/api/index"):
        assert client.get(path).status_code == 200
    for result in found["results"]:
        assert client.get(f"/api/photographs/{result['id']}/small.jpg").status_code == 200


def resident_bytes():
    return psutil.Process().memory_info().rss


if __name__ == "__main__":
    main()
