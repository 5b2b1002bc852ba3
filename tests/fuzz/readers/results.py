"""What a workdir keeps of results: reports, ranked lists, metrics."""

import json
import pathlib
import sys
from typing import Any

import numpy as np

from tests.fuzz.reader import Reader

_SCORES = {"query": 0, "ap": 0.5, "mp@1": 1.0, "mp@5": 0.5, "mp@10": 0.5}


def _report() -> dict[str, Any]:
    """A report of one query, as short as it gets: much of a mutated file should matter."""
    scored = {"map": 0.5, "queries": 1, "per_query": [_SCORES | {"name": "q"}]}
    return dict.fromkeys(("easy", "medium", "hard"), scored)


def _reports(_) -> list[bytes]:
    run = {"config": {"scales": [1.0]}, "lists_sha256": {"town query": "0f"}}
    return [json.dumps(value).encode() for value in (_report(), {"town": _report(), "run": run})]


def _compared(path: pathlib.Path) -> None:
    """What `score.compare` prints of a report and itself."""
    from senet_jax.score import compare

    sys.argv = ["compare", str(path), str(path)]
    compare.main()


def _workdir_reports(folder: pathlib.Path) -> list[bytes]:
    """Reports of a training and of an evaluation, in the workdir of both."""
    import cv2

    from senet_jax.metrics.saved import save_lists
    from senet_jax.search.ranked_list import FoundLists, RankedList

    (folder / "town" / "jpg").mkdir(parents=True)
    cv2.imwrite(str(folder / "town" / "jpg" / "q.jpg"), np.zeros((4, 4, 3), np.uint8))
    truth = {"imlist": ["q"], "qimlist": ["q"], "gnd": [{"easy": [0], "hard": [], "junk": []}]}
    (folder / "town" / "gnd_town.json").write_text(json.dumps(truth))
    (folder / "metrics.jsonl").write_text('{"step": 1, "train/loss": 0.5}\n')
    found = FoundLists(RankedList(np.zeros((1, 1), int), 1), np.ones((1, 1), np.float32))
    reports = []
    evaluated = {
        "job": "evaluate",
        "data_root": str(folder),
        "datasets": "town",
        "distractors": "",
        "crop_queries": False,
        "scales": [1.0],
        "mode": "auto",
        "storage": "float32",
        "strict": False,
        "allow_unreadable": 0.5,
    }
    trained = {"job": "train", "evaluation": {"data_root": str(folder)}}
    for config, other in ((evaluated, "town+aqe:blind"), (trained, "town_untrained")):
        files = save_lists(folder, "town", found) | save_lists(folder, other, found)
        run = {"config": config, "files_crc32": files, "counts": {"town": {}}}
        reports.append(json.dumps({"town": _report(), other: _report(), "run": run}).encode())
    return reports


def _drawn(path: pathlib.Path) -> None:
    """What `senet_jax.report` shows of a workdir, up to the pictures that it draws."""
    from senet_jax.metrics.saved import has_lists
    from senet_jax.report.examples import find_examples
    from senet_jax.report.html_report import write_html_report
    from senet_jax.report.results import evaluated_names, ranked_dataset, read_run

    write_html_report(path.parent)
    entries, run = read_run(path.parent)
    for name in evaluated_names(entries, run):
        has_lists(name, run.files_crc32)
        shown = ranked_dataset(path.parent, entries, run, name)
        find_examples(shown.dataset, shown.queries, shown.database, shown.lists)


def _saved_lists(folder: pathlib.Path) -> list[bytes]:
    from senet_jax.metrics.saved import save_lists
    from senet_jax.search.ranked_list import FoundLists, RankedList

    ranks = RankedList(np.array([[2, 0], [1, -1]]), 3)
    save_lists(folder, "x", FoundLists(ranks, np.ones((2, 2), np.float32)))
    return [(folder / "ranks" / "x.npy").read_bytes()]


def _lists(path: pathlib.Path) -> Any:
    """Lists whose checksum is right all the same."""
    from senet_jax.metrics.saved import checksums_of_lists, load_lists

    workdir = path.parents[1]
    return load_lists(workdir, "x", checksums_of_lists(workdir, ["x"]), 3)


def _metrics(path: pathlib.Path) -> Any:
    from senet_jax.report.curve import series
    from senet_jax.training.metrics import read_metrics

    metrics = read_metrics(path.parent)
    return [series(metrics, key) for key in ("train/loss", "step")]


_JSON = (
    *(b"null", b"[]", b"{}", b'"0.5"', b"true", b"1e999", b"2", b"\\u001b", b"\\ud800"),
    *(b"[" * 99, b'"/"', b'""', b"-1"),
)
READERS: dict[str, Reader] = {
    "report": Reader("report.json", _reports, _compared, ("senet_jax.score.compare",), _JSON),
    "drawn_report": Reader(
        "report.json",
        _workdir_reports,
        _drawn,
        ("senet_jax.report.html_report", "senet_jax.report.examples"),
        _JSON,
    ),
    "saved_lists": Reader(
        "ranks/x.npy",
        _saved_lists,
        _lists,
        ("senet_jax.metrics.saved",),
        (b"True", b"<u8", b"|b1", b"|O", b"(", b")", b"0,", b"99999999999,", b"-1"),
    ),
    "metrics": Reader(
        "metrics.jsonl",
        lambda _: [b'{"step": 1, "train/loss": 0.5}\n{"step": 2, "train/loss": 1}\n'],
        _metrics,
        ("senet_jax.training.metrics", "senet_jax.report.curve"),
        (b"null", b"[]", b"{}", b"1e999", b"NaN", b'"', b"\n"),
    ),
}
