"""How far padding, turning and the fast form of the network move descriptors.

  python -m benchmarks.bucket_parity --weights=W [--count=200]
  python -m benchmarks.bucket_parity --weights=W --sizes=image_sizes.csv [--every=K] [--scales=1.0]

Images are noise with the spectrum of photographs, of random sizes from 33 to 600 pixels a side or
of the distinct sizes in a list of the benchmark. Distances are those of unit descriptors: ours in
mode `auto` from mode `exact`, over the distance of PyTorch's float32 from float64 (bar 2).
"""

import csv
import pathlib
import tempfile

import numpy as np
import torch

from benchmarks.kinds import twin_of
from benchmarks.memory import in_own_process
from benchmarks.noise import write_images
from senet_jax.data.revisitop import Photograph
from senet_jax.features.extract import extract, plan_job
from senet_jax.features.plan import Mode
from senet_jax.features.reader import read_pyramid
from senet_jax.features.runner import Describer
from senet_jax.models.preprocessing import normalise
from senet_jax.system.errors import CommandParser, run_command
from senet_jax.system.progress import Progress
from senet_jax.system.runtime import tune_for_inference, use_compilation_cache
from senet_jax.weights import Weights, load_weights


def main() -> None:
    parser = CommandParser(prog="python -m benchmarks.bucket_parity", description=__doc__)
    parser.add_argument("--weights", required=True)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--sizes", help="a CSV with the columns split, name, width, height")
    parser.add_argument("--every", type=int, default=1)
    parser.add_argument("--scales", default="0.7071,1.0,1.4142")
    arguments = parser.parse_args()
    scales = [float(scale) for scale in arguments.scales.split(",")]
    rng = np.random.default_rng(0)
    if arguments.sizes is None:
        sizes = rng.integers(33, 601, (arguments.count, 2))
    else:
        with open(arguments.sizes, newline="") as file:
            rows = [row for row in csv.DictReader(file) if row["split"] == "database"]
        listed = np.array([[int(row["height"]), int(row["width"])] for row in rows])
        sizes = np.unique(listed, axis=0)[:: arguments.every]
    weights = load_weights(arguments.weights)
    with tempfile.TemporaryDirectory() as folder:
        photographs = write_images(pathlib.Path(folder), sizes, rng)
        # What one of them leaves of its memory in pieces is not for the next one to do with.
        ours, unpadded = (
            in_own_process(_described, weights, photographs, scales, mode).value
            for mode in ("auto", "exact")
        )
        single, double = in_own_process(_twins, weights, photographs, scales).value
    own = np.linalg.norm(single - double, axis=1)
    print(f"{weights.architecture.name}, {len(sizes)} images, scales {scales}")
    print(f"PyTorch to float64: median {np.median(own):.3g}, largest {own.max():.3g}")
    for name, distance in (
        ("auto to exact", np.linalg.norm(ours - unpadded, axis=1)),
        ("auto to float64", np.linalg.norm(ours - double, axis=1)),
    ):
        print(
            f"{name}: median {np.median(distance):.3g}, largest {distance.max():.3g}; over "
            f"PyTorch's, median {np.median(distance / own):.2f}, "
            f"largest over largest {distance.max() / own.max():.2f} (bar 2)"
        )


def _described(
    weights: Weights, photographs: list[Photograph], scales: list[float], mode: Mode
) -> np.ndarray:
    """Our descriptors."""
    use_compilation_cache()
    tune_for_inference()
    describer = Describer.of(weights, mode)
    print(plan_job(describer, photographs, scales, label=mode, skip_unreadable=False).summary())
    return extract(describer, photographs, scales, label=mode)[0]


def _twins(
    weights: Weights, photographs: list[Photograph], scales: list[float]
) -> list[np.ndarray]:
    """Descriptors of PyTorch, in float32 and in float64."""
    described = []
    for dtype in (torch.float32, torch.float64):
        twin = twin_of(weights, dtype)
        progress = Progress(f"PyTorch, {dtype}", len(photographs), "images")
        rows = []
        for photograph in photographs:
            units = []
            for pixels in read_pyramid(photograph, scales).levels:
                image = torch.from_numpy(normalise(pixels, weights.preprocessing))
                with torch.no_grad():
                    output = twin(image.permute(2, 0, 1)[None].to(dtype))["descriptor"][0]
                units.append(output / output.norm())
            mean = torch.stack(units).mean(dim=0)
            rows.append((mean / mean.norm()).double().numpy())
            progress.advance()
        described.append(np.stack(rows))
    return described


if __name__ == "__main__":
    run_command(main)
