"""The paper's figures, for the systems and datasets that it tells of.

Source: the supplementary material of the paper, Tables S1 to S5; `paper_figures.csv` says which
figure is from which. Query expansion in the paper drops no junk from the lists, and is `blind`
here; CVNet-Rerank does, and is `protocol`.
"""

import csv
import dataclasses
import functools
import importlib.resources

_KEYS = ("dataset", "distractors", "model", "reranking", "training")


@dataclasses.dataclass(frozen=True)
class PaperFigure:
    """What the paper tells of a system on a dataset.

    Attributes:
        system: in words.
        table: where it stands.
        medium: mAP x 100.
        hard: mAP x 100.
    """

    system: str
    table: str
    medium: float
    hard: float


def paper_figure(
    dataset: str, distractors: str, model: str, reranking: str = "", training: str = ""
) -> PaperFigure | None:
    """The figure of the paper for a system, None where it tells none.

    Args:
        dataset: `roxford5k` or `rparis6k`.
        distractors: `revisitop1m`, or empty.
        model: the name of the network.
        reranking: `METHOD:KIND`, empty for the search alone.
        training: `classification` for the network that was trained with L_cls alone where the paper
            has it with both losses too; of reports nobody knows.
    """
    return _figures().get((dataset, distractors, model, reranking, training))


@functools.cache
def _figures() -> dict[tuple[str, ...], PaperFigure]:
    file = importlib.resources.files(__package__) / "paper_figures.csv"
    lines = file.read_text(encoding="utf-8").splitlines()
    return {
        tuple(row[key] for key in _KEYS): PaperFigure(
            row["system"], row["table"], float(row["medium"]), float(row["hard"])
        )
        for row in csv.DictReader(line for line in lines if not line.startswith("#"))
    }
