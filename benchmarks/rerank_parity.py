"""How far our scores of pairs are from the authors' CVNet-Rerank in float64, beside their float32.

  python -m benchmarks.rerank_parity --authors=CHECKOUT --weights=W --data_root=D --dataset=NAME
      [--pairs=50] [--largest=SIDE]

CHECKOUT is one of sungonce/CVNet. The pairs are random parts of the dataset's photographs, from 32
pixels a side, where theirs still works, to the whole. Prints the ratio that the project stands for:
the distance of ours to float64 over that of theirs (at most 2).
"""

import tempfile

import numpy as np
import torch

from benchmarks import authors
from senet_jax.data.revisitop import Dataset, Photograph, load_dataset
from senet_jax.data.sizes import photograph_size
from senet_jax.data.transforms import Preprocessing
from senet_jax.features.reader import read_pyramid
from senet_jax.rerank.maps import MapCache, MapNetwork
from senet_jax.rerank.pair_scores import PairScores
from senet_jax.rerank.pairs import PairCount
from senet_jax.system.errors import CommandParser, run_command
from senet_jax.system.runtime import tune_for_inference, use_compilation_cache
from senet_jax.weights import load_weights

SMALLEST = 32


def random_parts(dataset: Dataset, count: int, largest: int, seed: int = 0) -> list[Photograph]:
    """Photographs with random boxes; small sides are as frequent as large ones."""
    rng = np.random.default_rng(seed)
    parts = []
    for index in rng.integers(len(dataset.images), size=count):
        image = dataset.images[index]
        box = []
        for whole in photograph_size(image)[::-1]:
            side = int(np.exp(rng.uniform(np.log(SMALLEST), np.log(min(whole, largest)))))
            start = int(rng.integers(whole - side + 1))
            box.append((start, start + side))
        (x1, x2), (y1, y2) = box
        parts.append(Photograph(image.folder, image.file_name, (x1, y1, x2, y2)))
    return parts


def their_scores(
    model: torch.nn.Module, queries: list[Photograph], items: list[Photograph], dtype: torch.dtype
) -> np.ndarray:
    """One pair at a time, float64[p]."""
    model = model.to(dtype)
    mean, std = (
        torch.tensor(values, dtype=dtype)[:, None, None]
        for values in (Preprocessing().mean, Preprocessing().std)
    )

    def image(photograph: Photograph) -> torch.Tensor:
        [pixels] = read_pyramid(photograph, [1.0])
        pixels = torch.from_numpy(np.ascontiguousarray(pixels)).to(dtype).permute(2, 0, 1)
        return ((pixels / 255 - mean) / std)[None]

    pairs = zip(queries, items, strict=True)
    return np.array([float(model(image(query), image(item))[0]) for query, item in pairs])


def main() -> None:
    parser = CommandParser(prog="python -m benchmarks.rerank_parity", description=__doc__)
    for flag in ("authors", "weights", "data_root", "dataset"):
        parser.add_argument(f"--{flag}", required=True)
    parser.add_argument("--pairs", type=int, default=50)
    parser.add_argument("--largest", type=int, default=1024, help="the longest side of a part")
    arguments = parser.parse_args()
    use_compilation_cache()
    tune_for_inference()
    weights = load_weights(arguments.weights)
    dataset = load_dataset(arguments.data_root, arguments.dataset)
    parts = random_parts(dataset, 2 * arguments.pairs, arguments.largest)
    queries, items = parts[::2], parts[1::2]
    pairs = np.tile(np.arange(arguments.pairs)[:, None], (1, 2))
    network = MapNetwork(weights)

    with tempfile.TemporaryDirectory() as folder:
        ours = PairScores(MapCache(network, folder, 2**40), queries, items, PairCount())(pairs)
    model = authors.load_reranker(arguments.authors, weights)
    theirs = their_scores(model, queries, items, torch.float32)
    exact = their_scores(model, queries, items, torch.float64)

    print(f"{weights.architecture.name}, {len(pairs)} pairs of parts of {arguments.dataset}")
    print(f"scores: {np.percentile(exact, [0, 25, 50, 75, 100]).round(3).tolist()}")
    distances = {
        "theirs to float64": theirs - exact,
        "ours to float64": ours - exact,
        "ours to theirs": ours - theirs,
    }
    for name, difference in distances.items():
        print(
            f"{name:20} median {np.median(np.abs(difference)):.3g}, "
            f"root mean square {np.sqrt(np.mean(difference**2)):.3g}, "
            f"largest {np.abs(difference).max():.3g}"
        )
    own = np.linalg.norm(distances.pop("theirs to float64"))
    for name, difference in distances.items():
        print(f"{name} over theirs to float64: {np.linalg.norm(difference) / own:.2f}")


if __name__ == "__main__":
    run_command(main)
