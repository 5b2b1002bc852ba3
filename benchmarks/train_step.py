"""One real training step of R50 at 512 x 512 with 81,313 classes, and where its time goes.

  python -m benchmarks.train_step [--batch=2] [--side=512] [--repeats=3]

The recipe's SGD and L_cls, one device, float32. Prints the share of the forward pass, of the
backward pass, and of what follows (optimiser, classifier's update), and the memory at its peak.
"""

import resource
import time

import jax
import jax.numpy as jnp
import numpy as np

from configs.r50_cls import get_config
from senet_jax.config import read
from senet_jax.data.gldv2 import CLASSES
from senet_jax.models.registry import build_model
from senet_jax.system.errors import CommandParser, run_command
from senet_jax.system.runtime import use_compilation_cache
from senet_jax.training.feed import normalised
from senet_jax.training.settings import TrainingSettings
from senet_jax.training.setup import make_setup


def main() -> None:
    parser = CommandParser(prog="python -m benchmarks.train_step", description=__doc__)
    parser.add_argument("--batch", type=int, default=2)
    parser.add_argument("--side", type=int, default=512)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    use_compilation_cache()
    setup = make_setup(read(TrainingSettings, get_config()), CLASSES, steps_per_epoch=1000)
    state = setup.initial_state()
    rng = np.random.default_rng(0)
    shape = (arguments.batch, arguments.side, arguments.side, 3)
    batch = {
        "images": jnp.asarray(rng.integers(0, 256, shape, np.uint8)),
        "images_light": jnp.zeros((arguments.batch, 3)),
        "labels": jnp.asarray(rng.integers(0, CLASSES, arguments.batch), jnp.int32),
    }
    images = normalised(batch, setup.preprocessing)["images"]
    model = build_model(setup.architecture, train=True)

    def forward(params, batch_stats):
        variables = {"params": params["network"], "batch_stats": batch_stats}
        (descriptors, _), _ = model.apply(variables, images, mutable=["batch_stats"])
        return jnp.sum(descriptors**2)

    forward_only = jax.jit(forward)
    forward_backward = jax.jit(jax.grad(forward))
    step = jax.jit(setup.make_step(), donate_argnums=0)

    def seconds(work) -> float:
        start = time.perf_counter()
        jax.block_until_ready(work())
        return time.perf_counter() - start

    times = {"forward": [], "forward and backward": [], "whole step": []}
    for repeat in range(arguments.repeats + 1):  # The first one compiles.
        times["forward"].append(seconds(lambda: forward_only(state.params, state.batch_stats)))
        times["forward and backward"].append(
            seconds(lambda: forward_backward(state.params, state.batch_stats))
        )

        def run():
            nonlocal state
            state, metrics = step(state, batch)
            return metrics

        times["whole step"].append(seconds(run))
        if repeat:
            print({name: round(values[-1], 3) for name, values in times.items()}, flush=True)
    medians = {name: float(np.median(values[1:])) for name, values in times.items()}
    whole = medians["whole step"]
    backward = medians["forward and backward"] - medians["forward"]
    rest = whole - medians["forward and backward"]
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(
        f"batch {arguments.batch} at {arguments.side}: {whole:.2f} s a step; "
        f"forward {medians['forward'] / whole:.0%}, backward {backward / whole:.0%}, losses, "
        f"classifier and optimiser {rest / whole:.0%}; peak memory {peak:.1f} GiB"
    )


if __name__ == "__main__":
    run_command(main)
