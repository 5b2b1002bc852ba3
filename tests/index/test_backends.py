"""Each backend finds what is there, by the commands and at an address."""

import re
import shutil
import sys

import numpy as np
import pytest

from senet_jax.index import __main__ as command
from senet_jax.index import held
from senet_jax.index import searcher as searcher_module
from senet_jax.index.backends import read_backend
from senet_jax.index.find import find
from senet_jax.index.held import bring_up_to_date
from senet_jax.index.store import open_index
from senet_jax.search.__main__ import main as search_main
from senet_jax.search.database import as_float32
from senet_jax.system import distributed, runtime
from senet_jax.system.errors import UserError
from tests.index.conftest import Colours
from tests.index.held_rows import assert_finds_all, database


@pytest.fixture
def run(town, run_command_here, monkeypatch):
    """The index command, with backends that are asked for twice the wanted rows and no more."""
    monkeypatch.setattr(held, "SPARE", 0)
    monkeypatch.setattr(distributed, "announce", lambda: None)
    monkeypatch.setattr(runtime, "tune_for_inference", lambda: None)
    monkeypatch.setattr(searcher_module.Describer, "of", lambda weights: Colours())
    flags = (town.photos, town.index, f"--weights={town.weights}")
    return lambda *more: run_command_here(command.main, *flags, *more)


def _assert_right(town, queries, top=4):
    """What is found are the best, in order, with the exact scores."""
    index = open_index(town.index)
    descriptors = as_float32(index.contents.descriptors)
    live = sorted(index.paths_of_row)
    assert index.held.nearest(queries, top, index.database) is not None
    for hits, query in zip(find(index, queries, top), queries, strict=True):
        scores = descriptors[live] @ query
        order = np.argsort(-scores, kind="stable")[:top]
        paths = [path for row in order for path in index.paths_of_row[live[row]]]
        assert [hit.path for hit in hits] == paths[:top]
        assert hits[0].score == pytest.approx(scores[order[0]])
    index.held.rows.close()


@pytest.mark.parametrize("backend", ["faiss(index=Flat)", "milvus"])
def test_what_is_found_follows_the_folder(run, town, queries, backend, run_command_here):
    done = run(f"--backend={backend}", "--storage=float16")
    assert (done.returncode, done.stderr) == (0, "")
    assert "described by tiny_baseline" in done.stdout.splitlines()
    assert done.stdout.splitlines()[-2:] == [
        f"{backend}: 20 rows, 20 of them new",
        "20 photographs: 20 described",
    ]
    _assert_right(town, queries)
    town.write("1/1.jpg", 100)  # Changed.
    (town.photos / "2/2.jpg").unlink()
    (town.photos / "0/3.jpg").rename(town.photos / "moved.jpg")
    shutil.copy(town.photos / "1/4.jpg", town.photos / "copy.jpg")
    town.update()  # As a run leaves it that was ended before it came to the backend.
    _assert_right(town, queries)
    done = run_command_here(search_main, town.index, town.photos / "moved.jpg", "--top=1")
    assert done.returncode == 0 and done.stdout.splitlines()[1].endswith("moved.jpg")
    said = f"{backend} does not hold 1 descriptors yet, which are compared one by one; see"
    assert said in done.stdout
    done = run()
    assert f"{backend}: 21 rows, 1 of them new" in done.stdout.splitlines()
    _assert_right(town, queries)
    assert run().stdout.splitlines() == ["20 photographs: 0 described"]


@pytest.mark.parametrize(
    ("backend", "message"),
    [
        ("sqlite", "no backend of an index 'sqlite'; choose from files, faiss, milvus"),
        ("files,faiss", "'files,faiss' names 2 backends; name one"),
        ("faiss(lists=3)", "faiss cannot take 'lists=3'; its settings: index (a word; default"),
        ("faiss(index=Tree)", "faiss cannot make the index 'Tree' of 20 rows of 128 numbers"),
        ("milvus(uri=http://me:secret@host)", "milvus: uri is 'http://me:secret@host'; it has to"),
        ("milvus(uri=nowhere)", "Milvus cannot be had at nowhere: "),
        ("milvus(uri=http://127.0.0.1:9)", "; check the address and, in MILVUS_TOKEN, the token"),
    ],
)
def test_mistakes_are_one_line(run, town, backend, message, monkeypatch):
    monkeypatch.setattr("senet_jax.index.milvus_rows.CONNECTING_SECONDS", 0.5)
    done = run(f"--backend={backend}")
    assert done.returncode == 2 and done.stderr.count("\n") == 1
    assert message in done.stderr
    assert not (town.index / "index.json").exists() or "Tree" in backend


@pytest.mark.parametrize("name", ["faiss", "milvus"])
def test_without_its_packages_it_is_one_line(run, town, name, monkeypatch):
    for package in ("faiss", "milvus_lite"):
        monkeypatch.setitem(sys.modules, package, None)
    done = run(f"--backend={name}")
    assert done.returncode == 2 and f"pip install '.[{name}]'" in done.stderr
    assert not town.index.exists()


def test_a_server_at_an_address(tmp_path, monkeypatch):
    """The same code, over the network; the token is kept nowhere."""
    server_module = pytest.importorskip(
        "milvus_lite.adapter.grpc.server", reason="milvus-lite has no server that is known here"
    )
    server, data, port = server_module.start_server_in_thread(
        data_dir=str(tmp_path / "elsewhere"), host="127.0.0.1", port=0
    )
    monkeypatch.setenv("MILVUS_TOKEN", "user:secret")
    folder = tmp_path / "index"
    folder.mkdir()
    text = f"milvus(uri=http://127.0.0.1:{port},collection=mine)"
    try:
        read_backend(text).check()
        [said] = bring_up_to_date(folder, database(300), "0", text)
        assert re.fullmatch(
            rf"{re.escape(text)}: 300 rows, 300 of them new, recall@10 \d\.\d+", said
        )
        assert_finds_all(folder, database(300), "0")
        [path] = folder.iterdir()
        assert "secret" not in path.read_text()
    finally:
        server.stop(0)
        data.close()
    monkeypatch.setattr("senet_jax.index.milvus_rows.CONNECTING_SECONDS", 0.5)
    said = bring_up_to_date(folder, database(300), "0", "files")
    assert len(said) == 1 and said[0].startswith(f"what {text} held is left there: ")
    with pytest.raises(UserError, match=r"^Milvus .* http://127\.0\.0\.1"):
        bring_up_to_date(folder, database(300), "0", text)
