"""Rounds descriptors to fewer bits, for a smaller database: float16, bfloat16, or int8.

X.npy holds descriptors [n d]. So will OUT.npy, which `score`, `search` and `rerank` read as any
other descriptors. Both are processed in batches of rows, so they may be larger than the memory.
"""

import numpy as np

from senet_jax.search.database import as_float32, check_descriptors
from senet_jax.search.storage import STORAGES, no_rows, quantise
from senet_jax.system.errors import CommandParser, UserError, run_command
from senet_jax.system.files import atomic_write, local_path, open_array
from senet_jax.system.progress import Progress

_BATCH_ROWS = 2**13


def main() -> None:
    """Reads, rounds, and writes."""
    parser = CommandParser(prog="python -m senet_jax.quantise", description=__doc__)
    parser.add_argument("descriptors", type=local_path, metavar="X.npy", help="the descriptors")
    parser.add_argument(
        "out", type=local_path, metavar="OUT.npy", help="where the rounded ones are written"
    )
    parser.add_argument("--storage", choices=STORAGES, required=True)
    flags = parser.parse_args()
    descriptors = open_array(flags.descriptors)
    width = check_descriptors(descriptors, str(flags.descriptors))
    nothing = no_rows(width, flags.storage)
    shape = len(descriptors), *nothing.shape[1:]
    with atomic_write(flags.out) as temporary:
        out = np.lib.format.open_memmap(temporary, "w+", nothing.dtype, shape)
        progress = Progress(flags.storage, len(descriptors), "rows")
        for start in range(0, len(descriptors), _BATCH_ROWS):
            rows = slice(start, min(start + _BATCH_ROWS, len(descriptors)))
            numbers = as_float32(descriptors[rows])
            _check_finite(numbers, start, f"{flags.descriptors} is not finite in float32")
            out[rows] = rounded = quantise(numbers, flags.storage)
            too_large = f"{flags.descriptors} is too large for {flags.storage}"
            _check_finite(as_float32(rounded), start, too_large)
            progress.advance(len(numbers))
        out.flush()
    print(f"wrote {flags.out}")


def _check_finite(numbers: np.ndarray, first: int, otherwise: str) -> None:
    are_finite = np.isfinite(numbers).all(axis=1)
    if not are_finite.all():
        raise UserError(f"row {first + are_finite.argmin()} of {otherwise}; mend the descriptor")


if __name__ == "__main__":
    run_command(main)
