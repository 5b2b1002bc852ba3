import re
import subprocess
import sys

import numpy as np
import pytest

from senet_jax.rerank import graph, neighbours
from senet_jax.rerank.__main__ import main
from senet_jax.rerank.methods import METHODS, make_chain
from senet_jax.rerank.retrieval import Retrieval
from senet_jax.search.database import BlockedDatabase
from senet_jax.search.ranked_list import RankedList
from tests.rerank.retrievals import clustered

QUERIES, ITEMS, DISTRACTORS, LENGTH = 3, 40, 20, 12


@pytest.fixture(autouse=True)
def _no_progress(monkeypatch):
    """No line of progress on standard error, however slow the machine is."""
    monkeypatch.setattr("senet_jax.system.progress._LOG_SECONDS", (1e9,))


@pytest.fixture(scope="module")
def arrays():
    rows = clustered(QUERIES + ITEMS + DISTRACTORS, width=8).astype(np.float64)
    queries, database, distractors = np.split(rows, [QUERIES, QUERIES + ITEMS])
    ranks = np.argsort(-queries @ np.concatenate([database, distractors]).T)[:, :LENGTH]
    ranks[1, 9:] = -1
    return {"q": queries, "x": database, "d": distractors, "r": ranks}


@pytest.fixture(scope="module")
def files(arrays, tmp_path_factory):
    """Good files, and wrong ones that the command must refuse."""
    folder = tmp_path_factory.mktemp("rerank")
    not_finite = arrays["x"].copy()
    not_finite[arrays["r"][0, 0] % ITEMS] = np.nan
    wrong = {
        "q_short": arrays["q"][:2],
        "q_narrow": arrays["q"][:, :3],
        "q_nan": np.full_like(arrays["q"], np.nan),
        "q_flat": arrays["q"].ravel(),
        "x_nan": not_finite,
        "x_text": arrays["x"].astype(str),
        "d_narrow": arrays["d"][:, :3],
        "q_of_nothing": arrays["q"][:, :0],
        "x_of_nothing": arrays["x"][:, :0],
        "r_float": arrays["r"].astype(float),
        "r_outside": np.full((QUERIES, 1), ITEMS + DISTRACTORS),
        "r_repeated": np.zeros((QUERIES, 2), int),
        "r_gap": np.array([[-1, 1]] * QUERIES),
    }
    for name, array in (arrays | wrong).items():
        np.save(folder / f"{name}.npy", array)
    return folder


def _flags(folder, method, q="q", x="x", d="d", r="r", out="out/reranked.npy"):
    return [
        *(folder / f"{r}.npy", folder / out, f"--query={folder / q}.npy"),
        *(f"--database={folder / x}.npy", f"--distractors={folder / d}.npy", f"--method={method}"),
    ]


def _expected(arrays, method, dataset=""):
    database = BlockedDatabase((arrays["x"], arrays["d"]))
    found = Retrieval(
        arrays["q"].astype(np.float32), database, RankedList(arrays["r"], database.size)
    )
    return make_chain(method, dataset)(found).ranked.ranks.tolist()


@pytest.mark.parametrize(
    ("method", "dataset", "kept"),
    [
        ("alpha_qe", "rparis6k", False),
        ("alpha_qe(neighbours=3),refinement( top=5 )", "", False),
        ("dba(alpha=3),refinement(top=5)", "", True),
        ("diffusion,aqe", "", True),
    ],
)
def test_lists_are_reranked(run_command_here, files, arrays, method, dataset, kept, tmp_path):
    more = [f"--dataset={dataset}"] if dataset else []
    out = tmp_path / "out" / "reranked.npy"
    done = run_command_here(main, *_flags(files, method, out=out), *more)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"wrote {out}\n"
    seen = np.load(out)
    assert (seen.dtype, seen.shape) == (np.int32, (QUERIES, LENGTH))
    assert seen.tolist() == _expected(arrays, method, dataset)
    found = sorted(path.name for path in out.parent.iterdir())
    assert found == ["prepared"] * kept + ["reranked.npy"]


def test_a_database_stage_is_kept_and_found_again(
    run_command_here, files, arrays, tmp_path, monkeypatch
):
    flags = _flags(files, "diffusion", out=tmp_path / "first.npy")
    assert run_command_here(main, *flags).returncode == 0
    methods = ("diffusion", "truncated_diffusion(top=5)")
    expected = [_expected(arrays, method) for method in methods]
    monkeypatch.setattr(graph, "nearest_others", None)
    for method, ranks in zip(methods, expected, strict=True):
        done = run_command_here(main, *_flags(files, method, out=tmp_path / "second.npy"))
        assert (done.returncode, done.stderr) == (0, "")
        assert np.load(tmp_path / "second.npy").tolist() == ranks
    [stage] = (tmp_path / "prepared").iterdir()
    assert stage.name.startswith("graph-")


def test_a_recall_below_one_is_told(run_command_here, files, tmp_path, monkeypatch):
    pytest.importorskip("faiss", reason="faiss-cpu is not installed")
    monkeypatch.setattr(neighbours, "SMALL_DATABASE", 0)
    method = "dba(neighbours=3,recall=0.5),truncated_diffusion(graph_neighbours=4,recall=0.5)"
    done = run_command_here(main, *_flags(files, method, out=tmp_path / "first.npy"))
    assert done.returncode == 0
    for line, what in zip(
        done.stderr.splitlines(), ("augmenting the database", "building the graph"), strict=True
    ):
        assert re.fullmatch(
            rf"{what}: [0-9]+ of 32 lists find [0-9.]+ % of [0-9]+ mutual neighbours of a sample, "
            "recall=0.5 is asked for",
            line,
        )
    assert len(list((tmp_path / "prepared").iterdir())) == 2


def test_help_tells_every_method_and_setting(run_command_here):
    printed = run_command_here(main, "--help").stdout
    for name in METHODS:
        assert f"\n  {name} " in printed
    assert "neighbours=5 " in printed and "20 for rparis6k" in printed
    assert "top=1000 " in printed and "alpha=0.99 " in printed


@pytest.mark.parametrize(
    ("changes", "more", "message"),
    [
        ({"method": "alphaqe"}, [], "no re-ranking method 'alphaqe'"),
        ({"method": "aqe"}, ["--dataset=holidays"], "invalid choice: 'holidays'"),
        ({"method": "refinement(top=many)"}, [], "refinement: top is 'many'; it has to be an int"),
        ({"method": "refinement(top=0)"}, [], "refinement: top is 0; it has to be an integer from"),
        ({"method": "dba,cvnet"}, [], "cvnet looks at photographs .* with --config.rerank='cvnet'"),
        ({"q": "no"}, [], "cannot read .*no.npy: No such file"),
        ({"q": "q_short"}, [], "have 3 rows for 2 queries"),
        ({"q": "q_narrow"}, [], "q_narrow.npy has 3 columns, the database 8"),
        ({"q": "q_nan"}, [], "row 0 of .*q_nan.npy is not finite"),
        ({"q": "q_flat"}, [], r"q_flat.npy is float64 of shape \(24,\)"),
        ({"x": "x_nan"}, [], "x_nan.npy is not finite"),
        ({"x": "x_text"}, [], "x_text.npy is <U"),
        ({"d": "d_narrow"}, [], "d_narrow.npy has 3 columns"),
        ({"q": "q_of_nothing"}, [], r"q_of_nothing.npy has the shape \(3, 0\)"),
        ({"x": "x_of_nothing"}, [], "x_of_nothing.npy .* without a number"),
        ({"r": "r_float"}, [], "r_float.npy: ranks are float64"),
        ({"r": "r_outside"}, [], "r_outside.npy: query 0 lists the item 60"),
        ({"r": "r_repeated"}, [], "r_repeated.npy: query 0 lists the item 0 more than once"),
        ({"r": "r_gap"}, [], "r_gap.npy: query 0 lists the item 1 after a -1"),
        ({"out": "q.npy/out.npy"}, [], "cannot write"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(run_command_here, files, changes, more, message):
    flags = _flags(files, **{"method": "aqe", "out": "never.npy"} | changes)
    done = run_command_here(main, *flags, *(flag.format(files) for flag in more))
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(f"error: .*{message}.*\n", done.stderr)
    assert not (files / "never.npy").exists()


def test_as_a_command(files, arrays):
    command = [sys.executable, "-m", "senet_jax.rerank"]
    flags = map(str, _flags(files, "aqe", out="command.npy"))
    done = subprocess.run([*command, *flags], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert np.load(files / "command.npy").tolist() == _expected(arrays, "aqe")
