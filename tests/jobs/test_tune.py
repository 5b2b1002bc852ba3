import json
import re

import numpy as np
import pytest

from senet_jax.data.ground_truth import GroundTruth
from senet_jax.jobs.tune import NO_EXPANSION, Benchmark, grid, objective, scores
from senet_jax.metrics.report import evaluate_descriptors, evaluate_ranks
from senet_jax.rerank.__main__ import main as rerank_main
from senet_jax.rerank.methods import make_chain
from senet_jax.rerank.query_expansion import QueryExpansion
from senet_jax.rerank.retrieval import search
from senet_jax.rerank.tune import main
from senet_jax.search.database import BlockedDatabase
from senet_jax.system.errors import UserError
from tests.rerank.retrievals import clustered

QUERIES, ITEMS = 6, 60


@pytest.fixture(autouse=True)
def _no_progress(monkeypatch):
    """No line of progress on standard error, however slow the machine is."""
    monkeypatch.setattr("senet_jax.system.progress._LOG_SECONDS", (1e9,))


def _arrays(seed):
    """A chain of views of each query: the further, the more its neighbours are needed."""
    rng = np.random.default_rng(seed)
    queries = rng.standard_normal((QUERIES, 16)).astype(np.float32)
    queries /= np.linalg.norm(queries, axis=1, keepdims=True)
    steps = rng.standard_normal((QUERIES, ITEMS // QUERIES, 16)) * 0.25
    views = (queries[:, None] + np.cumsum(steps, axis=1)).reshape(ITEMS, 16)
    return queries, (views / np.linalg.norm(views, axis=1, keepdims=True)).astype(np.float32)


def _value():
    own = [list(range(start, start + 10)) for start in range(0, ITEMS, 10)]
    return {
        "imlist": [f"image{i}" for i in range(ITEMS)],
        "qimlist": [f"query{i}" for i in range(QUERIES)],
        "gnd": [{"easy": i[:4], "hard": i[4:9], "junk": i[9:]} for i in own],
    }


def _ground_truth():
    value = _value()
    kinds = {
        kind: tuple(np.array(entry[kind]) for entry in value["gnd"])
        for kind in ("easy", "hard", "junk")
    }
    return GroundTruth(tuple(value["imlist"]), tuple(value["qimlist"]), **kinds)


def test_the_scores_are_those_of_the_expanded_search():
    queries, rows = _arrays(0)
    benchmark = Benchmark(_ground_truth(), queries, BlockedDatabase((rows,), block_rows=32))
    methods = [NO_EXPANSION, QueryExpansion(2, 1.0), QueryExpansion(30, 0.0)]
    found = search(queries, benchmark.database, ITEMS)
    for method, report in zip(methods, scores(benchmark, methods), strict=True):
        expected = evaluate_ranks(benchmark.ground_truth, method(found).ranked)
        assert report.to_json() == expected.to_json()


def test_the_grid_begins_without_expansion_and_has_it_once():
    assert grid([5, 0, 1], [2.0, 0.0]) == [
        NO_EXPANSION,
        *(QueryExpansion(1, 0.0), QueryExpansion(1, 2.0)),
        *(QueryExpansion(5, 0.0), QueryExpansion(5, 2.0)),
    ]
    with pytest.raises(UserError, match="neighbours is -1; it has to be an integer from 0"):
        grid([-1], [0.0])


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tune")
    (folder / "gnd.json").write_text(json.dumps(_value()))
    nothing = _value() | {"gnd": [{"easy": [1], "hard": [], "junk": []}] * QUERIES}
    (folder / "nothing.json").write_text(json.dumps(nothing))
    for seed in (0, 1):
        for name, array in zip("qx", _arrays(seed), strict=True):
            np.save(folder / f"{name}{seed}.npy", array)
    np.save(folder / "d.npy", clustered(20, seed=9))
    np.save(folder / "flat.npy", np.zeros(3))
    np.save(folder / "narrow.npy", np.ones((500, 2), np.float32))
    return folder


def _dataset(folder, seed, truth="gnd"):
    return f"{folder / truth}.json,{folder}/q{seed}.npy,{folder}/x{seed}.npy"


def test_the_command_tunes_on_one_dataset_and_reports_the_other(run_command_here, files):
    done = run_command_here(
        main,
        *(f"--on={_dataset(files, 0)}", f"--report={_dataset(files, 1)}"),
        *(f"--distractors={files}/d.npy", "--neighbours=2,8", "--alphas=0,3"),
        f"--json={files}/out.json",
    )
    assert (done.returncode, done.stderr) == (0, "")
    written = json.loads((files / "out.json").read_text())

    methods = grid([2, 8], [0.0, 3.0])
    tuned, reported = (
        Benchmark(
            _ground_truth(),
            _arrays(seed)[0],
            BlockedDatabase((_arrays(seed)[1], clustered(20, seed=9))),
        )
        for seed in (0, 1)
    )
    objectives = [objective(report) for report in scores(tuned, methods)]
    assert [trial["objective"] for trial in written["grid"]] == objectives
    assert len(set(objectives)) == len(methods)
    best = methods[int(np.argmax(objectives))]
    text = f"alpha_qe(neighbours={best.neighbours},alpha={best.alpha:g})"
    settings = {"neighbours": best.neighbours, "alpha": best.alpha}
    assert written["chosen"] == {"method": text, **settings}
    assert f"  {text}" in done.stdout and f"--config.rerank='{text}'" in done.stdout
    assert best is not NO_EXPANSION
    # The dataset that is reported would have chosen otherwise, but is not asked.
    of_reported = [objective(report) for report in scores(reported, methods)]
    assert max(of_reported) > of_reported[methods.index(best)]
    before, after = scores(reported, [NO_EXPANSION, best])
    assert written["report"] == {"before": before.to_json(), "after": after.to_json()}
    assert done.stdout.count("<- chosen") == 1
    assert after.table() in done.stdout and done.stdout.endswith(f"\nwrote {files}/out.json\n")
    plain = evaluate_descriptors(reported.ground_truth, reported.queries, reported.database.parts)
    assert written["report"]["before"] == plain.to_json()


@pytest.mark.parametrize("dataset", ["roxford5k", "rparis6k", "elsewhere"])
def test_what_is_found_can_be_pasted(run_command_here, files, dataset):
    """Into the command and into a config, with the same numbers for every dataset."""
    done = run_command_here(
        main,
        *(f"--on={_dataset(files, 0)}", f"--report={_dataset(files, 1)}"),
        *("--neighbours=2,8", "--alphas=0,3", f"--json={files}/pasted.json"),
    )
    pasted = re.search(r"--method='(.*)' of", done.stdout)[1]
    assert re.search(r"--config\.rerank='(.*)', or", done.stdout)[1] == pasted
    chosen = json.loads((files / "pasted.json").read_text())["chosen"]
    method = QueryExpansion(chosen["neighbours"], chosen["alpha"])
    assert make_chain(pasted, dataset).methods == (method,)

    queries, rows = _arrays(1)
    found = search(queries, BlockedDatabase((rows,)), ITEMS)
    np.save(files / "r.npy", found.ranked.ranks)
    flags = [files / "r.npy", files / "out.npy", f"--query={files}/q1.npy"]
    flags += [f"--database={files}/x1.npy", f"--method={pasted}"]
    done = run_command_here(rerank_main, *flags)
    assert (done.returncode, done.stderr) == (0, "")
    assert np.load(files / "out.npy").tolist() == method(found).ranked.ranks.tolist()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"--on": "gnd.json,q.npy"}, "names 2 files; a dataset is GROUND_TRUTH,Q.npy,X.npy"),
        ({"--neighbours": "1,x"}, "invalid integers value: '1,x'"),
        ({"--alphas": "-1"}, "alpha is -1; it has to be a number from 0 to 100"),
        ({"--alphas": "nan"}, "alpha is nan; it has to be a number from 0 to 100"),
        ({"--neighbours": "99999999999"}, "neighbours is 99999999999; it has to be an integer"),
        ({"--on": "nothing"}, "nothing to find under Medium or Hard"),
        ({"--report": "{0}/gnd.json,{0}/q0.npy,{0}/narrow.npy"}, "columns, the database 2"),
        ({"--distractors": "{}/flat.npy"}, r"flat.npy is float64 of shape \(3,\)"),
    ],
)
def test_mistakes_are_one_line_and_exit_code_2(run_command_here, files, changes, message):
    flags = {"--on": _dataset(files, 0), "--report": _dataset(files, 1)} | changes
    if flags["--on"] == "nothing":
        flags["--on"] = _dataset(files, 0, truth="nothing")
    done = run_command_here(main, *(f"{k}={v.format(files)}" for k, v in flags.items()))
    assert (done.returncode, done.stdout) == (2, "")
    assert re.fullmatch(f"error: .*{message}.*\n", done.stderr)
