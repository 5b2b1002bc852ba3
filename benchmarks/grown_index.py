"""An index of many rows, made of a small one without describing anything."""

import dataclasses
import pathlib

import numpy as np

from senet_jax.data.file_state import FILE_STATE, digest_of
from senet_jax.index.contents import Appender, Contents
from senet_jax.index.listing import Listing, save_listing
from senet_jax.index.store import open_index
from senet_jax.search.storage import quantise

NOISE_WEIGHT = 1.0
"""Of unit noise in the descriptors of copies, beside the photograph's own."""


def grow(source: pathlib.Path, folder: pathlib.Path, rows: int) -> pathlib.Path:
    """Writes an index of as many rows as are wanted, or a few more.

    Its photographs are those of another index, again and again, through links to their folder; the
    descriptors of all copies but the first are others.

    Args:
        source: an index that is stored as float32.
        folder: where the new index and the links are made.
        rows: how many.

    Returns:
        The folder of the new index.
    """
    index = open_index(source)
    target, photographs = folder / "index", folder / "photographs"
    target.mkdir()
    photographs.mkdir()
    live = sorted(index.paths_of_row)
    paths = [pathlib.Path(index.paths_of_row[row][0]) for row in live]
    names = [str(path.relative_to(index.listing.folder)) for path in paths]
    descriptors = np.asarray(index.contents.descriptors[live], np.float32)
    manifest = dataclasses.replace(index.manifest, generation=0, whitening=None)
    listed, digests, rng = [], [], np.random.default_rng(0)
    with Appender(target, 0, Contents(manifest.no_rows, {}, 0)) as appender:
        for copy in range(-(-rows // len(live))):
            (photographs / f"{copy:05d}").symlink_to(index.listing.folder)
            here = [f"{copy:05d}/{name}" for name in names]
            contents = [digest_of(name.encode("utf-8", "surrogateescape")) for name in here]
            noise = rng.standard_normal(descriptors.shape, np.float32) / manifest.width**0.5
            others = descriptors + NOISE_WEIGHT * noise * (copy > 0)
            others /= np.linalg.norm(others, axis=1, keepdims=True)
            appender.append(contents, quantise(others, manifest.storage))
            listed += here
            digests += contents
    files = np.zeros(len(listed), FILE_STATE)
    files["size"] = 1
    files["digest"] = np.frombuffer(b"".join(digests), np.uint64).reshape(-1, 2)
    order = np.argsort(listed)
    save_listing(target, Listing(photographs, [listed[row] for row in order], files[order]))
    manifest.write(target)
    return target
