"""What is compared with what: the variants, and the tables of the paper that they make.

The figures that the paper has for the same rows are those of `report.paper`.
"""

import dataclasses
from collections.abc import Iterable, Mapping

DATASETS = {
    "landmarks": "everything",
    "landmarks_no_lookalikes": "without look-alikes",
    "landmarks_family_only": "the family only",
}
"""What a study of the generated world evaluates, and what stands in its databases."""
AMONG_DISTRACTORS = ("landmarks", "landmarks_no_lookalikes")
"""Those that are evaluated with a set of distractors as well, which stands for the paper's +1M."""


@dataclasses.dataclass(frozen=True)
class Place:
    """Where variants are compared.

    Attributes:
        what: in words, behind "mAP x 100".
        protocols: of the benchmark, that are shown.
        datasets: what each dataset is, in words.
        main: the dataset and the protocol that are compared; the others explain it.
        caption: the same in words.
        config: the file of `configs` that tells the protocol of the study.
        validation: the dataset on which the settings of `TUNED` are chosen; empty for none.
        size: of the generated world that the protocol names; empty for photographs.
    """

    what: str
    protocols: tuple[str, ...]
    datasets: Mapping[str, str]
    main: tuple[str, str]
    caption: str
    config: str
    validation: str = ""
    size: str = ""


WORLD = Place(
    what="in the generated world",
    protocols=("medium", "hard"),
    datasets=DATASETS,
    main=("landmarks", "medium"),
    caption="Medium mAP x 100, everything in the database",
    config="configs/study.py",
    size="demo",
)
PHOTOGRAPHS = Place(
    what="of real photographs",
    protocols=("easy", "medium", "hard"),
    datasets={"photos": "photos", "miniphotos": "miniphotos"},
    main=("photos", "medium"),
    caption="Medium mAP x 100 of photos",
    config="configs/photographs.py",
)


LANDMARKS = dataclasses.replace(
    WORLD, config="configs/landmarks.py", validation="landmarks_validation", size="heads"
)
"""The same world, where heads are trained on a trunk that was trained on ImageNet."""
TRANSFER = dataclasses.replace(
    PHOTOGRAPHS,
    what="of real photographs, by heads that saw generated landmarks alone",
    config=LANDMARKS.config,
)
"""Real photographs, on which these heads are evaluated as well."""


BLIND, PROTOCOL = "blind", "protocol"
"""Kinds of re-ranking: whether each protocol's junk is dropped from the lists before."""
TUNED = "alpha_qe(tuned)"
"""The method of a row whose settings are chosen for each run, on the validation split."""
RERANKER = "cvnet(top=40,weight=0.2)"
"""The method of a row whose re-ranker is trained for each network, by configs/demo_reranker.py."""


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of a table.

    Attributes:
        label: for people.
        variant: of the config of the study.
        method: of re-ranking, or `TUNED`; empty for the search alone.
        paper: the paper's row: what `report.paper.paper_figure` takes behind the dataset and the
            distractors; None where it has none.
        kind: of the re-ranking.
    """

    label: str
    variant: str
    method: str = ""
    paper: tuple[str, ...] | None = None
    kind: str = BLIND


@dataclasses.dataclass(frozen=True)
class Comparison:
    """A table.

    Attributes:
        name: on the command line.
        title: what is asked.
        rows: the answers.
        reference: the variant whose row, without re-ranking, the others are compared with.
        place: where they are compared.
    """

    name: str
    title: str
    rows: tuple[Row, ...]
    reference: str = "channel_wise"
    place: Place = WORLD


_BASELINE = Row("baseline", "baseline", paper=("r50_baseline",))
_CHANNEL_WISE = Row("channel-wise", "channel_wise", paper=("r50", "", "classification"))
_FUSION = Row("fusion layers alone", "fusion")
_DIRECT = Row("direct", "direct", paper=("r50_direct",))
_DOT = Row("dot product", "dot", paper=("r50_dot",))
_CONCAT = Row("concatenation", "concat", paper=("r50_concat",))
COMPARISONS = {
    comparison.name: comparison
    for comparison in (
        Comparison(
            "s3",
            "Table S3: which self-similarity helps",
            (_BASELINE, _FUSION, _DIRECT, _CHANNEL_WISE),
        ),
        Comparison(
            "s4",
            "Table S4: how places are compared",
            (_BASELINE, _DOT, dataclasses.replace(_CHANNEL_WISE, label="cosine")),
        ),
        Comparison(
            "s5",
            "Table S5: how structure joins the visual map",
            (_BASELINE, _CONCAT, dataclasses.replace(_CHANNEL_WISE, label="sum")),
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
            "s1_trained",
            "Table S1: what a trained re-ranker adds",
            (
                dataclasses.replace(_CHANNEL_WISE, paper=("r50",)),
                Row("channel-wise + CVNet-Rerank, blind", "channel_wise", RERANKER),
                Row(
                    "channel-wise + CVNet-Rerank, protocol",
                    "channel_wise",
                    RERANKER,
                    ("r50", "cvnet:protocol"),
                    PROTOCOL,
                ),
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
            reference="both",
        ),
    )
}
"""The tables by their names, in the order in which their runs are made."""


_LINEAR = dataclasses.replace(_BASELINE, label="linear layer")
TRUNK_ALONE = "trunk"
"""The variant of which nothing is trained."""
HEAD_COMPARISONS = {
    comparison.name: comparison
    for comparison in (
        Comparison(
            "heads",
            "Heads on the trunk of EfficientNet-Lite0",
            (Row("trunk alone", TRUNK_ALONE), _LINEAR, _FUSION, _CHANNEL_WISE),
            reference=TRUNK_ALONE,
            place=PHOTOGRAPHS,
        ),
        Comparison(
            "modules",
            "Self-similarity on the trunk of EfficientNet-Lite0",
            (_LINEAR, _FUSION, _DIRECT, _DOT, _CONCAT, _CHANNEL_WISE),
            place=PHOTOGRAPHS,
        ),
    )
}
"""The same of heads that are trained on real photographs."""


def _with_control(table: Comparison) -> Comparison:
    """A table with the fusion layers alone beside the baseline."""
    first, *others = (row for row in table.rows if row is not _FUSION)
    return dataclasses.replace(table, rows=(first, _FUSION, *others))


def _on_early_maps(table: Comparison) -> Comparison:
    """A table of heads on generated landmarks."""
    title = f"{table.title}, on early maps of EfficientNet-Lite0"
    return dataclasses.replace(table, title=title, place=LANDMARKS)


def _with_methods(row: Row) -> tuple[Row, ...]:
    """A row, and what re-ranks its lists by its descriptors alone.

    The settings of the paper's query expansion are those of ROxford, then those of RParis.
    """
    methods = {
        "alpha QE of 5, alpha 2": "alpha_qe",
        "alpha QE of 20, alpha 1": "alpha_qe(neighbours=20,alpha=1)",
        "alpha QE, tuned": TUNED,
        "diffusion": "diffusion",
    }
    rows = (Row(f"{row.label} + {label}", row.variant, name) for label, name in methods.items())
    return row, *rows


_BOTH = Row("channel-wise, both losses", "both", paper=("r50",))
LANDMARK_COMPARISONS = {
    comparison.name: comparison
    for comparison in (
        *(_on_early_maps(_with_control(COMPARISONS[name])) for name in ("s3", "s4", "s5")),
        Comparison(
            "transfer",
            "From generated landmarks to real photographs",
            (_BASELINE, _FUSION, _DIRECT, _DOT, _CONCAT, _CHANNEL_WISE),
            place=TRANSFER,
        ),
        *map(
            _on_early_maps,
            (
                Comparison(
                    "s2",
                    "Table S2: which losses",
                    (_CHANNEL_WISE, _BOTH),
                ),
                Comparison(
                    "s2_both",
                    "Table S2: what query expansion adds to both losses",
                    (_BOTH, Row("channel-wise, both losses + alpha QE, tuned", "both", TUNED)),
                    reference="both",
                ),
                Comparison(
                    "s2_baseline",
                    "Table S2: which losses, without self-similarity",
                    (_BASELINE, Row("baseline, both losses", "baseline_both")),
                    reference="baseline",
                ),
                Comparison(
                    "s1",
                    "Table S1: what re-ranking adds to channel-wise",
                    _with_methods(_CHANNEL_WISE),
                ),
                Comparison(
                    "s1_baseline",
                    "Table S1: what re-ranking adds to the baseline",
                    _with_methods(_BASELINE),
                    reference="baseline",
                ),
            ),
        ),
    )
}
"""The same of heads that are trained on generated landmarks."""


def variants_of(comparisons: Iterable[Comparison]) -> dict[str, tuple[str, ...]]:
    """The variants of some tables, each with the methods of re-ranking that its runs need."""
    found: dict[str, tuple[str, ...]] = {}
    for comparison in comparisons:
        for row in comparison.rows:
            methods = found.get(row.variant, ())
            added = () if row.method in ("", *methods) else (row.method,)
            found[row.variant] = methods + added
    return found
