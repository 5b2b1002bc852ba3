"""Draws what a finished training learned: two pictures beside its report.json.

learning_curve.png holds the loss, and the mAP under Medium of each evaluated dataset, over the
steps. ranked_lists.png holds the first ten items that the trained network, and the one that it
started from, find for three queries: those at the 10th, 50th and 90th percentile of the trained
network's AP. It is drawn where the training evaluated a dataset, before and after.
"""

import pathlib
from typing import TYPE_CHECKING, Any

from senet_jax.config import names
from senet_jax.system.checksummed import read_kept_json
from senet_jax.system.errors import CommandParser, UserError, run_command
from senet_jax.system.files import local_path, read_json
from senet_jax.system.runtime import use_compilation_cache

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from senet_jax.training.setup import Setup

LEARNING_CURVE = "learning_curve.png"
RANKED_LISTS = "ranked_lists.png"


def main() -> None:
    """Reads the flags and the workdir, and writes the pictures."""
    parser = CommandParser(prog="python -m senet_jax.report", description=__doc__)
    parser.add_argument("workdir", metavar="WORKDIR", type=local_path, help="of the training")
    parser.add_argument("--dataset", help="whose lists are drawn; default: the first evaluated")
    flags = parser.parse_args()
    # These take seconds to import.
    from senet_jax.report.curve import draw_learning_curve
    from senet_jax.report.figure import save_png
    from senet_jax.training.export import CONFIG, REPORT, setup_of
    from senet_jax.training.metrics import read_metrics

    use_compilation_cache()
    workdir = flags.workdir
    for name in (CONFIG, REPORT):
        if not (workdir / name).is_file():
            raise UserError(
                f"{workdir} has no {name}, so no training ended there; let one end with "
                f"python -m senet_jax.main --config=... --workdir={workdir}"
            )
    settings = read_kept_json(workdir / CONFIG, "train again", required=False)
    report = read_json(workdir / REPORT)
    setup = setup_of(settings, workdir / CONFIG)
    evaluated = names(settings["evaluation"]["datasets"])
    curve = draw_learning_curve(read_metrics(workdir))
    if flags.dataset is None:
        flags.dataset = next((name for name in evaluated if f"{name}_untrained" in report), None)
    if flags.dataset:
        lists = _draw_lists(workdir, setup, settings, report, flags.dataset)
        save_png(lists, workdir / RANKED_LISTS)
        drawn = f"{workdir / LEARNING_CURVE} and {workdir / RANKED_LISTS}"
    else:
        drawn = (
            f"{workdir / LEARNING_CURVE}, but no ranked lists: no dataset was evaluated before and "
            "after"
        )
    save_png(curve, workdir / LEARNING_CURVE)
    print(f"wrote {drawn}")


def _draw_lists(
    workdir: pathlib.Path,
    setup: "Setup",
    settings: dict[str, Any],
    report: dict[str, Any],
    dataset_name: str,
) -> "Figure":
    from senet_jax.data.revisitop import load_dataset
    from senet_jax.features.runner import Describer
    from senet_jax.models.senet import without_descriptor_norm
    from senet_jax.report.examples import (
        ITEMS,
        ScoredNetwork,
        average_precisions,
        find_examples,
    )
    from senet_jax.report.ranked import draw_ranked_lists
    from senet_jax.training.export import REPORT, WEIGHTS
    from senet_jax.training.setup import PREPROCESSING
    from senet_jax.weights import load_weights

    dataset = load_dataset(settings["evaluation"]["data_root"], dataset_name)

    weights = load_weights(workdir / WEIGHTS)
    if weights.sha256 != report["run"]["weights_sha256"]:
        raise UserError(
            f"{workdir / WEIGHTS} holds other weights than {REPORT} is of; go on with the training"
        )
    start = None
    if settings["start"]:
        start_weights = load_weights(settings["start"])
        if start_weights.sha256 != settings["start_found"]["sha256"]:
            raise UserError(
                f"{settings['start']} holds other weights than the training was begun with; put "
                "those back"
            )
        start = setup.start_from(start_weights)

    def scored(variables: dict[str, Any], name: str) -> ScoredNetwork:
        return ScoredNetwork(
            describer=Describer(setup.architecture, PREPROCESSING, variables),
            average_precisions=average_precisions(report, name, dataset),
        )

    examples = find_examples(
        dataset,
        trained=scored(weights.variables(), dataset.name),
        untrained=scored(
            without_descriptor_norm(setup.initial_variables(start)), f"{dataset.name}_untrained"
        ),
        scales=settings["evaluation"]["scales"],
    )
    return draw_ranked_lists(
        examples,
        title=f"The first {ITEMS} of {len(dataset.images):,} images in {dataset.name}",
        note="Not picked by hand: the queries at these percentiles of the trained network's AP "
        "under Medium. Junk does not count.",
    )


if __name__ == "__main__":
    run_command(main)
