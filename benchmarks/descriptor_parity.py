"""How far our descriptors are from the authors' code in float64, beside their own float32.

  python -m benchmarks.descriptor_parity --authors=CHECKOUT --weights=W --data_root=D --dataset=NAME
      [--mode=exact] [--every=K]

Prints, over all queries and database images, the distances of unit descriptors and the two ratios
that the project stands for: ours to float64 over theirs (at most 2) and ours to theirs over theirs
to float64 (at most 3).
"""

import numpy as np
import torch

from benchmarks import authors
from benchmarks.memory import in_own_process
from senet_jax.data.ground_truth import GroundTruth
from senet_jax.data.revisitop import Dataset, load_dataset
from senet_jax.errors import CommandParser, run_command
from senet_jax.retrieval.buckets import Mode
from senet_jax.retrieval.describer import Describer
from senet_jax.retrieval.extract import extract
from senet_jax.runtime import tune_for_inference, use_compilation_cache
from senet_jax.weights import load_weights

SCALES = [0.7071, 1.0, 1.4142]


def every_kth(dataset: Dataset, step: int) -> Dataset:
    """A smaller dataset, for machines that have not the time: every K-th query and image."""
    truth = dataset.ground_truth
    queries = truth.query_names[::step]
    nothing = (np.zeros(0, np.int64),) * len(queries)
    return Dataset(
        name=dataset.name,
        ground_truth=GroundTruth(
            truth.image_names[::step], queries, nothing, nothing, nothing, truth.boxes[::step]
        ),
        images=dataset.images[::step],
        queries=dataset.queries[::step],
    )


def describe(weights: str, mode: Mode, dataset: Dataset) -> np.ndarray:
    """Our descriptors of queries and database, float32[n d]."""
    use_compilation_cache()
    tune_for_inference()
    describer = Describer.of(load_weights(weights), mode)
    parts = ("query", dataset.queries), ("database", dataset.images)
    return np.concatenate(
        [extract(describer, images, SCALES, label=part)[0] for part, images in parts]
    )


class _Double(torch.nn.Module):
    def __init__(self, model: torch.nn.Module):
        super().__init__()
        self.model = model.double()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.model(images.double())


def main() -> None:
    parser = CommandParser(prog="python -m benchmarks.descriptor_parity", description=__doc__)
    for flag in ("authors", "weights", "data_root", "dataset"):
        parser.add_argument(f"--{flag}", required=True)
    parser.add_argument("--mode", default="auto", choices=("auto", "exact"))
    parser.add_argument("--every", type=int, default=1, help="take every K-th image only")
    arguments = parser.parse_args()
    weights = load_weights(arguments.weights)
    dataset = every_kth(load_dataset(arguments.data_root, arguments.dataset), arguments.every)
    # PyTorch would not give back any memory under the settings that ours takes.
    ours = in_own_process(describe, arguments.weights, arguments.mode, dataset).value
    model = authors.load_model(arguments.authors, weights)
    with authors.under_their_name(dataset) as root:
        theirs = np.concatenate([authors.extract(model, root, p, SCALES) for p in ("query", "db")])
        double = _Double(model)
        exact = np.concatenate([authors.extract(double, root, p, SCALES) for p in ("query", "db")])

    cosines = (exact @ exact.T)[np.triu_indices(len(exact), 1)]
    print(
        f"{weights.architecture.name}, {len(exact)} descriptors of {arguments.dataset}, "
        f"{arguments.mode}"
    )
    print(f"cosines between them: {np.percentile(cosines, [0, 50, 100]).round(3).tolist()}")
    distance = {
        "theirs to float64": np.linalg.norm(theirs - exact, axis=1),
        "ours to float64": np.linalg.norm(ours - exact, axis=1),
        "ours to theirs": np.linalg.norm(ours - theirs, axis=1),
    }
    for name, values in distance.items():
        print(f"{name:20} median {np.median(values):.3g}, largest {values.max():.3g}")
    own = distance["theirs to float64"]
    for name, bar in (("ours to float64", 2), ("ours to theirs", 3)):
        ratios = distance[name] / own
        print(
            f"{name} over theirs to float64: of the largest {distance[name].max() / own.max():.2f},"
            f" per image median {np.median(ratios):.2f}, largest {ratios.max():.2f} (bar {bar})"
        )


if __name__ == "__main__":
    run_command(main)
