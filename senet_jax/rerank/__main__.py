"""Re-ranks anyone's ranked lists by anyone's descriptors.

R.npy holds integers [queries, k], items best first; -1 means no more. OUT.npy will hold int32
[queries, k]. Descriptors are .npy files of float16, float32, float64 or integers, used as they
are, by dot product, in float32.

What a method computes of the database alone (dba, diffusion) is kept in the folder `prepared`
beside OUT.npy, and is found there the next time.

Methods, one or several joined by commas, each working on what the one before it found, with the
settings that are to differ from their defaults: --method='dba(neighbours=10),alpha_qe'. A method
with the setting `top` changes the order of the first items of the lists; the others rank the whole
database, and may bring in items that were not listed.

"""

from senet_jax.rerank.methods import datasets_with_defaults, make_chain, methods_help
from senet_jax.system.errors import CommandParser, run_command
from senet_jax.system.files import local_path, local_paths


def main() -> None:
    """Reads the flags, and re-ranks."""
    parser = CommandParser(
        prog="python -m senet_jax.rerank", description=(__doc__ or "") + methods_help()
    )
    parser.add_argument("ranks", type=local_path, metavar="R.npy", help="the ranked lists")
    parser.add_argument(
        "out", type=local_path, metavar="OUT.npy", help="where the new ones are written"
    )
    parser.add_argument(
        "--query", type=local_path, metavar="Q.npy", required=True, help="the queries' descriptors"
    )
    parser.add_argument(
        "--database",
        type=local_path,
        metavar="X.npy",
        required=True,
        help="the database's descriptors",
    )
    parser.add_argument(
        "--distractors",
        type=local_paths,
        default=[],
        metavar="D.npy,...",
        help="descriptors that follow the database's",
    )
    parser.add_argument(
        "--method", metavar="NAME(SETTING=VALUE,...),...", required=True, help="see above"
    )
    parser.add_argument(
        "--dataset",
        choices=datasets_with_defaults(),
        default="",
        help="whose defaults the settings have that are left out",
    )
    flags = parser.parse_args()
    chain = make_chain(flags.method, flags.dataset)
    from senet_jax.jobs.rerank import rerank

    rerank(chain, flags)


if __name__ == "__main__":
    run_command(main)
