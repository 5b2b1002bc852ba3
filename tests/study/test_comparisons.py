import dataclasses
import re

import numpy as np
import pytest

from senet_jax.metrics.bootstrap import crossed_interval
from senet_jax.models.registry import ARCHITECTURES
from senet_jax.study.comparisons import reference_of, tables_of
from senet_jax.study.plan import COMPARISONS, variants_of

from .examples import GAIN, IMAGES, SEEDS, trainings

RESULTS = trainings()


def _values(variant, entry):
    return np.stack(list(RESULTS.scores(variant, entry, "medium").values()))


def _numbers(cell):
    return [float(number) for number in re.findall(r"[-+]?\d+\.\d", cell)]


def test_the_cells_are_means_and_intervals():
    scores, differences, sure, paper = tables_of(COMPARISONS["s3"], RESULTS)
    assert [row[0] for row in scores.rows] == [r.label for r in COMPARISONS["s3"].rows]
    assert scores.header[2] == "Medium, everything"
    direct, channel_wise = (_values(v, "landmarks") for v in ("direct", "channel_wise"))
    row = next(row for row in scores.rows if row[0] == "direct")
    assert row[1] == str(SEEDS)
    expected = [direct.mean(), *crossed_interval(direct)]
    assert _numbers(row[2]) == [round(100 * each, 1) for each in expected]

    row = next(row for row in differences.rows if row[0] == "direct")
    less = direct - channel_wise
    expected = [less.mean(), *crossed_interval(less)]
    assert _numbers(row[1]) == [round(100 * each, 1) for each in expected]
    assert row[1].endswith(f"[{(less.mean(axis=1) > 0).sum()}/{SEEDS}]")
    assert less.mean() < -GAIN / 4
    assert [row[0] for row in differences.rows] == ["baseline", "fusion layers alone", "direct"]

    row = next(row for row in sure.rows if row[0] == "direct")
    deviations = [each.mean(axis=1).std(ddof=1) for each in (direct, less)]
    assert row[1:3] == [f"{100 * each:.1f}" for each in deviations]
    assert paper.rows[0][1:5] == ["78.6", "70.7", "89.5", "77.4"]
    assert paper.rows[1][1:] == ["-"] * 8
    assert paper.rows[3][1] == "81.4"


@pytest.mark.parametrize("name", COMPARISONS)
def test_every_table_has_its_reference_and_its_networks(name):
    comparison = COMPARISONS[name]
    reference = reference_of(comparison)
    tables = tables_of(comparison, RESULTS)
    assert reference.label not in [row[0] for row in tables[1].rows]
    assert not any(cell == "-" for row in tables[0].rows for cell in row)
    # What the paper is quoted for is in the paper.
    quoted = [row.label for row in comparison.rows if row.paper is not None]
    assert quoted == [row[0] for row in tables[3].rows if "-" not in row]


@pytest.mark.parametrize("name", ["s2", "s1_trained"])
def test_distractors_have_tables_of_their_own(name):
    comparison = COMPARISONS[name]
    results = trainings(distractors="far")
    tables = tables_of(comparison, results)
    assert len(tables) == 7 and tables[-1].title.endswith(": in the paper")
    alone, with_them = tables[:3], tables[3:6]
    title = f"{comparison.title}, with {IMAGES:,} distractors"
    assert [table.title.removeprefix(title) for table in with_them] == [
        table.title.removeprefix(comparison.title) for table in alone
    ]
    assert with_them[0].header[2:] == [
        "Medium, everything",
        "Medium, without look-alikes",
        "Hard, everything",
        "Hard, without look-alikes",
    ]
    row = comparison.rows[1]
    entry = f"far/landmarks+{row.method}:{row.kind}" if row.method else "far/landmarks"
    values = np.stack(list(results.scores(row.variant, entry, "medium").values()))
    expected = [values.mean(), *crossed_interval(values)]
    assert _numbers(with_them[0].rows[1][2]) == [round(100 * each, 1) for each in expected]
    assert (
        f"Medium mAP x 100, everything in the database, with {IMAGES:,} distractors"
        in (with_them[2].notes[0])
    )
    # Runs that were not evaluated with them yet have no such tables.
    without = dataclasses.replace(results, runs=trainings().runs)
    assert [table.title for table in tables_of(comparison, without)] == [
        table.title for table in (*alone, tables[-1])
    ]


def test_tables_share_their_runs():
    def of(*names):
        return variants_of(COMPARISONS[name] for name in names)

    assert of("s3", "s4", "s5") == dict.fromkeys(
        ("baseline", "fusion", "direct", "channel_wise", "dot", "concat"), ()
    )
    assert of("s4", "s1")["channel_wise"] == ("alpha_qe", "geometric")


def test_the_control_differs_from_the_baseline_by_two_layers():
    from senet_jax.models.registry import variable_shapes
    from senet_jax.weights import flatten

    paths = [
        {path for path, _ in flatten(variable_shapes(ARCHITECTURES[f"demo_{name}"]))}
        for name in ("baseline", "fusion")
    ]
    added = {f"params/ssm/fuse_{layer}/{leaf}" for layer in (0, 1) for leaf in ("kernel", "bias")}
    assert paths[1] - paths[0] == added and paths[0] < paths[1]
