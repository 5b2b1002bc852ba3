"""What this machine can multiply, and what networks have to: a figure on a CPU stands beside both.

`python -m benchmarks.roofline` prints the machine.
"""

import math
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from senet_jax.system.errors import CommandParser, run_command
from senet_jax.system.runtime import tune_for_inference
from senet_jax.system.threads import usable_cores

# Of a square product of matrices: large enough that its start weighs nothing.
SIDE, REPEATS = 2048, 3
_CPU_INFO = "/proc/cpuinfo"


def main() -> None:
    CommandParser(prog="python -m benchmarks.roofline", description=__doc__).parse_args()
    tune_for_inference()
    print(machine(measured_peak()))


def machine(peak: float) -> str:
    """One line: what it is, its instruction set, and its measured peak in GFLOP/s."""
    return (
        f"{_cpu_info('model name')}, {usable_cores()} cores, {instruction_set()}; products of "
        f"float32 at {peak:.0f} GFLOP/s at best"
    )


def instruction_set() -> str:
    """The widest vectors of this machine that libraries for CPUs make use of."""
    flags = _cpu_info("flags").split()
    known = {"avx512f": "AVX-512", "avx2": "AVX2", "avx": "AVX", "sse2": "SSE2"}
    return next((name for flag, name in known.items() if flag in flags), "unknown")


def _cpu_info(field: str) -> str:
    with open(_CPU_INFO) as lines:
        found = (line.partition(":")[2].strip() for line in lines if line.startswith(field))
        return next(found, "unknown")


def measured_peak() -> float:
    """The best rate of any library here at a product of float32 matrices, GFLOP/s.

    NumPy's, PyTorch's and XLA's take turns, on all cores.
    """
    import jax
    import torch

    matrix = np.random.default_rng(0).standard_normal((SIDE, SIDE)).astype(np.float32)
    tensor, array = torch.from_numpy(matrix), jax.device_put(matrix)
    product = jax.jit(lambda one, other: one @ other)
    ways = [
        lambda: matrix @ matrix,
        lambda: tensor @ tensor,
        lambda: product(array, array).block_until_ready(),
    ]
    seconds = []
    for _ in range(REPEATS):
        for way in ways:
            start = time.perf_counter()
            way()
            seconds.append(time.perf_counter() - start)
    return 2 * SIDE**3 / min(seconds) / 1e9


def counted(function: Callable, *inputs: Any) -> float:
    """The operations in a function's convolutions and products of matrices, two for a product.

    What does not reach the results is not counted, and neither is anything elementwise.

    Args:
        function: of JAX.
        *inputs: arrays, or `jax.ShapeDtypeStruct`.

    Returns:
        In GFLOP.
    """
    import jax

    program = jax.make_jaxpr(function)(*inputs).jaxpr
    return _operations(program, set(program.outvars)) / 1e9


def _operations(program: Any, wanted: set[Any]) -> float:
    """Those of a `jax.extend.core.Jaxpr` that its wanted variables need."""
    total = 0.0
    for equation in reversed(program.eqns):
        if wanted.isdisjoint(equation.outvars):
            continue
        wanted |= {variable for variable in equation.invars if not hasattr(variable, "val")}
        total += _OPERATIONS.get(equation.primitive.name, _inside)(equation)
    return total


def _inside(equation: Any) -> float:
    """Of what calls another program; 0 of everything elementwise."""
    inner = equation.params.get("jaxpr") or equation.params.get("call_jaxpr")
    if inner is None:
        return 0.0
    program = getattr(inner, "jaxpr", inner)
    return equation.params.get("length", 1) * _operations(program, set(program.outvars))


def _of_convolution(equation: Any) -> float:
    kernel = equation.invars[1].aval.shape
    outputs = kernel[equation.params["dimension_numbers"].rhs_spec[0]]
    return 2 * math.prod(equation.outvars[0].aval.shape) * math.prod(kernel) / outputs


def _of_product(equation: Any) -> float:
    (summed, _), _ = equation.params["dimension_numbers"]
    shape = equation.invars[0].aval.shape
    return 2 * math.prod(equation.outvars[0].aval.shape) * math.prod(shape[axis] for axis in summed)


_OPERATIONS: dict[str, Callable[[Any], float]] = {
    "conv_general_dilated": _of_convolution,
    "dot_general": _of_product,
}


if __name__ == "__main__":
    run_command(main)
