"""What an index of photographs keeps: its manifest, what is described, which files there are."""

import json
import pathlib
from typing import Any

import numpy as np

from tests.fuzz.reader import Reader


def _write_index(folder: pathlib.Path) -> None:
    """An index of three files, of which two have one content and one is not described."""
    from senet_jax.data.file_state import FILE_STATE
    from senet_jax.index.contents import Appender, read_contents
    from senet_jax.index.listing import Listing, save_listing
    from senet_jax.index.store import Manifest

    manifest = Manifest("weights", {"model": "tiny"}, 4, "float32", 0)
    manifest.write(folder)
    files = np.zeros(3, FILE_STATE)
    files["digest"] = [[1, 2], [3, 4], [1, 2]]
    save_listing(folder, Listing(pathlib.Path("/photos"), ["a.jpg", "b.jpg", "c.jpg"], files))
    digest = files["digest"][0].tobytes()
    with Appender(folder, 0, read_contents(folder, 0, manifest.no_rows)) as appender:
        appender.append([digest], np.eye(1, 4, dtype=np.float32))


def _examples(name: str):
    def make(folder: pathlib.Path) -> list[bytes]:
        _write_index(folder)
        return [(folder / name).read_bytes()]

    return make


def _opened(path: pathlib.Path) -> Any:
    from senet_jax.index.store import open_index

    index = open_index(path.parent)
    return index.database.size, index.paths_of_row, index.missing


def _opened_as_if_right(path: pathlib.Path) -> Any:
    """With the checksum of what the file says, in each of its lines or as a whole."""
    lines = path.read_bytes().splitlines() if path.suffix == ".jsonl" else [path.read_bytes()]
    path.write_bytes(b"\n".join([*map(_sealed_again, lines), b""]))
    return _opened(path)


def _sealed_again(text: bytes) -> bytes:
    from senet_jax.system.checksummed import sealed

    try:
        value = json.loads(text)
        value.pop("checksum", None)
        return json.dumps(sealed(value)).encode()
    except (ValueError, TypeError, AttributeError, RecursionError):
        return text


_TOKENS = (
    *(b"null", b"[]", b"{}", b'"0.5"', b"true", b"1e999", b"-1", b"99999999999", b"\\ud800"),
    *(b'"int8"', b'"float16"', b"[" * 99, b'""', b"\n"),
)
READERS: dict[str, Reader] = {
    "index_manifest": Reader(
        "index.json",
        _examples("index.json"),
        _opened_as_if_right,
        ("senet_jax.index.store",),
        _TOKENS,
    ),
    "index_contents": Reader(
        "contents.0.jsonl",
        _examples("contents.0.jsonl"),
        _opened_as_if_right,
        ("senet_jax.index.store",),
        _TOKENS,
    ),
    "index_files": Reader(
        "files.npz", _examples("files.npz"), _opened, ("senet_jax.index.store",), (b"\0", b"<u8")
    ),
}
