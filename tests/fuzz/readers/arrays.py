"""Arrays in `.npy` and `.npz` files: descriptors, ranks, and what an evaluation keeps."""

import io
import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.fuzz.reader import Reader


def _npy(array: np.ndarray, version: tuple[int, int] | None = None) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, np.asarray(array), version)
    return file.getvalue()


def _descriptor_files(_) -> list[bytes]:
    from senet_jax.search.storage import STORAGES, quantise

    rows = np.random.default_rng(0).standard_normal((4, 3)).astype(np.float32)
    plain = [rows.astype(dtype) for dtype in ("f8", ">f4", "i2")]
    stored = [quantise(rows, storage) for storage in STORAGES]
    return [*map(_npy, [*plain, *stored, np.asfortranarray(rows)]), _npy(rows, (3, 0))]


def _descriptors(path: pathlib.Path) -> Any:
    """As `score` and `rerank` take a database."""
    from senet_jax.search.database import BlockedDatabase, as_float32
    from senet_jax.system.files import open_array

    array = open_array(path)
    database = BlockedDatabase((array,), block_rows=2)
    assert as_float32(array).shape == (database.size, database.width)
    for start in database.starts:
        block = database.read(start)
        assert block.shape == (2, database.width) and block.dtype == np.float32
        database.check_finite(start, block)
    return database


def _ranks(path: pathlib.Path) -> Any:
    from senet_jax.search.ranked_list import RankedList
    from senet_jax.system.files import open_array

    ranked = RankedList.of_queries(open_array(path), 2, 4)
    return [ranked.positions(query, np.arange(4)) for query in range(2)]


def _rank_files(_) -> list[bytes]:
    ranks = np.array([[3, 0, 2, 1], [1, 0, -1, -1]])
    return [_npy(ranks.astype(dtype)) for dtype in ("i1", "<i8", ">i4")]


def _stage_file(name: str) -> Callable[[pathlib.Path], list[bytes]]:
    """A file of a database stage that a re-ranking keeps, beside the other ones."""

    def examples(folder: pathlib.Path) -> list[bytes]:
        from senet_jax.jobs import kept_stages
        from senet_jax.rerank.method import DatabaseStage

        rows = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)
        pieces = [{"rows": rows, "ends": np.arange(4)}]
        stage = DatabaseStage("dba", {}, None, lambda: pieces)
        kept_stages._make(folder / "new", ORIGIN, stage)
        for file in (folder / "new").iterdir():
            file.rename(folder / file.name)
        return [(folder / name).read_bytes()]

    return examples


def _stage(path: pathlib.Path) -> Any:
    from senet_jax.jobs.kept_stages import _read

    arrays = _read(path.parent, ORIGIN)
    return arrays and {name: array.tolist() for name, array in arrays.items()}


ORIGIN = {"model": "tiny", "scales": [1.0]}


def _stored(name: str) -> Callable[[pathlib.Path], list[bytes]]:
    """A file of descriptors that an evaluation keeps, beside the other one."""

    def examples(folder: pathlib.Path) -> list[bytes]:
        from senet_jax.data.file_state import FILE_STATE
        from senet_jax.features.store import DescribedRows, save_store

        rows = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)
        described = DescribedRows([0, 1, 2], rows, {2: "no such file"}, np.zeros(3, FILE_STATE))
        save_store(folder, "query", shape=(3, 4), pieces=[described], origin=ORIGIN)
        return [(folder / name).read_bytes()]

    return examples


def _store(path: pathlib.Path) -> Any:
    from senet_jax.features.store import load_store

    return load_store(path.parent, "query", ORIGIN)


def _kept_arrays(folder: pathlib.Path) -> list[bytes]:
    from senet_jax.data.file_state import FILE_STATE
    from senet_jax.models.cvnet import SCALES, WIDTH
    from senet_jax.system.checksummed import save_arrays

    maps = np.zeros((len(SCALES), 1, 1, WIDTH), np.float16)
    rows, files = np.arange(2), np.zeros(2, FILE_STATE)
    descriptors = np.ones((2, 4), np.float32)
    save_arrays(folder / "a", maps=maps)
    save_arrays(folder / "b", rows=rows, descriptors=descriptors, files=files, skipped="{}")
    return [(folder / name).read_bytes() for name in "ab"]


def _kept(path: pathlib.Path) -> Any:
    """Maps or a shard; what is broken is made again, so nothing is refused."""
    from senet_jax.features import cache, shards

    return cache.read_value(path, frozenset({"maps"})), shards._load(path)


def _pair_scores(path: pathlib.Path) -> Any:
    from senet_jax.rerank.journal import Journal

    return Journal(path).known


def _journals(folder: pathlib.Path) -> list[bytes]:
    from senet_jax.rerank.journal import Journal

    Journal(folder / "a").add([("0f", "1e"), ("0f", "2d")], np.array([0.25, 1.0]), 0.5)
    return [(folder / "a").read_bytes()]


READERS: dict[str, Reader] = {
    "descriptors": Reader(
        "x.npy",
        _descriptor_files,
        _descriptors,
        ("senet_jax.search.database", "senet_jax.system.files"),
        (
            b"True",
            b"|O",
            b"(",
            b")",
            b"0,",
            b"99999999999,",
            b"-1",
            b"<f4",
            b"{1:",
            b"[",
            b"'int8'",
        ),
    ),
    "ranks": Reader(
        "r.npy",
        _rank_files,
        _ranks,
        ("senet_jax.search.ranked_list", "senet_jax.system.files"),
        (b"True", b"<u8", b"|b1", b"(", b")", b"0,", b"99999999999,", b"-1"),
    ),
    **{
        f"stage_{suffix}": Reader(
            name,
            _stage_file(name),
            _stage,
            ("senet_jax.jobs.kept_stages",),
            (b"null", b"[]", b"{}", b'"', b"-1", b"99999999999", b"|O", b"(", b")", b"/../"),
        )
        for suffix, name in (("json", "stage.json"), ("npy", "rows.npy"))
    },
    **{
        f"store_{suffix}": Reader(
            f"query.{suffix}",
            _stored(f"query.{suffix}"),
            _store,
            ("senet_jax.features.store",),
            (b"null", b"[]", b"{}", b'"', b"-1", b"99999999999", b"|O", b"(", b")"),
        )
        for suffix in ("json", "npy")
    },
    "kept_arrays": Reader(
        "kept.npz",
        _kept_arrays,
        _kept,
        ("senet_jax.features.cache", "senet_jax.features.shards"),
        (b"PK\x01\x02", b"PK\x03\x04", b"PK\x05\x06", b"|O", b"99999999999,", b"(", b")"),
    ),
    "pair_scores": Reader(
        "scores.csv",
        _journals,
        _pair_scores,
        ("senet_jax.rerank.journal",),
        (b",", b"\n", b"\xff", b"nan", b"\0", b"9" * 400),
    ),
}
