"""What a backend holds of an index: made, grown, broken, exchanged, and ended at any moment."""

import shutil
import signal
import subprocess
import sys

import pytest

from senet_jax.index import held
from senet_jax.index.held import bring_up_to_date, open_held, read_record
from senet_jax.system.errors import UserError
from tests.index.held_rows import KINDS, assert_finds_all, database, names
from tests.processes import ROOT

FAISS, MILVUS = KINDS
LEFT = {FAISS: ["backend", "faiss"], MILVUS: ["backend", "milvus"]}


@pytest.mark.parametrize("text", KINDS)
def test_it_grows_with_the_index(tmp_path, text):
    searched = database(400, {5, 7})
    assert bring_up_to_date(tmp_path, searched, "0", text) == [
        f"{text}: 398 rows, 398 of them new, recall@10 1.000"
    ]
    assert_finds_all(tmp_path, searched, "0")
    before = (tmp_path / "backend.json").read_bytes()
    assert bring_up_to_date(tmp_path, searched, "0", text) == []
    assert (tmp_path / "backend.json").read_bytes() == before
    # Some are gone, one has come back, others are new: what is held is of use before it is told.
    searched = database(500, {7, 8, 9, 450})
    assert_finds_all(tmp_path, searched, "0", lacks=100)
    [said] = bring_up_to_date(tmp_path, searched, "0", text)
    assert said.startswith(f"{text}: 498 rows, 100 of them new")
    assert_finds_all(tmp_path, searched, "0")
    assert names(tmp_path) == LEFT[text]


@pytest.mark.parametrize("text", KINDS)
def test_it_is_made_anew_for_other_rows(tmp_path, text, monkeypatch):
    bring_up_to_date(tmp_path, database(300), "0", text)
    name = read_record(tmp_path).built.name
    assert_finds_all(tmp_path, database(300), "1", lacks=300)
    [said] = bring_up_to_date(tmp_path, database(300), "1", text)
    assert "300 rows, 300 of them new" in said and read_record(tmp_path).built.name != name
    assert_finds_all(tmp_path, database(300), "1")
    monkeypatch.setattr(held, "MOST_GONE", 10)
    [said] = bring_up_to_date(tmp_path, database(300, range(11)), "1", text)
    assert "289 rows, 289 of them new" in said
    assert_finds_all(tmp_path, database(300, range(11)), "1")
    assert names(tmp_path) == LEFT[text]


def test_one_is_exchanged_for_another(tmp_path):
    searched = database(300)
    for text in (FAISS, MILVUS, "faiss(index=Flat)"):
        bring_up_to_date(tmp_path, searched, "0", text)
        assert_finds_all(tmp_path, searched, "0")
        assert names(tmp_path) == ["backend", text.partition("(")[0]]
    assert bring_up_to_date(tmp_path, searched, "0", "files") == []
    assert names(tmp_path) == []
    assert open_held(tmp_path, searched, "0").nearest(searched.parts[0][:1], 3, searched) is None


def test_probes_are_not_built(tmp_path):
    searched = database(300)
    bring_up_to_date(tmp_path, searched, "0", "faiss(index=IVF16,Flat,probes=1)")
    poor = read_record(tmp_path).built
    [said] = bring_up_to_date(tmp_path, searched, "0", "faiss(index=IVF16,Flat,probes=16)")
    good = read_record(tmp_path).built
    assert "300 rows, 0 of them new, recall@10 1.000" in said
    assert 0.1 < poor.recall < 0.9 and good.recall == 1


def test_where_too_little_is_found_all_are_compared(tmp_path):
    """One list of sixteen does not hold a hundred of 300 rows, and is not taken for all."""
    searched = database(300)
    bring_up_to_date(tmp_path, searched, "0", "faiss(index=IVF16,Flat,probes=1)")
    opened = open_held(tmp_path, searched, "0")
    queries = searched.parts[0][:3]
    assert opened.nearest(queries, 2, searched) is not None
    assert opened.nearest(queries, 80, searched) is None


@pytest.mark.parametrize("content", [None, b"", b"faiss", "flipped"])
def test_a_broken_file_is_seen_and_made_anew(tmp_path, content):
    searched = database(300)
    bring_up_to_date(tmp_path, searched, "0", FAISS)
    [path] = tmp_path.glob("faiss.*")
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 1
    path.unlink()
    if content is not None:
        path.write_bytes(whole if content == "flipped" else content)
    with pytest.raises(UserError, match=rf"{path}.*; run senet-jax index PHOTOS {tmp_path}$"):
        open_held(tmp_path, searched, "0")
    first, second = bring_up_to_date(tmp_path, searched, "0", FAISS)
    assert first.startswith(f"{FAISS} is made anew: ") and "300 of them new" in second
    assert_finds_all(tmp_path, searched, "0")


def test_a_database_that_is_gone_is_seen_and_made_anew(tmp_path):
    searched = database(300)
    bring_up_to_date(tmp_path, searched, "0", MILVUS)
    shutil.rmtree(tmp_path / "milvus.db")
    with pytest.raises(UserError, match=r"collection senet_jax_\w{8} is gone; run senet-jax index"):
        open_held(tmp_path, searched, "0")
    assert "300 of them new" in bring_up_to_date(tmp_path, searched, "0", MILVUS)[1]
    assert_finds_all(tmp_path, searched, "0")


@pytest.mark.parametrize("content", [b"", b"{}", b'{"backend": "faiss", "checksum": "crc32:0"}'])
def test_a_broken_record_is_one_line(tmp_path, content):
    (tmp_path / "backend.json").write_bytes(content)
    with pytest.raises(UserError, match=r"backend\.json"):
        open_held(tmp_path, database(300), "0")


def _killed(folder, key, text, moment):
    command = [sys.executable, "-m", "tests.index.held_rows", folder, "900", key, text, moment]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL, (moment, done.stderr)


def _check_killed(folder, text, key, moment):
    bring_up_to_date(folder, database(500), "0", text)
    _killed(folder, key, text, moment)
    is_told = moment in ("recorded", "remove")
    for asked in {"0", key}:
        there = 0 if (is_told and asked == key) or (not is_told and asked == "0") else None
        lacks = (900 if there is None else 0) if is_told or there is None else 400
        assert_finds_all(folder, database(900), asked, lacks)
    bring_up_to_date(folder, database(900), key, text)
    assert_finds_all(folder, database(900), key)
    assert names(folder) == LEFT[text]
    assert len(read_record(folder).left) == 0


@pytest.mark.parametrize(
    ("text", "key", "moment"),
    [(FAISS, "0", "save"), (MILVUS, "0", "second add")],
)
def test_killed(tmp_path, text, key, moment):
    _check_killed(tmp_path, text, key, moment)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("text", "key", "moment"),
    [
        *((FAISS, "0", moment) for moment in ("first add", "saved")),
        *((FAISS, "1", moment) for moment in ("made", "recorded", "remove")),
        *((MILVUS, "0", moment) for moment in ("save", "saved")),
        *((MILVUS, "1", moment) for moment in ("made", "second add", "recorded")),
    ],
)
def test_killed_at_other_moments(tmp_path, text, key, moment):
    _check_killed(tmp_path, text, key, moment)
