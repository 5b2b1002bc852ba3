"""What it costs to score a pair of photographs, once the features of both are there.

    python -m benchmarks.pair_costs --data_root=DATASETS --dataset=NAME [--queries=3] [--items=4]
        [--to=benchmarks/pair_costs.json]

For each method that compares photographs, as the job `evaluate` runs it with its own defaults:
processor time of all threads, which other work on the machine changes less than the time that
passes. One half of the pairs goes before and compiles; the other half is counted. CVNet-Rerank has
random weights of R50, which cost what trained ones do. `docs/systems.py` shows the file.
"""

import os
import pathlib
import platform
import tempfile
import time

import numpy as np

from configs import evaluate
from senet_jax.convert.sources import weights_folder
from senet_jax.jobs.evaluation_plan import EvaluationPlan
from senet_jax.jobs.reranking import Reranking
from senet_jax.rerank.methods import make_chain
from senet_jax.rerank.pairs import PairCount
from senet_jax.rerank.pairwise import PairwiseMethod
from senet_jax.system.errors import CommandParser, run_command
from senet_jax.system.files import local_path, write_json
from senet_jax.weights import load_weights

METHODS = ("gv", "geometric", "lightglue", "cvnet")
RESULTS = pathlib.Path(__file__).with_suffix(".json")


def main() -> None:
    parser = CommandParser(prog="python -m benchmarks.pair_costs", description=__doc__)
    parser.add_argument("--data_root", type=local_path, required=True)
    parser.add_argument("--dataset", required=True)
    parser.add_argument("--queries", type=int, default=3)
    parser.add_argument("--items", type=int, default=4)
    parser.add_argument("--to", type=local_path, default=RESULTS)
    flags = parser.parse_args()
    seconds = {}
    for name in METHODS:
        with tempfile.TemporaryDirectory() as folder:
            seconds[name] = seconds_of_a_pair(name, flags, pathlib.Path(folder))
        print(f"{name}: {seconds[name]:.3g} s of processor time a pair", flush=True)
    cores = f"{os.cpu_count()} cores, {platform.machine()}"
    write_json(flags.to, {"machine": cores, "processor_seconds_a_pair": seconds})
    print(f"wrote {flags.to}")


def seconds_of_a_pair(name: str, flags, workdir: pathlib.Path) -> float:
    """The processor time to score a pair by a method, its features being made before."""
    config = evaluate.get_config("lite0")
    config.weights = str(weights_folder("pretrained:lite0"))
    config.data_root, config.datasets = str(flags.data_root), flags.dataset
    config.rerank, config.cvnet_weights = name, str(weights_folder("random:cvnet_r50:0"))
    plan = EvaluationPlan.from_config(config)
    reranking = Reranking(config, load_weights(config.weights), plan, workdir)
    [method] = make_chain(name).methods
    assert isinstance(method, PairwiseMethod)
    [dataset] = plan.datasets
    queries, images = plan.queries(dataset)[: flags.queries], dataset.images[: flags.items]
    features = method.features(reranking.features(method.needs, queries, images))
    pairs = np.stack(tuple(np.indices((len(queries), len(images)))), axis=-1).reshape(-1, 2)
    features.prepare(pairs)
    score, half = method.scorer(features, PairCount()), len(pairs) // 2
    score(pairs[:half])
    start = time.process_time()
    score(pairs[half:])
    return (time.process_time() - start) / (len(pairs) - half)


if __name__ == "__main__":
    run_command(main)
