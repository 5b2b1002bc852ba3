"""What a residual block of each stage takes, beside PyTorch's: where R101's time goes.

  python -m benchmarks.blocks [--image=HxW] [--rounds=N]

The last block of each stage of R50 on the maps of one image, random weights: ours with batch norms
folded and Winograd's algorithm, the twin's in PyTorch as it is. R101 has 17 more of those of stage
3. They take turns in one process. Prints the medians, how many products of two numbers a second
that is, and the ratio of the times beside that of the products.
"""

import argparse
import time

import numpy as np
import torch

from benchmarks.forward import REPEATS
from senet_jax.convert.twin import Twin
from senet_jax.models.layers import LayerOptions
from senet_jax.models.registry import find_architecture
from senet_jax.models.resnet import ResidualBlock
from senet_jax.models.valid_region import WHOLE
from senet_jax.system.errors import CommandParser, run_command
from senet_jax.system.runtime import tune_for_inference

# Products of each pair of channels of a 3x3 convolution at a position, by Winograd's algorithm.
WINOGRAD, DIRECT = 4, 9


def main() -> None:
    flags = _flags()
    tune_for_inference()
    architecture = find_architecture("r50")
    twin = Twin(architecture).eval()
    height, width = map(int, flags.image.split("x"))
    for stage in range(4):
        stride = 4 * np.prod(architecture.stage_strides[: stage + 1])
        size = height // stride, width // stride
        features = architecture.stage_widths[stage]
        block = twin.get_submodule(f"s{stage + 1}.b{architecture.depths[stage]}")
        ours, theirs = _milliseconds(block, (1, *size, features), flags.rounds)
        counts = [
            np.prod(size) * (2 * features**2 // 4 + products * (features // 4) ** 2)
            for products in (WINOGRAD, DIRECT)
        ]
        speeds = [count / time / 1e6 for count, time in zip(counts, (ours, theirs), strict=True)]
        print(
            f"stage {stage + 1}, {size[0]} x {size[1]}: ours {ours:.2f} ms, {speeds[0]:.0f} "
            f"billion products a second; PyTorch {theirs:.2f} ms, {speeds[1]:.0f}; "
            f"time {ours / theirs:.2f}, products {counts[0] / counts[1]:.2f}"
        )


def _flags() -> argparse.Namespace:
    parser = CommandParser(prog="python -m benchmarks.blocks", description=__doc__)
    parser.add_argument("--image", default="768x1024")
    parser.add_argument("--rounds", type=int, default=3)
    return parser.parse_args()


def _milliseconds(
    theirs: torch.nn.Module, shape: tuple[int, ...], rounds: int
) -> tuple[float, float]:
    """Medians of ours and of theirs."""
    import jax

    maps = np.random.default_rng(0).standard_normal(shape).astype(np.float32)
    channels_first = torch.from_numpy(maps).permute(0, 3, 1, 2).contiguous()
    options = LayerOptions(folded=True, fast_blocks=True)
    block = ResidualBlock(shape[-1], 1, options)
    variables = block.init(jax.random.key(0), maps, WHOLE)
    network = jax.jit(lambda *inputs: block.apply(*inputs, WHOLE))
    inputs = jax.device_put((variables, maps))
    runs = [lambda: network(*inputs).block_until_ready(), lambda: theirs(channels_first)]
    times: list[list[float]] = [[], []]
    with torch.no_grad():
        for _ in range(rounds):
            for run, seconds in zip(runs, times, strict=True):
                run()
                for _ in range(REPEATS):
                    start = time.perf_counter()
                    run()
                    seconds.append(time.perf_counter() - start)
    ours, others = (1e3 * float(np.median(seconds)) for seconds in times)
    return ours, others


if __name__ == "__main__":
    run_command(main)
