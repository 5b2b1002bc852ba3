"""Small hostile files through the commands as they ship, with their time and memory."""

import json
import pathlib
import shutil
import subprocess
import sys

import numpy as np
import pytest
from safetensors.numpy import save

CASES = pathlib.Path(__file__).resolve().parents[2] / "shared" / "cases"
SECONDS, MEMORY = 1, 200 * 2**20

# Runs the commands of the standard input, a line each, one after the other.
RUN = """
import contextlib, io, json, resource, sys, time
from senet_jax.convert.__main__ import main as convert
from senet_jax.system.errors import run_command
from senet_jax.score.__main__ import main as score

for line in sys.stdin:
    sys.argv = json.loads(line)
    main = {"convert": convert, "score": score}[sys.argv[0]]
    before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    code = 0
    with contextlib.redirect_stderr(io.StringIO()) as said:
        try:
            run_command(main)
        except SystemExit as end:
            code = end.code
    touched = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(json.dumps([code, said.getvalue(), time.process_time() - start, touched * 1024]))
"""


@pytest.mark.skipif(not CASES.is_dir(), reason="no folder shared/cases beside the repository")
def test_each_is_refused_in_a_line(tmp_path):
    truth, ranks, rows = (tmp_path / name for name in ("gnd_x.json", "ranks.npy", "rows.npy"))
    entry = {"easy": [0], "hard": [1], "junk": [2]}
    truth.write_text(json.dumps({"imlist": list("abcd"), "qimlist": ["q"], "gnd": [entry]}))
    np.save(ranks, np.array([[0, 1, 2, 3]]))
    np.save(rows, np.eye(4, 3, dtype=np.float32))
    commands = [["score", str(case), f"--ranks={ranks}"] for case in CASES.glob("ground_truth/*")]
    for case in CASES.glob("npy/*.npy"):
        commands.append(["score", str(truth), f"--query={case}", f"--database={rows}"])
        commands.append(["score", str(truth), f"--query={rows}", f"--database={case}"])
    for case in CASES.glob("model_json/*.json"):
        folder = tmp_path / case.stem
        folder.mkdir()
        shutil.copy(case, folder / "model.json")
        (folder / "weights.safetensors").write_bytes(save({"a": np.zeros(1)}))
        commands.append(["convert", str(folder), str(tmp_path / "weights")])
    assert len(commands) > 20
    done = subprocess.run(
        [sys.executable, "-c", RUN],
        input="\n".join(map(json.dumps, commands)),
        capture_output=True,
        text=True,
        cwd=pathlib.Path(__file__).parents[1],
    )
    assert (done.returncode, done.stderr) == (0, "")
    outcomes = list(map(json.loads, done.stdout.splitlines()))
    for command, (code, said, seconds, touched) in zip(commands, outcomes, strict=True):
        line = said.removesuffix("\n")
        assert (code, said.count("\n")) == (2, 1), command
        assert line.isprintable() and line.startswith("error: ") and len(line) <= 507, command
        assert seconds < SECONDS and touched < MEMORY, command
