"""The time to re-rank the queries' first candidates, beside the authors' CVNet-Rerank.

  python -m benchmarks.rerank_time --authors=CHECKOUT --weights=W --data_root=D --dataset=NAME
      [--top=30] [--rounds=3] [--queries=N]

CHECKOUT is one of sungonce/CVNet. From photographs to the lists of all three protocols, junk
dropped by the ground truth, as the authors do; the descriptors are given (random ones, the same for
both). Each run is a process of its own, and they take turns; starting it and loading the weights is
not counted, on either side. Ours keeps no maps from one run to the next. Its first run finds no
compiled program (cold); in the others, whose medians are compared, it reads them from the cache
(warm). The lists of the last runs are compared: where they differ, by how much the mixed scores do.
"""

import argparse
import dataclasses
import os
import pathlib
import pickle
import subprocess
import sys
import tempfile
import time

import numpy as np

from senet_jax.data.ground_truth import GroundTruth
from senet_jax.data.revisitop import Dataset, load_dataset
from senet_jax.system.errors import CommandParser, run_command

PROTOCOLS = ("easy", "medium", "hard")
WIDTH = 64


def main() -> None:
    parser = CommandParser(prog="python -m benchmarks.rerank_time", description=__doc__)
    for flag in ("authors", "weights", "data_root", "dataset"):
        parser.add_argument(f"--{flag}", required=True)
    parser.add_argument("--top", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--queries", type=int, help="only so many")
    parser.add_argument("--side", choices=_SIDES, help=argparse.SUPPRESS)
    parser.add_argument("--result", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.side:
        result = _SIDES[arguments.side](arguments)
        pathlib.Path(arguments.result).write_bytes(pickle.dumps(result))
        return
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | {"XDG_CACHE_HOME": folder}
        environment.pop("JAX_COMPILATION_CACHE_DIR", None)

        def run(side: str) -> dict:
            result = pathlib.Path(folder, side)
            command = [sys.executable, "-m", "benchmarks.rerank_time", *sys.argv[1:]]
            subprocess.run(
                [*command, f"--side={side}", f"--result={result}"], env=environment, check=True
            )
            return pickle.loads(result.read_bytes())

        print(f"ours, cold: {run('ours')['seconds']:.1f} s", flush=True)
        rounds = []
        for _ in range(arguments.rounds):
            ours, theirs = run("ours"), run("theirs")
            rounds.append((ours["seconds"], theirs["seconds"]))
            print("ours {:.1f} s, theirs {:.1f} s".format(*rounds[-1]), flush=True)
    medians = np.median(rounds, axis=0)
    print(
        f"{len(theirs['scores'])} pairs; medians: ours {medians[0]:.1f} s, theirs "
        f"{medians[1]:.1f} s, ratio {medians[0] / medians[1]:.3f}"
    )
    _compare(ours, theirs)


def _compare(ours: dict, theirs: dict) -> None:
    differences = [abs(ours["scores"][pair] - score) for pair, score in theirs["scores"].items()]
    print(f"largest difference of a score: {max(differences):.2g}")
    places, largest = 0, 0.0
    for protocol in PROTOCOLS:
        for query, own in enumerate(ours["lists"][protocol]):
            for item, other in zip(own, theirs["lists"][protocol][query], strict=True):
                if item != other:
                    places += 1
                    mixed = [theirs["mixed"][query][i] for i in (item, other)]
                    largest = max(largest, abs(mixed[0] - mixed[1]))
    print(
        f"places of the lists that differ: {places}; the mixed scores there differ by at most "
        f"{largest:.2g} (bar 2e-5)"
    )


def _data(arguments: argparse.Namespace) -> tuple[Dataset, np.ndarray, np.ndarray]:
    """The dataset, and descriptors of its queries and images that have nothing to do with it."""
    dataset = load_dataset(arguments.data_root, arguments.dataset)
    truth, count = dataset.ground_truth, arguments.queries or len(dataset.queries)
    labels = {name: getattr(truth, name)[:count] for name in ("easy", "hard", "junk", "boxes")}
    dataset = dataclasses.replace(
        dataset,
        ground_truth=GroundTruth(truth.image_names, truth.query_names[:count], **labels),
        queries=dataset.queries[:count],
    )
    rng = np.random.default_rng(0)
    sizes = len(dataset.queries), len(dataset.images)
    queries, images = (rng.standard_normal((n, WIDTH)).astype(np.float32) for n in sizes)
    unit = [values / np.linalg.norm(values, axis=1, keepdims=True) for values in (queries, images)]
    return dataset, *unit


def _without_junk(dataset: Dataset, protocol: str, query: int, items: np.ndarray) -> list[int]:
    truth = dataset.ground_truth
    junk = [truth.junk, *{"easy": [truth.hard], "hard": [truth.easy]}.get(protocol, [])]
    return items[~np.isin(items, np.concatenate([part[query] for part in junk]))].tolist()


def _ours(arguments: argparse.Namespace) -> dict:
    from senet_jax.system.runtime import tune_for_inference, use_compilation_cache

    use_compilation_cache()
    tune_for_inference()
    from senet_jax.jobs.reranking import DenseSource
    from senet_jax.rerank.cvnet import CVNetRerank
    from senet_jax.rerank.method import Resources
    from senet_jax.rerank.pair_scores import map_cache
    from senet_jax.rerank.retrieval import search
    from senet_jax.search.database import BlockedDatabase
    from senet_jax.search.ranked_list import NO_MORE
    from senet_jax.weights import load_weights

    weights = load_weights(arguments.weights)
    dataset, queries, images = _data(arguments)
    scored, lists = {}, {}
    with tempfile.TemporaryDirectory() as folder:
        cache = map_cache(weights, folder, 2**40)
        start = time.perf_counter()
        found = search(queries, BlockedDatabase((images,)), len(images))
        resources = Resources(
            features={"dense": DenseSource(cache, dataset.queries, dataset.images)},
            on_scored=lambda _, pairs: _keep(pairs, scored),
        )
        rerank = CVNetRerank(arguments.top).prepare(found.database, resources)
        for protocol in PROTOCOLS:
            ranks = np.full_like(found.ranked.ranks, NO_MORE)
            for query, items in enumerate(found.ranked.ranks):
                kept = _without_junk(dataset, protocol, query, items)
                ranks[query, : len(kept)] = kept
            ranked = rerank(found.with_ranks(ranks)).ranked
            lists[protocol] = [ranked.items(query).tolist() for query in range(len(queries))]
        seconds = time.perf_counter() - start
    return {"seconds": seconds, "scores": scored, "lists": lists}


def _keep(pairs, scored: dict) -> None:
    for (query, item), score in zip(pairs.pairs.tolist(), pairs.scores.tolist(), strict=True):
        scored[item, query] = score


def _theirs(arguments: argparse.Namespace) -> dict:
    from benchmarks import authors
    from senet_jax.weights import load_weights

    model = authors.load_reranker(arguments.authors, load_weights(arguments.weights))
    dataset, queries, images = _data(arguments)
    with authors.under_their_name(dataset) as root:
        start = time.perf_counter()
        scores, ranks = authors.rerank(model, root, queries, images, arguments.top)
        seconds = time.perf_counter() - start
    mixed = queries @ images.T
    for (item, query), score in scores.items():
        mixed[query, item] += 0.5 * score
    lists = {
        protocol: [
            _without_junk(dataset, protocol, query, items)
            for query, items in enumerate(ranks[protocol].T)
        ]
        for protocol in PROTOCOLS
    }
    return {"seconds": seconds, "scores": scores, "lists": lists, "mixed": mixed}


_SIDES = {"ours": _ours, "theirs": _theirs}


if __name__ == "__main__":
    run_command(main)
