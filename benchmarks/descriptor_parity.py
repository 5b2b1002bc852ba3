"""How far our descriptors are from the authors' code in float64, beside their own float32.

  python -m benchmarks.descriptor_parity --authors=CHECKOUT --weights=W --data_root=D --dataset=NAME
      [--every=K] [--modes=auto,exact] [--kinds=given,initial,unfitted,uneven]

For each kind of weights (see `kinds.py`) and each mode prints, over all queries and database
images, the distances of unit descriptors and the two ratios that the project stands for: ours to
float64 over theirs to float64 (at most 1), and ours to theirs over the same (at most 2).
"""

import copy

import numpy as np
import torch

from benchmarks import authors
from benchmarks.kinds import KINDS, kinds_of_weights
from benchmarks.memory import in_own_process
from benchmarks.noise import noise_image
from benchmarks.sample import every_kth
from senet_jax.data.revisitop import Dataset, load_dataset
from senet_jax.features.extract import extract
from senet_jax.features.plan import Mode
from senet_jax.features.runner import Describer
from senet_jax.models.preprocessing import normalise
from senet_jax.system.errors import CommandParser, run_command
from senet_jax.system.runtime import tune_for_inference, use_compilation_cache
from senet_jax.weights import Weights, load_weights

SCALES = [0.7071, 1.0, 1.4142]
CENTRED_ON = 8


def describe(weights: Weights, mode: Mode, dataset: Dataset) -> np.ndarray:
    """Our descriptors of queries and database, float32[n d]."""
    use_compilation_cache()
    tune_for_inference()
    describer = Describer.of(weights, mode)
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


def describe_as_the_authors(
    checkout: str, weights: Weights, dataset: Dataset
) -> tuple[np.ndarray, np.ndarray]:
    """Their descriptors of queries and database in float32 and in float64, [n d]."""
    model = authors.load_model(checkout, weights)
    with authors.under_their_name(dataset) as root:
        single, double = (
            np.concatenate([authors.extract(network, root, p, SCALES) for p in ("query", "db")])
            for network in (model, _Double(copy.deepcopy(model)))
        )
    return single, double


def print_distances(ours: np.ndarray, theirs: np.ndarray, exact: np.ndarray) -> None:
    """Prints distances of unit descriptors, float[n d] each, and their ratios with the bars."""
    own = theirs - exact
    for name, difference, bar in (
        ("ours to float64", ours - exact, 1),
        ("ours to theirs", ours - theirs, 2),
    ):
        by_image = np.linalg.norm(difference, axis=1) / np.linalg.norm(own, axis=1)
        print(
            f"    {name}: {np.linalg.norm(difference) / np.linalg.norm(own):.2f} (bar {bar}), "
            f"per image median {np.median(by_image):.2f}, largest {by_image.max():.2f}, "
            f"largest number over largest {abs(difference).max() / abs(own).max():.2f}"
        )


def main() -> None:
    parser = CommandParser(prog="python -m benchmarks.descriptor_parity", description=__doc__)
    for flag in ("authors", "weights", "data_root", "dataset"):
        parser.add_argument(f"--{flag}", required=True)
    parser.add_argument("--every", type=int, default=1, help="take every K-th image only")
    parser.add_argument("--modes", default="auto,exact")
    parser.add_argument("--kinds", default=",".join(KINDS))
    arguments = parser.parse_args()
    weights = load_weights(arguments.weights)
    dataset = every_kth(load_dataset(arguments.data_root, arguments.dataset), arguments.every)
    rng = np.random.default_rng(0)
    images = np.stack([noise_image(192, 256, rng) for _ in range(CENTRED_ON)])
    kinds = kinds_of_weights(weights, normalise(images, weights.preprocessing))
    print(
        f"{weights.architecture.name}, {len(dataset.queries) + len(dataset.images)} descriptors of "
        f"{arguments.dataset}; distances over those of theirs to float64"
    )
    for kind in arguments.kinds.split(","):
        theirs, exact = describe_as_the_authors(arguments.authors, kinds[kind], dataset)
        cosines = (exact @ exact.T)[np.triu_indices(len(exact), 1)]
        distances = np.linalg.norm(theirs - exact, axis=1)
        print(
            f"{kind}: cosines {np.percentile(cosines, [0, 50, 100]).round(3).tolist()}, theirs to "
            f"float64 median {np.median(distances):.3g}, largest {distances.max():.3g}"
        )
        for mode in arguments.modes.split(","):
            print(f"  {mode}")
            # PyTorch would not give back any memory under the settings that ours takes.
            ours = in_own_process(describe, kinds[kind], mode, dataset).value
            print_distances(ours, theirs, exact)


if __name__ == "__main__":
    run_command(main)
