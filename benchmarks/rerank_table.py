"""Every re-ranking method that needs descriptors alone, with and without the ground truth's junk.

  python -m benchmarks.rerank_table GROUND_TRUTH --query=Q.npy --database=X.npy [--dataset=NAME]

Prints mAP x 100 under Easy, Medium and Hard, as `protocol` (junk dropped before re-ranking) and as
`blind`, and the time for a query, without the database stage. The second run of each method is
timed: the first one compiles.
"""

import numpy as np

from senet_jax.data.ground_truth import load_ground_truth
from senet_jax.jobs.reranked_scores import evaluate_reranked
from senet_jax.metrics.protocols import PROTOCOLS
from senet_jax.metrics.report import evaluate_descriptors
from senet_jax.rerank.method import Resources
from senet_jax.rerank.methods import METHODS, make_chain
from senet_jax.rerank.retrieval import search
from senet_jax.search.database import BlockedDatabase
from senet_jax.system.errors import CommandParser, UserError, run_command
from senet_jax.system.files import open_array

CHAINS = ("dba,alpha_qe", "alpha_qe,refinement")


def main() -> None:
    parser = CommandParser(prog="python -m benchmarks.rerank_table", description=__doc__)
    parser.add_argument("ground_truth")
    parser.add_argument("--query", required=True)
    parser.add_argument("--database", required=True)
    parser.add_argument("--dataset", default="")
    arguments = parser.parse_args()
    ground_truth = load_ground_truth(arguments.ground_truth)
    queries, database = (
        np.asarray(open_array(path)) for path in (arguments.query, arguments.database)
    )
    found = search(queries, BlockedDatabase((database,)), len(database))
    print(f"{'':28}" + "".join(f"{protocol.name:>9}" for protocol in PROTOCOLS) + " ms a query")
    _print_line("none", evaluate_descriptors(ground_truth, queries, [database]))
    for name in (*(name for name, method in METHODS.items() if not method.needs), *CHAINS):
        try:
            chain = make_chain(name, arguments.dataset)
        except UserError as error:
            print(f"{name:28}{error}")
            continue
        evaluate_reranked(ground_truth, found, chain, Resources())
        for kind, report in evaluate_reranked(ground_truth, found, chain, Resources()).items():
            cost = f"{1000 * report.cost.seconds_per_query:11.2f}"
            _print_line(f"{name}:{kind}", report.scores, cost)


def _print_line(name, scores, cost=""):
    means = "".join(f"{100 * scores.means(p.name)[0]:9.1f}" for p in PROTOCOLS)
    print(f"{name:28.28}{means}{cost}", flush=True)


if __name__ == "__main__":
    run_command(main)
