"""Text and pickles: ground truth, lists, command lines."""

import contextlib
import json
import os
import pathlib
import pickle
from typing import Any

import numpy as np

from tests.fuzz.reader import Reader
from tests.oracles.delg_files import delg_global, delg_local

TRUTH = {
    "imlist": ["a", "b/c", "d", "Ö"],
    "qimlist": ["q", "r"],
    "gnd": [
        {"bbx": [0, 0, 10.5, 10], "easy": [3, 1], "hard": [], "junk": [0]},
        {"bbx": [1, 2, 3, 4], "easy": [], "hard": [2], "junk": []},
    ],
}


def _pickles(_) -> list[bytes]:
    arrays = [
        {k: np.asarray(v, float if k == "bbx" else np.int32) for k, v in entry.items()}
        for entry in TRUTH["gnd"]
    ]
    scalars = [{**TRUTH["gnd"][0], "easy": [np.int64(3), np.int64(1)]}, TRUTH["gnd"][1]]
    return [
        pickle.dumps(TRUTH | {"gnd": entries}, protocol)
        for protocol in (0, 2, 4, 5)
        for entries in (TRUTH["gnd"], arrays, scalars)
    ]


def _ground_truth(path: pathlib.Path) -> Any:
    from senet_jax.data.ground_truth import load_ground_truth

    return load_ground_truth(path)


def _distractor_list(folder: pathlib.Path) -> list[bytes]:
    (folder / "far" / "jpg").mkdir(parents=True)
    return [b"a.jpg\nb/c.png\n", "\ufeffÖ.jpg\r\nx y.jpg".encode()]


def _distractors(path: pathlib.Path) -> Any:
    from senet_jax.data.revisitop import load_distractors

    return [image.path for image in load_distractors(path.parents[1], "far").images]


def _landmarks(path: pathlib.Path) -> Any:
    from senet_jax.data.gldv2 import gldv2_clean

    source = gldv2_clean(path, path.parent)
    for index in range(min(3, len(source.keys))):
        with contextlib.suppress(OSError):
            source.read(index)
    return source.sha256


def _given_scores(path: pathlib.Path) -> Any:
    from senet_jax.jobs.given_scores import GivenPairs

    return GivenPairs(path, 3, 9).sha256


def _delg_local(path: pathlib.Path) -> Any:
    from senet_jax.features.local_files import read_delg_local

    return read_delg_local(path).keypoints.shape


def _delg_global(path: pathlib.Path) -> Any:
    from senet_jax.search.descriptor_files import read_delg_global

    return len(read_delg_global(path))


def _flags(path: pathlib.Path) -> Any:
    """A command line, a line a flag, as `main` takes it."""
    from senet_jax.command_line import CONFIGS, expand_paths, parse_with_config, validate
    from senet_jax.system.errors import CommandParser, UserError

    lines = os.fsdecode(path.read_bytes()).split("\n")[:100]
    parser = CommandParser(prog="command", add_help=False)
    config = f"--config={CONFIGS / 'evaluate.py'}:tiny"
    try:
        _, config = parse_with_config(parser, [config, *(f"--config.{line}" for line in lines)])
    except SystemExit as end:  # A line was printed, or the help.
        if end.code in (0, 2):
            raise UserError("the command line is refused") from None
        raise
    validate(config)
    expand_paths(config)
    return config.to_dict()


READERS: dict[str, Reader] = {
    "ground_truth_pickle": Reader(
        "gnd_x.pkl",
        _pickles,
        _ground_truth,
        ("senet_jax.data.ground_truth",),
        (
            *(b"cnumpy\ndtype\n", b"cnumpy\nndarray\n", b"cnumpy._core.numeric\n_frombuffer\n"),
            *(b"cnumpy._core.multiarray\n_reconstruct\n", b"c_codecs\nencode\n", b"X\x01\0\0\0a"),
            *(b"h\x00", b"q\x00", b"(", b"l", b"t", b"d", b"R", b"b", b"]", b"}", b".", b"2", b"0"),
            *(b"I9223372036854775807\n", b"G\x7f\xf0\0\0\0\0\0\0", b"N", b"S'O'\n", b"\x8a\xff"),
        ),
    ),
    "ground_truth_json": Reader(
        "gnd_x.json",
        lambda _: [json.dumps(TRUTH).encode()],
        _ground_truth,
        ("senet_jax.data.ground_truth",),
        (b"NaN", b"1e999", b"null", b"[", b"]", b"{}", b'"\\ud800"', b"-1", b"\\u001b", b"9" * 40),
    ),
    "distractor_list": Reader(
        "far/far.txt",
        _distractor_list,
        _distractors,
        ("senet_jax.data.revisitop",),
        (b"..", b"/", b"\n", b"\r", b"\0", b"\xff", b"\x1b[2J", "\u2028".encode()),
    ),
    "landmark_list": Reader(
        "train_clean.csv",
        lambda _: [b"landmark_id,images\n1,0123 abc-_\n27,fedc\n"],
        _landmarks,
        ("senet_jax.data.gldv2",),
        (b'"', b",", b"\n", b"\0", b"9" * 5_000, b"\x1b[2J", b"\xd9\xa1", b" " * 100, b"../"),
    ),
    "given_scores": Reader(
        "pairs.csv",
        lambda _: [b"query,item,global,score\n0,1,0.5,7\n2,8,1e-3,-2.5\n"],
        _given_scores,
        ("senet_jax.jobs.given_scores",),
        (b",", b"\n", b"\xff", b"nan", b"\0", b"9" * 400, b'"', b"\xd9\xa1", b"\x1b[2J", b"\r"),
    ),
    "delg_local": Reader(
        "a.delg_local",
        lambda _: [delg_local([[3, 4], [5, 6]], [[1.0, 2.0], [3.0, 4.0]], [1, 2], [3, 4])],
        _delg_local,
        ("senet_jax.features.local_files",),
        (b"\x0a", b"\xff" * 9, b"\xff\xff\xff\xff\x0f", b"\0", b"\x0b", b"\x7f\x80\0\0"),
    ),
    "delg_global": Reader(
        "a.delg_global",
        lambda _: [delg_global([1.0, 2.0, 3.0]), delg_global([1.0, 2.0], packed=False)],
        _delg_global,
        ("senet_jax.search.descriptor_files",),
        (b"\x0a", b"\xff" * 9, b"\xff\xff\xff\xff\x0f", b"\0", b"\x0b", b"\x7f\x80\0\0"),
    ),
    "config_flags": Reader(
        "flags.txt",
        lambda _: [
            b"weights=~/w\nscales=(0.5, 1.0)\nstrict",
            b"weights=w\ndatasets=a,b\nrerank=alpha_qe\nrerank_top=10\nmode=exact",
        ],
        _flags,
        ("senet_jax.command_line", "ml_collections.config_flags"),
        (
            b"=",
            b"9" * 5_000,
            b"nan",
            b"(",
            b"((" * 200,
            b"gs://",
            b"\x1b[2J",
            b"\0",
            b"model",
            b"~",
        ),
    ),
}
