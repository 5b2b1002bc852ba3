"""The photographs below a folder, and the pixels by which they are described."""

import contextlib
import dataclasses
import os
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from senet_jax.data.folders import files_below, is_image_name
from senet_jax.data.image_header import Header
from senet_jax.data.revisitop import Photograph, PlacedPixels
from senet_jax.data.transforms import TooLargeImage, box_slices, resized_shape
from senet_jax.system.errors import UserError, printable
from senet_jax.system.host_memory import host_memory_bytes
from senet_jax.system.threads import usable_cores

LONG_SIDE = 1024
"""In pixels: that of the benchmark's photographs, at which the networks are evaluated."""
HEIF_SUFFIXES = (".heic", ".heif")
"""Of the photographs of telephones; datasets have none."""

_MOST_DECODED_PIXELS = 2**28
_BYTES_DECODED_PER_PIXEL = 6
"""Three of the decoded pixels, as many of what the decoder and the resizing take."""

Box = tuple[float, float, float, float]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ShrunkPhotograph(Photograph):
    """A photograph that is shrunk to a long side of `LONG_SIDE`; a smaller one stays as it is.

    Attributes:
        part: (x1, y1, x2, y2) in pixels of the file, which is cut out before it is shrunk; None for
            the whole photograph.
    """

    part: Box | None = None

    def header(self) -> Header | None:
        """The size that is described, as the file's header says; nothing is decoded.

        Raises:
            TooLargeImage: decoding it takes more memory than there is.
            UserError: the part is empty or outside of the photograph.
        """
        header = self.whole_header()
        if header is None:
            return None
        most = _most_decoded_pixels()
        if header.pixels > most:
            raise TooLargeImage(
                f"{printable(str(self.path))} has {header.width}x{header.height} pixels, the "
                f"memory suffices for {most:,}; make it smaller or leave it out"
            )
        if self.part is None:
            size = header.height, header.width
        elif header.is_upright:
            with self._naming_the_file():
                rows, columns = box_slices(self.part, header.height, header.width)
            size = rows.stop - rows.start, columns.stop - columns.start
        else:
            return None
        return Header(*resized_shape(*size, _factor(*size)), header.is_upright)

    def read(self) -> np.ndarray:
        """The pixels that are described: uint8[h w 3] BGR; see `read_placed`."""
        return self.read_placed().pixels

    def read_placed(self) -> PlacedPixels:
        """The pixels that are described, and where they lie in the photograph.

        Raises:
            UnreadableImage: the file is missing or no image.
            UserError: the part is empty or outside of the photograph.
        """
        image = PlacedPixels(self.whole())
        if self.part is not None:
            with self._naming_the_file():
                image = image.cut(self.part)
        return image.resized(_factor(*image.pixels.shape[:2]))

    def whole_header(self) -> Header | None:
        """What the header says of the size of the file."""
        return Photograph.header(self)  # `super()` does not know classes that have slots.

    def whole(self) -> np.ndarray:
        """All pixels of the file: uint8[h w 3] BGR."""
        return Photograph.read(self)

    @property
    def view(self) -> Any:
        """What is described of the file."""
        return [self.box, self.part, LONG_SIDE]

    @contextlib.contextmanager
    def _naming_the_file(self) -> Iterator[None]:
        try:
            yield
        except UserError as error:
            raise UserError(f"{printable(str(self.path))}: {error}") from error


def _factor(height: int, width: int) -> float:
    return min(1.0, LONG_SIDE / max(height, width))


def _most_decoded_pixels() -> int:
    """How many pixels a photograph may have, of which each core decodes two at a time."""
    together = 2 * usable_cores()
    return min(_MOST_DECODED_PIXELS, host_memory_bytes() // (_BYTES_DECODED_PER_PIXEL * together))


@dataclasses.dataclass(frozen=True)
class Found:
    """What is in a folder of photographs.

    Attributes:
        names: of the files that are named as images, sorted, relative to the folder.
        remarks: a line for each folder that cannot be listed.
    """

    names: Sequence[str]
    remarks: Sequence[str]


def find_photographs(folder: pathlib.Path) -> Found:
    """The files below a folder that are named as images; see `files_below`.

    Raises:
        UserError: there is no such folder, or no such file in it.
    """
    if not folder.is_dir():
        raise UserError(f"no folder {folder}; name the folder of the photographs")
    files, unlisted = files_below(folder)
    names = [file for file in files if is_image_name(file) or _is_heif_name(file)]
    remarks = [f"cannot list the folder {printable(str(folder / name))}" for name in unlisted]
    if not names:
        raise UserError(
            f"no photograph is in {folder}, among {len(files):,} files; name another folder"
        )
    return Found(names, remarks)


def _is_heif_name(name: str) -> bool:
    return os.path.splitext(name)[1].lower() in HEIF_SUFFIXES
