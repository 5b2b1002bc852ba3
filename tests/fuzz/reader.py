"""What a reader is to the fuzzing."""

import dataclasses
import pathlib
from collections.abc import Callable
from typing import Any


@dataclasses.dataclass(frozen=True)
class Reader:
    """What reads a file, as a command does.

    Attributes:
        file_name: of the file, relative to a folder of its own.
        examples: makes valid files; may put what else has to be there into the folder.
        read: reads the file; a `UserError` refuses it, and anything else that is raised is a bug.
        imports: modules that it needs, so that a fork has them.
        tokens: bytes that mean something to it.
    """

    file_name: str
    examples: Callable[[pathlib.Path], list[bytes]]
    read: Callable[[pathlib.Path], Any]
    imports: tuple[str, ...]
    tokens: tuple[bytes, ...] = ()
