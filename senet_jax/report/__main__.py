"""Shows what a training or an evaluation found: a page and pictures beside its report.json.

report.html is one file that loads nothing from elsewhere: the scores beside the paper's, every
query's AP, the ranked lists of the worst and the best queries, what it cost, and what all this was
made of. A job writes it when it ends.

ranked_lists.png holds the first ten items that were found for three queries: those at the 10th,
50th and 90th percentile of AP under Medium. Of a training they are those of the trained network and
of the one that it started from, where a dataset was evaluated before and after; of an evaluation
those of the search and of every re-ranking. They are drawn from the lists that the run has kept.

With --beside, page and pictures show another run too, a training of another network for instance.

learning_curve.png, of a training, holds the loss, and the mAP under Medium of each evaluated
dataset, over the steps.
"""

import pathlib
from typing import TYPE_CHECKING

from senet_jax.system.errors import CommandParser, UserError, run_command
from senet_jax.system.files import local_path

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from senet_jax.report.results import RankedDataset

LEARNING_CURVE = "learning_curve.png"
RANKED_LISTS = "ranked_lists.png"


def main() -> None:
    """Reads the flags and the workdir, and writes the page and the pictures."""
    parser = CommandParser(prog="python -m senet_jax.report", description=__doc__)
    parser.add_argument(
        "workdir", metavar="WORKDIR", type=local_path, help="of the training or the evaluation"
    )
    parser.add_argument(
        "--dataset", help="whose lists are drawn as a picture; default: the first evaluated"
    )
    parser.add_argument(
        "--beside",
        metavar="OTHER",
        type=local_path,
        help="the workdir of another run that evaluated the same datasets",
    )
    flags = parser.parse_args()
    # These take seconds to import.
    from senet_jax.metrics.saved import REPORT, has_lists
    from senet_jax.report.beside import lists_beside, read_rival
    from senet_jax.report.curve import draw_learning_curve
    from senet_jax.report.figure import save_png
    from senet_jax.report.html_report import write_html_report
    from senet_jax.report.results import evaluated_names, ranked_dataset, read_run
    from senet_jax.report.systems import is_training
    from senet_jax.training.metrics import read_metrics

    workdir: pathlib.Path = flags.workdir
    entries, run = read_run(workdir)
    rival = None if flags.beside is None else read_rival(flags.beside, run)
    page = write_html_report(workdir, flags.beside)
    evaluated = evaluated_names(entries, run)
    kept = [name for name in evaluated if has_lists(name, run.files_crc32)]
    # Of a training there is more to draw than lists, so it may lack them.
    needed = [flags.dataset] if flags.dataset else kept or evaluated * (not is_training(run))
    pictures = {}
    if is_training(run):
        other = None
        if rival is not None and is_training(rival.run):
            other = rival.label, read_metrics(rival.workdir)
        pictures[LEARNING_CURVE] = draw_learning_curve(read_metrics(workdir), other)
    if needed:
        shown = ranked_dataset(workdir, entries, run, needed[0])
        if rival is not None:
            shown = lists_beside(workdir, shown, rival)
        pictures[RANKED_LISTS] = _draw_lists(shown)
    if not pictures:
        raise UserError(f"{workdir / REPORT} has no scores of a dataset; evaluate one")
    for file, figure in pictures.items():
        save_png(figure, workdir / file)
    written = ", ".join(str(path) for path in (page, *(workdir / file for file in pictures)))
    why = "the training kept none" if evaluated else "no dataset was evaluated before and after"
    print(f"wrote {written}" + f", but no ranked lists: {why}" * (not needed))


def _draw_lists(shown: "RankedDataset") -> "Figure":
    from senet_jax.report.examples import ITEMS, find_examples
    from senet_jax.report.pictures import LOOKALIKES_ARE
    from senet_jax.report.ranked import draw_ranked_lists, verdicts_of

    images = len(shown.database)
    examples = find_examples(shown.dataset, shown.queries, shown.database, shown.lists)
    verdicts = verdicts_of(examples)
    borders = [LOOKALIKES_ARE] * ("look-alike" in verdicts)
    borders += ["Junk shows the landmark too badly to count."] * ("junk" in verdicts)
    return draw_ranked_lists(
        examples,
        title=f"The first {min(ITEMS, images)} of {images:,} images in {shown.dataset.name}",
        notes=[
            "On the left the query; beside it what each system found first, with rank and "
            "similarity.",
            f"The queries are not picked by hand: the AP of {shown.lists[0].label} under Medium "
            f"decides. {' '.join(borders)}",
        ],
    )


if __name__ == "__main__":
    run_command(main)
