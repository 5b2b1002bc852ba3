"""What a report has of each dataset: the scores of several systems, by names for people."""

from collections.abc import Mapping

from senet_jax.metrics.evaluation_report import EvaluationReport
from senet_jax.metrics.run_report import Run
from senet_jax.report.paper import PaperFigure, paper_figure
from senet_jax.training.final_report import UNTRAINED


def datasets_of(entries: Mapping[str, EvaluationReport]) -> dict[str, list[str]]:
    """The datasets of a report, each with the names of its entries; the first is its own."""
    found: dict[str, list[str]] = {}
    for name in entries:
        found.setdefault(_dataset(name, entries), []).append(name)
    return {dataset: sorted(names, key=lambda n: n != dataset) for dataset, names in found.items()}


def is_training(run: Run) -> bool:
    """Whether a training made the report, and not an evaluation."""
    return run.config.get("job") in ("train", "train_pairs")


def label_of(entry: str, dataset: str, run: Run) -> str:
    """What an entry is called beside the others of its dataset."""
    if entry != dataset:
        reranking = entry.removeprefix(f"{dataset}+")
        before = "before" if run.config.get("start") else "untrained"
        return before if reranking == entry else reranking
    return (model_of(run) or "trained") if is_training(run) else "search"


def figure_of(entry: str, dataset: str, run: Run) -> PaperFigure | None:
    """What the paper tells of the same system on the same dataset.

    A network of the same name may have been trained otherwise, or the settings may be others: that
    is what the comparison may show. There is none for a training's own evaluations, for random
    weights, for whitened descriptors, and for queries that are not cut to their boxes.
    """
    is_comparable = (
        not is_training(run)
        and not run.random_weights
        and run.config.get("crop_queries", True) is True
        and not run.config.get("whiten")
    )
    model, distractors = model_of(run), run.config.get("distractors", "")
    if not is_comparable or not isinstance(distractors, str):
        return None
    return paper_figure(dataset, distractors, model, entry.removeprefix(dataset).removeprefix("+"))


def model_of(run: Run) -> str:
    """The name of the network, empty where it is not told."""
    name = run.weights.get("model") or run.config.get("model")
    return name if isinstance(name, str) else ""


def training_set_of(run: Run) -> str:
    """On what the network was trained, empty where it is not told."""
    told = run.weights.get("training_set")
    return told if isinstance(told, str) else ""


def warnings_of(entries: Mapping[str, EvaluationReport], run: Run) -> list[str]:
    """What has to be known before the numbers of a report are believed, a sentence or two each."""
    warnings = []
    if run.random_weights:
        warnings.append("The weights are random: nothing was learned in them.")
    elif isinstance(note := run.weights.get("note"), str) and note:
        warnings.append(f"About the weights: {note}.")
    for name, count in run.overlaps.items():
        training_set = training_set_of(run) or "its training set"
        warnings.append(
            f"The network was trained on {training_set}, and so on the landmarks of {count} of "
            f"the queries of {name}: its scores there are better than on landmarks that are new."
        )
    if run.config.get("crop_queries") is False:
        warnings.append(
            "The queries were not cut to their boxes, as the benchmark asks for; these numbers do "
            "not compare with published ones."
        )
    if run.skipped:
        are = "photograph" if run.skipped == 1 else "photographs"
        warnings.append(
            f"{run.skipped:,} {are} could not be read and come last in every ranking; skipped.txt "
            "says which and why."
        )
    for name, entry in entries.items():
        searched = entry.notes.get("search")
        if isinstance(searched, Mapping):
            warnings.append(_approximate(name, searched))
    return warnings


def _approximate(name: str, searched: Mapping) -> str:
    recalls = [
        f"{100 * value:.1f} % of the best {key.removeprefix('recall@')}"
        for key, value in searched.items()
        if key.startswith("recall@") and isinstance(value, int | float)
    ]
    found = f"; it finds {' and '.join(recalls)}" if recalls else ""
    return f"{name} was searched approximately, by {searched.get('backend')}{found}."


def _dataset(name: str, entries: Mapping[str, EvaluationReport]) -> str:
    """The dataset that an entry is of: itself, or the entry that its name begins with."""
    if name.endswith(UNTRAINED) and name.removesuffix(UNTRAINED) in entries:
        return name.removesuffix(UNTRAINED)
    parts = name.split("+")
    for count in range(1, len(parts)):
        if "+".join(parts[:count]) in entries:
            return "+".join(parts[:count])
    return name
