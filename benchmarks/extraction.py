"""The time from files to descriptors beside the authors' code, same images and cores.

  python -m benchmarks.extraction --authors=CHECKOUT --weights=W --data_root=D --dataset=NAME

Three scales, queries and database. The two take turns, and the medians over the rounds are
compared. The first round of ours, in which programs are compiled or read from the cache, is printed
by itself and counts for nothing else.
"""

import time

import numpy as np

from benchmarks import authors
from senet_jax.data.revisitop import load_dataset
from senet_jax.errors import CommandParser, run_command
from senet_jax.retrieval.extract import extract, make_describe
from senet_jax.runtime import use_compilation_cache
from senet_jax.weights import load_weights

SCALES = [0.7071, 1.0, 1.4142]


def main() -> None:
    parser = CommandParser(prog="python -m benchmarks.extraction", description=__doc__)
    for flag in ("authors", "weights", "data_root", "dataset"):
        parser.add_argument(f"--{flag}", required=True)
    parser.add_argument("--mode", default="auto", choices=("auto", "exact"))
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    use_compilation_cache()
    weights = load_weights(arguments.weights)
    dataset = load_dataset(arguments.data_root, arguments.dataset)
    describe = make_describe(weights, arguments.mode)
    model = authors.load_model(arguments.authors, weights)
    count = len(dataset.queries) + len(dataset.images)

    def ours() -> float:
        start = time.perf_counter()
        for photographs in (dataset.queries, dataset.images):
            extract(
                describe,
                photographs,
                SCALES,
                label="ours",
                width=weights.architecture.outputs,
                skip_unreadable=False,
            )
        return (time.perf_counter() - start) / count

    def theirs(root: str) -> float:
        start = time.perf_counter()
        for part in ("query", "db"):
            authors.extract(model, root, part, SCALES)
        return (time.perf_counter() - start) / count

    print(f"{weights.architecture.name}, {count} images of {arguments.dataset}, {arguments.mode}")
    print(f"ours, first round: {ours():.3f} s an image", flush=True)
    times = []
    with authors.under_their_name(dataset) as root:
        for _ in range(arguments.rounds):
            times.append((ours(), theirs(root)))
            print("ours {:.3f}, theirs {:.3f} s an image".format(*times[-1]), flush=True)
    ours_median, theirs_median = np.median(times, axis=0)
    print(
        f"medians: ours {ours_median:.3f}, theirs {theirs_median:.3f} s an image, "
        f"ratio {ours_median / theirs_median:.2f}"
    )


if __name__ == "__main__":
    run_command(main)
