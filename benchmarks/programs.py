"""How many programs whole datasets take, and how much of what they compute is padding.

  python -m benchmarks.programs roxford5k/image_sizes.csv rparis6k/image_sizes.csv

A file has the columns split, width and height; its splits `database` and `query_crop` are planned
at three scales, as the evaluate job plans them on CPUs. Bars: 50 programs for all of them together,
and 5 % of padding for the databases.
"""

import csv

import numpy as np

from senet_jax.features.plan import CPU_COSTS, make_plan
from senet_jax.system.errors import CommandParser, run_command

SCALES = (0.7071, 1.0, 1.4142)


def main() -> None:
    parser = CommandParser(prog="python -m benchmarks.programs", description=__doc__)
    parser.add_argument("sizes", nargs="+", metavar="SIZES.csv")
    programs = set()
    for path in parser.parse_args().sizes:
        with open(path, newline="") as file:
            rows = list(csv.DictReader(file))
        for split in ("database", "query_crop"):
            sizes = np.array(
                [(int(row["height"]), int(row["width"])) for row in rows if row["split"] == split]
            )
            plan = make_plan(sizes, SCALES, "auto", CPU_COSTS)
            programs |= plan.programs
            print(
                f"{path}, {split}: {len(sizes):,} images in {len(plan.programs)} programs, "
                f"{100 * plan.padding:.1f} % of padding"
            )
    print(f"{len(programs)} programs together")


if __name__ == "__main__":
    run_command(main)
