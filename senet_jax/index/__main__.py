"""Makes an index of a folder of photographs, or brings it up to date; search finds in it.

PHOTOS is searched with all folders below it for JPEG, PNG, WebP, TIFF, AVIF, BMP and, where
pillow-heif is installed, HEIC. INDEX is a folder, which is made. Given again, the command describes
what is new or was changed, forgets what was removed, finds again what was moved, and names what
cannot be read; the photographs stay as they are. A run that was ended resumes.
"""

import argparse

from senet_jax.convert.sources import source_name
from senet_jax.index.backends import BACKENDS
from senet_jax.index.contents import DEFAULT_WEIGHTS
from senet_jax.search.storage import STORAGES
from senet_jax.system.errors import CommandParser, run_command
from senet_jax.system.files import local_path
from senet_jax.system.process import interruptible, locked_workdir
from senet_jax.system.spelling import settings_help

NAMED = 20
"""How many photographs that cannot be read are named; all are in `skipped.txt`."""


def main() -> None:
    """Looks at the folder, describes what is new, and says what was done."""
    parser = CommandParser(
        prog="python -m senet_jax.index",
        description=f"{__doc__}\nBackends, with their settings:\n{settings_help(BACKENDS)}",
    )
    parser.add_argument(
        "photos", type=local_path, metavar="PHOTOS", help="the folder of the photographs"
    )
    parser.add_argument("index", type=local_path, metavar="INDEX", help="the folder of the index")
    parser.add_argument(
        "--weights",
        type=source_name,
        metavar="WEIGHTS",
        help="the weights folder of the network that describes, pretrained:NAME, random:NAME:SEED "
        f"or thumbnails (default: {DEFAULT_WEIGHTS}, later that of the index)",
    )
    parser.add_argument(
        "--storage",
        choices=STORAGES,
        help="how descriptors are stored (default: float32, later that of the index)",
    )
    parser.add_argument(
        "--backend",
        metavar="NAME(SETTING=VALUE,...)",
        help="what searches it, see above (default: files, later that of the index)",
    )
    parser.add_argument(
        "--whiten",
        action=argparse.BooleanOptionalAction,
        help="whiten descriptors for the search, as learned on the photographs (default: not, "
        "later as the index)",
    )
    flags = parser.parse_args()
    from senet_jax.index.held import bring_up_to_date, chosen
    from senet_jax.index.update import check_place, update
    from senet_jax.system.distributed import announce
    from senet_jax.system.runtime import tune_for_inference, use_compilation_cache

    check_place(flags.index)
    backend = chosen(flags.index, flags.backend)
    tune_for_inference()
    use_compilation_cache()
    announce()
    saved = f"what is described is kept in {flags.index}; run the same command again to go on"
    with locked_workdir(flags.index), interruptible(lambda: saved):
        updated = update(flags.photos, flags.index, flags.weights, flags.storage, flags.whiten)
        index = updated.index
        told = bring_up_to_date(flags.index, index.database, index.searched_key, backend)
    skipped = updated.skipped[:NAMED]
    network = [f"described by {updated.network}"] * bool(updated.described)
    of_weights = [line for line in updated.weights_remarks if not any(line in n for n in network)]
    for line in [*network, *updated.remarks, *skipped, *of_weights, *told]:
        print(line)
    print(updated.summary())


if __name__ == "__main__":
    run_command(main)
