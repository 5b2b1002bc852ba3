"""Flips every bit of every kind of file that is read back.

What comes of it is the same value, one that is made anew, or a line. A reader gives what it
believes; what it has made anew is missing from that.
"""

import numpy as np
import pytest

from senet_jax import weights
from senet_jax.data import builder
from senet_jax.data.file_state import FILE_STATE
from senet_jax.data.revisitop import Photograph
from senet_jax.features.cache import read_value
from senet_jax.features.plan import Batch, Plan
from senet_jax.features.shards import Shards
from senet_jax.features.store import DescribedRows, load_store, save_store
from senet_jax.jobs import kept_stages
from senet_jax.jobs.saved_results import Results
from senet_jax.metrics.evaluation_report import EvaluationReport
from senet_jax.metrics.protocols import PROTOCOLS
from senet_jax.metrics.run_report import Run
from senet_jax.rerank.journal import Journal
from senet_jax.rerank.method import DatabaseStage
from senet_jax.search.database import BlockedDatabase
from senet_jax.system.checksummed import read_sealed_json, save_arrays, sealed, write_sealed_json
from senet_jax.system.errors import UserError
from senet_jax.system.files import read_json, write_json
from senet_jax.training.metrics import FILE, MetricsWriter, read_metrics
from tests.data.sources import source
from tests.oracles.lively_twin import lively_weights

ORIGIN = {"weights": "abc", "scales": [0.5, 1.0]}
FILES = np.array([(9, 8, 7, (row + 1, 2)) for row in range(3)], FILE_STATE)
DESCRIPTORS = np.random.default_rng(0).standard_normal((3, 2)).astype(np.float32)
STAGE = DatabaseStage(
    "dba", {"neighbours": 2}, BlockedDatabase((DESCRIPTORS,)), lambda: [{"rows": DESCRIPTORS}]
)


def _store(folder, storage="float32"):
    piece = DescribedRows(range(3), DESCRIPTORS, {2: "no image"}, FILES)
    options = {"shape": (3, 2), "origin": ORIGIN, "storage": storage}
    save_store(folder, "database", pieces=[piece], **options)
    return folder


def _believed_rows(folder):
    store = load_store(folder, "database", ORIGIN)
    return {
        row: (store.descriptors[row].tobytes(), store.files[row].tobytes(), store.skipped.get(row))
        for row in range(3)
        if store.files[row]["digest"].any()
    }


def _shards(folder):
    plan = Plan((Batch((0, 1), ((8, 8),), 2),), 0.0)
    shards = Shards(folder, [Photograph(folder, f"{row}.jpg") for row in range(4)], ORIGIN)
    return shards, plan


def _make_shard(folder):
    shards, plan = _shards(folder)
    shards.begin([1, 3], plan)
    shards.write(0, DESCRIPTORS[:2], {1: "no image"}, FILES[:2])
    return folder


def _shard(folder):
    shards, plan = _shards(folder)
    shards.begin([1, 3], plan)
    shard = shards._read(0)
    if shard is None:
        return {}
    return {0: (shard.rows, shard.descriptors.tolist(), shard.skipped, shard.files.tobytes())}


def _manifest(folder):
    shards, plan = _shards(folder)
    return {} if shards.are_of_another_plan([1, 3], plan) else {0: shards._plan_there}


def _make_maps(folder):
    array = np.random.default_rng(0).standard_normal((3, 1, 1, 256)).astype(np.float16)
    save_arrays(folder / "maps.npz", maps=array)
    return folder


def _maps(folder):
    value = read_value(folder / "maps.npz", frozenset({"maps"}))
    return {} if value is None else {0: (value["maps"].dtype, value["maps"].tolist())}


def _make_journal(folder):
    journal = Journal(folder / "scores.csv")
    journal.add([("a" * 8, "b" * 8), ("c" * 8, "d" * 8)], np.float32([0.25, 1e-7]), 1.5)
    return folder


def _make_stage(folder):
    kept_stages.StageFolder(folder)(STAGE)
    [path] = folder.iterdir()
    return path


def _stage(folder):
    arrays = kept_stages._read(folder, kept_stages.origin_of_stage(STAGE)) or {}
    return {name: (array.dtype, array.tolist()) for name, array in arrays.items()}


def _make_prepared(folder):
    builder.build(source((2, 1)), folder / "town")
    return folder / "town"


def _prepared(folder):
    report = read_json(folder / "report.json")
    builder.check_files(folder, report)
    small = {name: (folder / name).read_bytes() for name in builder._SMALL_FILES}
    return small | {"report": report}


def _make_metrics(folder):
    (folder / "tensorboard").mkdir()
    writer = MetricsWriter(folder, -1)
    writer.write(1, {"train/loss": 0.5, "learning_rate": 1e-3})
    writer.write(2, {"train/loss": 0.25})
    writer.close()
    return folder


def _make_weights(folder):
    value = weights.description(lively_weights("tiny_baseline")) | {"weights_sha256": "ab" * 32}
    write_json(folder / "model.json", sealed(value))
    return folder


def _weights(folder):
    path = folder / "model.json"
    *parts, value = weights._read_description(path)
    weights._check_description(path, value)
    return {0: (*parts, value["source"], value["weights_sha256"])}


def _make_report(folder):
    results = Results(folder)
    scores = {protocol.name: np.full((1, 4), 0.5) for protocol in PROTOCOLS}
    for name in ("town", "town+aqe:blind"):
        results.add(name, EvaluationReport(("q",), scores), "ab")
    results.write(Run(inputs_sha256={"town": "ab"}))
    return folder


def _report(folder):
    """What is kept of it."""
    results = Results(folder)
    results.add("town", EvaluationReport((), {p.name: np.ones((0, 4)) for p in PROTOCOLS}), "ab")
    return {name: entry.to_json() for name, entry in results._entries.items() if "+" in name}


def _make_settings(folder):
    write_sealed_json(folder / "config.json", {"seed": 1, "data": {"side": 64, "flip": True}})
    return folder


def _settings(folder):
    return read_sealed_json(folder / "config.json", "", required=False)


# How a file is made, its name, and what is believed of it: name of a part -> its value.
KINDS = {
    "descriptors": (_store, "database.npy", _believed_rows),
    "quantised descriptors": (lambda f: _store(f, "int8"), "database.npy", _believed_rows),
    "description": (_store, "database.json", _believed_rows),
    "shard": (_make_shard, "000000.npz", _shard),
    "manifest": (_make_shard, "manifest.json", _manifest),
    "maps": (_make_maps, "maps.npz", _maps),
    "scores": (
        _make_journal,
        "scores.csv",
        lambda folder: Journal(folder / "scores.csv").known,
    ),
    "stage": (_make_stage, "rows.npy", _stage),
    "stage.json": (_make_stage, "stage.json", _stage),
    **{
        f"prepared {name}": (_make_prepared, name, _prepared)
        for name in (*builder._SMALL_FILES, "report.json")
    },
    "metrics": (_make_metrics, FILE, lambda folder: dict(enumerate(read_metrics(folder)))),
    "model.json": (_make_weights, "model.json", _weights),
    "report": (_make_report, "report.json", _report),
    "config.json": (_make_settings, "config.json", _settings),
}


# Larger ones, of whose content SHA-256 or the same checksum of arrays tells: every so manyth bit,
# which is one of every byte.
STRIDES = {
    "shard": 7,
    "maps": 7,
    "stage": 7,
    "stage.json": 7,
    "report": 7,
    "prepared features.json": 7,
    "prepared dataset_info.json": 7,
}


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_no_flipped_bit_makes_another_value(tmp_path, kind):
    make, name, read = KINDS[kind]
    folder = make(tmp_path)
    path, expected = folder / name, read(folder)
    assert expected
    content = bytearray(path.read_bytes())
    bits = range(0, 8 * len(content), STRIDES.get(kind, 1))
    whole = 0
    for bit in bits:
        content[bit // 8] ^= 1 << bit % 8
        path.write_bytes(content)
        content[bit // 8] ^= 1 << bit % 8
        try:
            value = read(folder)
        except UserError:
            continue
        assert all(expected[part] == believed for part, believed in value.items()), bit
        whole += value == expected
    assert whole < len(bits) / 4
