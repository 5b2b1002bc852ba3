"""Time and memory of CVNet-Rerank for 70 queries with 100 candidates each, forecast and measured.

  python -m benchmarks.rerank_forecast --weights=W [--queries=70] [--candidates=100]

Images of 512 x 384, noise with the spectrum of photographs; every query is scored with every
candidate. The forecast is of what 2 queries with 10 candidates take: time grows with the images and
with the pairs, memory stays. Programs come from the cache, and loading them is not counted.
"""

import pathlib
import tempfile
import time

import numpy as np

from benchmarks.memory import in_own_process
from benchmarks.noise import write_images
from senet_jax.data.revisitop import Photograph
from senet_jax.rerank.maps import MapCache, MapNetwork
from senet_jax.rerank.pair_scores import PairScores
from senet_jax.rerank.pairs import PairCount
from senet_jax.system.errors import CommandParser, run_command
from senet_jax.system.progress import format_seconds
from senet_jax.system.runtime import tune_for_inference, use_compilation_cache
from senet_jax.weights import load_weights

HEIGHT, WIDTH = 384, 512
FEW = 2, 10


def main() -> None:
    parser = CommandParser(prog="python -m benchmarks.rerank_forecast", description=__doc__)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--queries", type=int, default=70)
    parser.add_argument("--candidates", type=int, default=100)
    flags = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        sizes = np.tile([HEIGHT, WIDTH], (flags.queries + flags.candidates, 1))
        images = write_images(pathlib.Path(folder), sizes, np.random.default_rng(0))
        queries, candidates = images[: flags.queries], images[flags.queries :]
        few = in_own_process(score, flags.weights, queries[: FEW[0]], candidates[: FEW[1]])
        whole = in_own_process(score, flags.weights, queries, candidates)
    (few_maps, few_pairs), (maps, pairs) = few.value, whole.value
    forecast_maps = few_maps / sum(FEW) * len(images)
    forecast_pairs = few_pairs / np.prod(FEW) * flags.queries * flags.candidates
    for what, forecast, measured in (
        (f"maps of {len(images)} images", forecast_maps, maps),
        (f"{flags.queries * flags.candidates:,} pairs", forecast_pairs, pairs),
        ("both", forecast_maps + forecast_pairs, maps + pairs),
    ):
        print(
            f"{what}: forecast {format_seconds(forecast)}, measured {format_seconds(measured)}, "
            f"ratio {measured / forecast:.2f}"
        )
    print(
        f"anonymous memory: forecast {few.peak_bytes / 1e6:.0f} MB, measured "
        f"{whole.peak_bytes / 1e6:.0f} MB, ratio {whole.peak_bytes / few.peak_bytes:.2f}"
    )


def score(
    weights: str, queries: list[Photograph], candidates: list[Photograph]
) -> tuple[float, float]:
    """Scores each query with each candidate: the seconds for the maps, and for the pairs."""
    use_compilation_cache()
    tune_for_inference()
    network = MapNetwork(load_weights(weights))
    with tempfile.TemporaryDirectory() as warm, tempfile.TemporaryDirectory() as folder:
        first = MapCache(network, warm, 2**40)
        PairScores(first, queries, candidates, PairCount())(np.array([[0, 0]]))
        cache = MapCache(network, folder, 2**40)
        start = time.perf_counter()
        for photograph in (*queries, *candidates):
            cache.make(photograph)
        made = time.perf_counter()
        pairs = np.argwhere(np.ones((len(queries), len(candidates)), bool))
        PairScores(cache, queries, candidates, PairCount())(pairs)
        return made - start, time.perf_counter() - made


if __name__ == "__main__":
    run_command(main)
