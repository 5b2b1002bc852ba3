"""What an evaluation found out about a saved step.

It is a file in the folder of the step, for it is known after the step is saved, and goes with it.
"""

import dataclasses
import json
import pathlib
import sys
import zlib
from typing import Any

import jax

from senet_jax.system.errors import UserError, reason
from senet_jax.system.files import read_json, write_json

FILE = "evaluation.json"


@dataclasses.dataclass(frozen=True)
class Evaluated:
    """How good a step is.

    Attributes:
        score: the higher the better; None if there is none.
        score_of: what it was measured on; only scores of the same compare.
        reports: a report for each dataset, by name, as JSON.
    """

    score: float | None
    score_of: str
    reports: dict[str, Any]


def write_evaluated(step: pathlib.Path, evaluated: Evaluated) -> None:
    """Writes the file into the folder of a step.

    Raises:
        UserError: it cannot be written.
    """
    value = dataclasses.asdict(evaluated)
    write_json(step / FILE, {"evaluated": value, "crc32": _checksum(value)})


def read_evaluated(step: pathlib.Path) -> Evaluated | None:
    """Reads the file in the folder of a step; None where there is none.

    One that is broken is named on standard error, and counts as none.
    """
    path = step / FILE
    if not path.exists():
        return None
    try:
        content = read_json(path)
        value = content["evaluated"]
        if _checksum(value) == content["crc32"]:
            return Evaluated(**value)
        fault = "it does not match its checksum"
    except (UserError, KeyError, TypeError) as error:
        fault = reason(error)
    if jax.process_index() == 0:
        print(f"warning: {path} does not count: {fault}", file=sys.stderr)
    return None


def _checksum(value: Any) -> int:
    return zlib.crc32(json.dumps(value, sort_keys=True).encode())
