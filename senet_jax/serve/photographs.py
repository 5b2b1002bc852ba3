"""The photographs that a server knows: those of its index, and those that it was given.

A photograph is known by the digest of its content, in hexadecimal, and by nothing else: no path
comes from outside, and an address stays right when a file is moved.
"""

import dataclasses
import os
import pathlib

import numpy as np

from senet_jax.data.bounded import decode_bounded
from senet_jax.data.file_state import digest_of
from senet_jax.data.image_header import Header
from senet_jax.data.revisitop import unreadable
from senet_jax.data.transforms import UnreadableImage
from senet_jax.index.photographs import Box, ShrunkPhotograph
from senet_jax.index.searcher import Searcher
from senet_jax.index.store import as_line
from senet_jax.serve.kept import Kept

UPLOAD_BYTES = 32 * 2**20
UPLOAD_PIXELS = 2**26
"""Of a photograph that is given: 67 million, 400 MB while it is decoded."""
UPLOADS_BYTES = 2**28
"""Of all photographs that were given, as files."""
UPLOADED = "the photograph you gave"


class UnknownPhotograph(Exception):
    """No photograph has such an id, or it is no longer kept."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class UploadedPhotograph(ShrunkPhotograph):
    """A photograph that was given to the server, as the bytes of a file; its name is for messages.

    Attributes:
        content: the bytes.
    """

    content: bytes = dataclasses.field(repr=False)

    def whole_header(self) -> Header | None:
        """Nothing, so that it is decoded."""
        return None

    def whole(self) -> np.ndarray:
        """All pixels: uint8[h w 3] BGR.

        Raises:
            UnreadableImage: it is no image, or one of more than `UPLOAD_PIXELS`.
        """
        try:
            return decode_bounded(self.content, UPLOAD_PIXELS)
        except UnreadableImage as error:
            raise unreadable(self.file_name, error) from error


@dataclasses.dataclass(frozen=True, eq=False)
class Known:
    """A photograph that a server knows.

    Attributes:
        id: the digest of its content, in hexadecimal.
        name: for people: of its file, relative to the folder of photographs.
        row: of its descriptor in the index; None if it was given.
        photograph: the whole of it.
    """

    id: str
    name: str
    row: int | None
    photograph: ShrunkPhotograph

    def part(self, box: Box | None) -> ShrunkPhotograph:
        """The part of it that is in a box."""
        return dataclasses.replace(self.photograph, part=box)


class Photographs:
    """Finds photographs by their ids.

    Args:
        searcher: of the index.
    """

    def __init__(self, searcher: Searcher):
        self._searcher, self._index = searcher, searcher.index
        self._uploads: Kept[UploadedPhotograph] = Kept(UPLOADS_BYTES, lambda p: len(p.content))
        self._sizes: Kept[tuple[int, int]] = Kept(100_000, lambda size: 1)
        # One photograph after the other, in the order of the names, each content once.
        self._ids = list(
            dict.fromkeys(
                digest.hex()
                for digest in self._index.listing.digests
                if self._index.contents.row_of.get(digest) in self._index.paths_of_row
            )
        )

    def __len__(self) -> int:
        """How many contents the index has."""
        return len(self._ids)

    def some(self, start: int, count: int) -> list[Known]:
        """Photographs of the index, in the order of their names."""
        return [self[id_] for id_ in self._ids[start : start + count]]

    def __getitem__(self, id_: str) -> Known:
        """The photograph of an id.

        Raises:
            UnknownPhotograph: there is none, or it is no longer kept.
        """
        try:
            row = self._index.contents.row_of.get(bytes.fromhex(id_))
        except ValueError as error:
            raise UnknownPhotograph from error
        if row is not None and row in self._index.paths_of_row:
            photograph = self._searcher.photograph(row)
            return Known(id_, as_line(photograph.file_name), row, photograph)
        upload = self._uploads.get(id_)
        if upload is None:
            raise UnknownPhotograph
        return Known(id_, UPLOADED, None, upload)

    def add(self, content: bytes) -> Known:
        """Takes a photograph that is given.

        Raises:
            UnreadableImage: it is no image, or too large.
        """
        id_ = digest_of(content).hex()
        upload = UploadedPhotograph(pathlib.Path(), UPLOADED, content=content)
        height, width = upload.whole().shape[:2]
        self._sizes.put(id_, (height, width))
        self._uploads.put(id_, upload)
        return self[id_]

    def id_of(self, path: str) -> str:
        """The id of a photograph of the index, by its file in full."""
        listing = self._index.listing
        return listing.digests[listing.row_of[os.path.relpath(path, listing.folder)]].hex()

    def name_of(self, path: str) -> str:
        """A file in full as people see it: its name relative to the folder of photographs."""
        return as_line(os.path.relpath(path, self._index.listing.folder))

    def size(self, known: Known) -> tuple[int, int]:
        """Height and width, upright, in pixels.

        Raises:
            UnreadableImage: it can no longer be read.
        """

        def measure() -> tuple[int, int]:
            header = known.photograph.whole_header()
            if header is not None and header.is_upright:
                return header.height, header.width
            height, width = known.photograph.whole().shape[:2]
            return height, width

        return self._sizes.made(known.id, measure)
