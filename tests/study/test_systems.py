import numpy as np
import pytest

from senet_jax.study.results import SYSTEMS, Results, RunScores
from senet_jax.study.system_tables import table_of_all, tables_of
from senet_jax.study.systems import SystemsPlan, parse_systems
from senet_jax.system.errors import UserError
from senet_jax.weights import save_weights
from tests.oracles.lively_twin import lively_weights


def test_how_systems_are_spelled():
    text = (
        "thumbnails; random:lite0:0 ;weights/a+whiten; w+alpha_qe(neighbours=3,alpha=2.5),dba;"
        "w + whiten + alpha_qe;"
    )
    found = [(s.weights, s.whiten, s.rerank) for s in parse_systems(text)]
    assert found == [
        ("thumbnails", False, ""),
        ("random:lite0:0", False, ""),
        ("weights/a", True, ""),
        ("w", False, "alpha_qe(neighbours=3,alpha=2.5),dba"),
        ("w", True, "alpha_qe"),
    ]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "name one system at least"),
        (" ; ;", "name one system at least"),
        ("a;b;a", "names a system twice"),
        ("+alpha_qe", "cannot be read"),
        ("a+", "cannot be read"),
        ("a+whiten+whiten", "cannot be read"),
        ("a+dba+alpha_qe", "cannot be read"),
        ("a+magic", "no re-ranking method 'magic'"),
    ],
)
def test_what_cannot_be_read(text, why):
    with pytest.raises(UserError, match=why):
        parse_systems(text)


def test_systems_of_the_same_weights_share_a_workdir(tmp_path):
    save_weights(tmp_path / "w", lively_weights("tiny_baseline"))
    weights = str(tmp_path / "w")
    systems = parse_systems(f"{weights}+alpha_qe; {weights}; {weights}+whiten; random:tiny:0")
    plan = SystemsPlan(tmp_path / "s", tmp_path, "photos", tuple(systems), ("--config.mode=auto",))
    conversions = {run.name: run for run in plan.conversions()}
    assert conversions[f"convert {weights}"].is_done()
    made = conversions["convert random:tiny:0"]
    assert not made.is_done()
    save_weights(made.commands[0].arguments[2], lively_weights("tiny_baseline"))
    assert made.is_done()

    plain, whitened, random = plan.evaluations()
    assert [len(run.commands) for run in (plain, whitened, random)] == [2, 1, 1]
    assert len({plain.folder, whitened.folder, random.folder}) == 3
    first, second = (command.arguments for command in plain.commands)
    assert second == (*first[:-1], "--config.rerank=alpha_qe", first[-1])
    assert "--config=evaluate:tiny_baseline" in first and first[-1] == "--config.mode=auto"
    assert "--config.whiten=True" in whitened.commands[0].arguments


def _run(name, entries, **notes):
    scores = {
        entry: {protocol: np.full(4, value) for protocol in ("easy", "medium", "hard")}
        for entry, value in entries.items()
    }
    kept = {"random": False, "seconds_per_query": {}, "paper": {}} | notes
    return RunScores(name, 0, scores, kept)


def test_the_table_of_a_dataset():
    figure = {"system": "SENet", "table": "S1", "medium": 81.9, "hard": 63.0}
    runs = (
        _run("w", {"town": 0.5, "village": 0.25}, paper={"town": figure}),
        _run("w+dba", {"town+dba:blind": 0.75}, seconds_per_query={"town+dba:blind": 0.0125}),
        _run("random:w:0", {"town": 0.125, "village": 0}, random=True),
    )
    town, village = tables_of(Results(SYSTEMS, {"datasets": ["town", "village"]}, runs))
    assert [row[0] for row in town.rows] == ["w", "w+dba, blind", "random:w:0, random weights"]
    assert town.rows[0][1:] == ["50.0 (50.0 to 50.0)"] * 3 + ["-", "81.9", "-31.9", "63.0", "-13.0"]
    assert town.rows[1][4:] == ["0.0125", "-", "-", "-", "-"]
    assert len(village.header) == 5 and len(village.rows) == 2


def test_the_table_of_all_systems_has_the_columns_of_table_s1():
    datasets = ["roxford5k", "rparis6k", "revisitop1m/roxford5k", "revisitop1m/rparis6k"]
    known = {"weights": "r50, licence none given", "weights_sha256": "0123456789abcdef"}
    runs = (
        _run("w", dict(zip(datasets, (0.75, 0.5, 0.25, 0.125), strict=True)), **known),
        _run("w+cvnet", {"rparis6k+cvnet:blind": 1, "revisitop1m/roxford5k+cvnet:blind": 0.1}),
    )
    about = {"datasets": datasets, "distractors": "revisitop1m"}
    table = table_of_all(Results(SYSTEMS, about, runs))
    columns = ["ROxf", "ROxf +1M", "RPar", "RPar +1M"]
    medium, hard = ([f"{protocol} {c}" for c in columns] for protocol in ("Medium", "Hard"))
    assert table.header == ["method", *medium, *hard]
    assert table.rows == [
        ["w", *["75.0", "25.0", "50.0", "12.5"] * 2],
        ["w+cvnet, blind", *["-", "10.0", "100.0", "-"] * 2],
    ]
    assert table.notes[1] == "Weights: r50, licence none given, SHA-256 0123456789ab."
    alone = Results(SYSTEMS, {"datasets": ["roxford5k", "photos"]}, runs)
    expected = ["Medium ROxf", "Medium photos", "Hard ROxf", "Hard photos"]
    assert table_of_all(alone).header == ["method", *expected]
