"""What is compared with what: the variants, and the tables of the paper that they make.

The figures that the paper has for the same rows are those of `report.paper`.
"""

import dataclasses

DATASETS = {
    "landmarks": "everything",
    "landmarks_no_lookalikes": "without look-alikes",
    "landmarks_family_only": "the family only",
}
"""What a study evaluates, and what stands in its databases."""


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of a table.

    Attributes:
        label: for people.
        variant: of `configs/study.py`.
        method: of re-ranking, empty for the search alone.
        paper: the paper's row: what `report.paper.paper_figure` takes behind the dataset and the
            distractors; None where it has none.
    """

    label: str
    variant: str
    method: str = ""
    paper: tuple[str, ...] | None = None


@dataclasses.dataclass(frozen=True)
class Comparison:
    """A table.

    Attributes:
        name: on the command line.
        title: what is asked.
        rows: the answers.
        reference: the variant whose row, without re-ranking, the others are compared with.
    """

    name: str
    title: str
    rows: tuple[Row, ...]
    reference: str = "channel_wise"


_BASELINE = Row("baseline", "baseline", paper=("r50_baseline",))
_CHANNEL_WISE = Row("channel-wise", "channel_wise", paper=("r50", "", "classification"))
COMPARISONS = {
    comparison.name: comparison
    for comparison in (
        Comparison(
            "s3",
            "Table S3: which self-similarity helps",
            (
                _BASELINE,
                Row("fusion layers alone", "fusion"),
                Row("direct", "direct", paper=("r50_direct",)),
                _CHANNEL_WISE,
            ),
        ),
        Comparison(
            "s4",
            "Table S4: how places are compared",
            (
                _BASELINE,
                Row("dot product", "dot", paper=("r50_dot",)),
                dataclasses.replace(_CHANNEL_WISE, label="cosine"),
            ),
        ),
        Comparison(
            "s5",
            "Table S5: how structure joins the visual map",
            (
                _BASELINE,
                Row("concatenation", "concat", paper=("r50_concat",)),
                dataclasses.replace(_CHANNEL_WISE, label="sum"),
            ),
        ),
        Comparison(
            "s1",
            "Table S1: what re-ranking adds",
            (
                dataclasses.replace(_BASELINE, paper=None),
                Row("baseline + alpha QE", "baseline", "alpha_qe"),
                Row("baseline + geometric", "baseline", "geometric"),
                dataclasses.replace(_CHANNEL_WISE, paper=("r50",)),
                Row(
                    "channel-wise + alpha QE", "channel_wise", "alpha_qe", ("r50", "alpha_qe:blind")
                ),
                Row("channel-wise + geometric", "channel_wise", "geometric"),
            ),
        ),
        Comparison(
            "s2",
            "Table S2: which losses",
            (
                Row("classification", "classification", paper=("r50", "", "classification")),
                Row("both losses", "both", paper=("r50",)),
                dataclasses.replace(_CHANNEL_WISE, label="contrastive", paper=None),
            ),
        ),
    )
}
"""The tables by their names, in the order in which their runs are made."""


def variants_of(names: list[str]) -> dict[str, tuple[str, ...]]:
    """The variants of some tables, each with the methods of re-ranking that its runs need."""
    found: dict[str, tuple[str, ...]] = {}
    for name in names:
        for row in COMPARISONS[name].rows:
            methods = found.get(row.variant, ())
            added = () if row.method in ("", *methods) else (row.method,)
            found[row.variant] = methods + added
    return found
