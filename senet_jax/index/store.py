"""An index as it is read: which photographs there are, and their descriptors.

The folder of an index holds

- `index.json`: how the descriptors are made;
- `descriptors.N` and `contents.N.jsonl`: descriptors by the content that they describe;
- `whitening.N.npz`, `descriptors.whitened.N` and `contents.whitened.N.jsonl`, of an index that is
  whitened: the whitening, and the same descriptors as it makes them, row by row;
- `files.npz`: which content the files of the folder of photographs have;
- `skipped.txt`: the photographs that could not be read;
- `backend.json`, and what it tells of, where it is not searched straight from these files.

A photograph that was moved, or is there twice, so needs no descriptor of its own. Whoever reads an
index needs no lock: a file is replaced atomically, or only grows.
"""

import dataclasses
import functools
import json
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from senet_jax.convert.sources import weights_folder
from senet_jax.features.origin import origin_of_network
from senet_jax.features.scales import scales_of
from senet_jax.index.contents import Contents, read_contents
from senet_jax.index.held import Held, open_held
from senet_jax.index.listing import Listing, load_listing
from senet_jax.index.photographs import LONG_SIDE
from senet_jax.index.whitened import Whitened, read_whitened
from senet_jax.search.database import MOST_NUMBERS, BlockedDatabase
from senet_jax.search.storage import STORAGES, no_rows
from senet_jax.system.checksummed import read_sealed_json, write_sealed_json
from senet_jax.system.errors import UserError, reason, shown
from senet_jax.weights import Weights, load_weights

MANIFEST = "index.json"
FORMAT = 1


@dataclasses.dataclass(frozen=True)
class Manifest:
    """How the descriptors of an index are made and stored.

    Attributes:
        weights: the weights folder, or what tells them by a name, see `sources.weights_folder`.
        origin: what decides over the descriptors, as JSON has it.
        width: of a descriptor.
        storage: of the descriptors, see `quantise`.
        generation: of the files of descriptors.
        whitening: of the files of whitened descriptors, 0 before the first; None if descriptors are
            not whitened.
    """

    weights: str
    origin: Mapping[str, Any]
    width: int
    storage: str
    generation: int
    whitening: int | None = None

    @property
    def no_rows(self) -> np.ndarray:
        """See `storage.no_rows`."""
        return no_rows(self.width, self.storage)

    def write(self, folder: pathlib.Path) -> None:
        """Writes it into the folder of an index.

        Raises:
            UserError: the folder cannot be written.
        """
        write_sealed_json(folder / MANIFEST, {"format": FORMAT, **dataclasses.asdict(self)})


def read_manifest(folder: pathlib.Path) -> Manifest | None:
    """The manifest of an index; None if there is no index.

    Raises:
        UserError: it is broken, or of a later format.
    """
    path, mend = folder / MANIFEST, f"remove {folder} and index again"
    if not path.exists():
        return None
    value = read_sealed_json(path, mend)
    if value.pop("format", None) != FORMAT:
        raise UserError(f"{path} is of another format; {mend}")
    try:
        manifest = Manifest(**value)
    except TypeError as error:
        raise UserError(f"{path} is broken: {reason(error)}; {mend}") from error
    kinds = {"weights": str, "origin": dict, "width": int, "storage": str, "generation": int}
    for name, kind in kinds.items():
        if not isinstance(value[name], kind):
            raise UserError(f"{path} has the {name} {shown(value[name])}; {mend}")
    if not isinstance(manifest.whitening, int | None) or isinstance(manifest.whitening, bool):
        raise UserError(f"{path} has the whitening {shown(manifest.whitening)}; {mend}")
    if manifest.storage not in STORAGES or not 0 < manifest.width <= MOST_NUMBERS:
        raise UserError(f"{path} has rows of {manifest.width} {shown(manifest.storage)}; {mend}")
    return manifest


def origin_of(weights: Weights) -> dict[str, Any]:
    """What decides over the descriptors of an index, as JSON has it.

    Versions of libraries, which decide over last bits, are left out: the photographs of years are
    not to be described anew for these.
    """
    scales = scales_of(weights.architecture)
    origin = origin_of_network(weights) | {"scales": scales, "long_side": LONG_SIDE}
    del origin["versions"]
    return json.loads(json.dumps(origin))


@dataclasses.dataclass(frozen=True, eq=False)
class Index:
    """An index of photographs.

    Attributes:
        folder: where it is.
        manifest: how it is made.
        contents: what is described.
        listing: what the files of the photographs hold.
        whitened: what is described, whitened; None if it is not.
    """

    folder: pathlib.Path
    manifest: Manifest
    contents: Contents
    listing: Listing
    whitened: Whitened | None = None

    @functools.cached_property
    def paths_of_row(self) -> dict[int, list[str]]:
        """Row of the descriptors -> the files that have the content, in full.

        What is not whitened yet in an index that is whitened cannot be found and is left out.
        """
        paths: dict[int, list[str]] = {}
        for name, digest in zip(self.listing.names, self.listing.digests, strict=True):
            row = self.contents.row_of.get(digest)
            if row is not None and (self.whitened is None or self.whitened.has(digest, row)):
                paths.setdefault(row, []).append(self.listing.path(name))
        return paths

    @functools.cached_property
    def database(self) -> BlockedDatabase:
        """The descriptors, whitened if the index is; those of photographs gone are not ranked."""
        return self._ranked(self.contents if self.whitened is None else self.whitened.contents)

    @functools.cached_property
    def described(self) -> BlockedDatabase:
        """The descriptors as the network gave them; those of photographs gone are not ranked."""
        return self._ranked(self.contents)

    @property
    def whitening_key(self) -> str | None:
        """What tells the whitening of `database` from any other; None without."""
        return None if self.whitened is None else self.whitened.whitening.sha256

    def asked(self, queries: np.ndarray) -> np.ndarray:
        """Queries as `database` is asked for them: float32[q d], whitened if the index is."""
        return queries if self.whitened is None else self.whitened.whitening(queries)

    def _ranked(self, contents: Contents) -> BlockedDatabase:
        gone = set(range(len(contents.descriptors))) - self.paths_of_row.keys()
        return BlockedDatabase((contents.descriptors,), gone)

    @property
    def searched_key(self) -> str:
        """Rows of the database with the same key and number are the same."""
        whitened = "" if self.whitening_key is None else f" {self.whitening_key}"
        return f"{self.manifest.generation}{whitened}"

    @functools.cached_property
    def held(self) -> Held:
        """What the backend of the index holds of the database."""
        return open_held(self.folder, self.database, self.searched_key)

    @property
    def missing(self) -> int:
        """How many files are listed that have no descriptor."""
        return len(self.listing.names) - sum(map(len, self.paths_of_row.values()))

    def load_weights(self) -> Weights:
        """The weights by which it is made.

        Raises:
            UserError: they are gone, or were exchanged.
        """
        place = self.manifest.weights
        mend = f"run senet-jax index {self.listing.folder} {self.folder} --weights=THEIR_FOLDER"
        try:
            weights = load_weights(weights_folder(place))
        except UserError as error:
            raise UserError(f"{error}; if they were moved, {mend}") from error
        if origin_of(weights) != self.manifest.origin:
            raise UserError(
                f"{place} no longer holds the weights by which {self.folder} is made; {mend}"
            )
        return weights


def open_index(folder: pathlib.Path) -> Index:
    """Opens an index that has a photograph at least.

    Raises:
        UserError: there is no index, it is broken, or empty.
    """
    again = f"run senet-jax index PHOTOS {folder} --weights=WEIGHTS"
    while True:
        manifest, listing = read_manifest(folder), load_listing(folder)
        if manifest is None:
            raise UserError(f"no index in {folder}; {again}")
        contents = read_contents(folder, manifest.generation, manifest.no_rows)
        whitened = read_whitened(folder, manifest.whitening, manifest.no_rows)
        now = read_manifest(folder)
        if now is not None and _files_of(now) == _files_of(manifest):
            break
    if manifest.whitening and whitened is None:
        raise UserError(f"the whitening in {folder} is missing or broken; {again}")
    if listing is None:
        raise UserError(f"the list of photographs in {folder} is missing or broken; {again}")
    index = Index(folder, manifest, contents, listing, whitened)
    if not index.paths_of_row:
        raise UserError(f"no photograph in {folder} is described yet; {again}")
    return index


def _files_of(manifest: Manifest) -> tuple[int, int | None]:
    return manifest.generation, manifest.whitening


def as_line(path: str) -> str:
    """A path as it is printed: as it is, or in quotes with escapes where it is no plain text."""
    return path if path.isprintable() else repr(path)
