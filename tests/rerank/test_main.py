import re
import subprocess
import sys

import numpy as np
import pytest

from senet_jax.rerank.__main__ import main
from senet_jax.rerank.methods import Circumstances, make_reranker
from senet_jax.rerank.retrieval import Retrieval
from senet_jax.search.database import BlockedDatabase
from senet_jax.search.ranked_list import RankedList
from tests.rerank.retrievals import clustered

QUERIES, ITEMS, DISTRACTORS, LENGTH = 3, 40, 20, 12


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
    (folder / "broken.npz").write_bytes(b"PK")
    return folder


def _flags(folder, method, q="q", x="x", d="d", r="r", out="out/reranked.npy"):
    return [
        *(folder / f"{r}.npy", folder / out, f"--query={folder / q}.npy"),
        *(f"--database={folder / x}.npy", f"--distractors={folder / d}.npy", f"--method={method}"),
    ]


def _expected(arrays, method, **circumstances):
    database = BlockedDatabase((arrays["x"], arrays["d"]))
    found = Retrieval(
        arrays["q"].astype(np.float32), database, RankedList(arrays["r"], database.size)
    )
    return make_reranker(method, Circumstances(**circumstances))(found).ranked.ranks.tolist()


@pytest.mark.parametrize(
    ("method", "more", "circumstances"),
    [
        ("alpha_qe", ["--dataset=rparis6k"], {"dataset": "rparis6k"}),
        ("dba,refinement", ["--top=5"], {"top": 5}),
        ("diffusion,aqe", [], {}),
    ],
)
def test_lists_are_reranked(run_command_here, files, arrays, method, more, circumstances):
    done = run_command_here(main, *_flags(files, method), *more)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"wrote {files / 'out/reranked.npy'}\n"
    seen = np.load(files / "out/reranked.npy")
    assert (seen.dtype, seen.shape) == (np.int32, (QUERIES, LENGTH))
    assert seen.tolist() == _expected(arrays, method, **circumstances)
    assert [path.name for path in (files / "out").iterdir()] == ["reranked.npy"]


def test_a_graph_is_kept_and_taken_up_again(run_command_here, files, arrays, tmp_path):
    graph = tmp_path / "graph.npz"
    flags = [*_flags(files, "truncated_diffusion"), f"--graph={graph}"]
    for also in (f" and {graph}", ""):
        done = run_command_here(main, *flags)
        assert (done.returncode, done.stdout) == (0, f"wrote {files / 'out/reranked.npy'}{also}\n")
        seen = np.load(files / "out/reranked.npy")
        assert seen.tolist() == _expected(arrays, "truncated_diffusion")
        written = graph.stat().st_mtime_ns
    assert graph.stat().st_mtime_ns == written
    foreign = run_command_here(main, *_flags(files, "diffusion", d="x"), f"--graph={graph}")
    assert foreign.returncode == 2
    assert "is the graph of other descriptors" in foreign.stderr


@pytest.mark.parametrize(
    ("changes", "more", "message"),
    [
        ({"method": "alphaqe"}, [], "no re-ranking method 'alphaqe'"),
        ({"method": "aqe"}, ["--dataset=holidays"], "invalid choice: 'holidays'"),
        ({"method": "aqe"}, ["--top=many"], "invalid int value: 'many'"),
        ({"method": "refinement"}, ["--top=0"], "a shortlist of 0 items"),
        ({"method": "aqe"}, ["--graph=g.npz"], "--graph is for diffusion, seen: --method=aqe"),
        ({"method": "diffusion"}, ["--graph={}/broken.npz"], "broken.npz is not a whole graph"),
        ({"q": "no"}, [], "cannot read .*no.npy: No such file"),
        ({"q": "q_short"}, [], "have 3 rows for 2 queries"),
        ({"q": "q_narrow"}, [], "the queries have 3 columns, the database 8"),
        ({"q": "q_nan"}, [], "row 0 of the queries is not finite"),
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
