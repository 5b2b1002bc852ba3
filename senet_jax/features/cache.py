"""What a network gives of photographs, each computed once and kept in a folder of bounded size."""

import hashlib
import json
import os
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from senet_jax.data.file_state import content_digest
from senet_jax.data.revisitop import Photograph
from senet_jax.data.transforms import UnreadableImage
from senet_jax.features.extract import Job, extract_batches, plan_job
from senet_jax.features.few_shapes import in_few_shapes
from senet_jax.features.networks import Size, Value
from senet_jax.features.plan import Batch
from senet_jax.features.runner import Runner
from senet_jax.system.checksummed import load_arrays, save_arrays
from senet_jax.system.progress import Progress

FULL_SIZE = (1.0,)


class FeatureCache:
    """Values of photographs at full size, in a folder that does not outgrow its limit.

    A photograph is known by the bytes of its file and its view, so a file that is changed has other
    values. Each is written as soon as its batch is computed, so work that was ended resumes. Where
    there is no room, those that were not used for the longest time are removed; a broken file is
    made again.

    Args:
        runner: the network that gives the values.
        origin: how it does, as JSON has it; see `origin_of_features`.
        folder: where they are kept; other networks may keep theirs there as well.
        limit_bytes: how large the files in the folder may be together.
        few_shapes: whether photographs come one by one, see `in_few_shapes`.

    Attributes:
        runner: the network.
        folder: where they are kept.
    """

    def __init__(
        self,
        runner: Runner,
        origin: Mapping[str, Any],
        folder: str | os.PathLike,
        limit_bytes: int,
        few_shapes: bool = False,
    ):
        self._few_shapes = few_shapes
        self.runner, self.folder, self._limit_bytes = runner, pathlib.Path(folder), limit_bytes
        self._origin = hashlib.sha256(json.dumps(origin).encode()).hexdigest()
        self._keys: dict[Photograph, str] = {}
        self._planned: dict[Photograph, tuple[Job, Batch, Size]] = {}
        files = [(path, path.stat()) for path in self.folder.glob("*.npz")]
        files.sort(key=lambda file: file[1].st_mtime_ns)
        # The least recently used first.
        self._bytes_of = {path: status.st_size for path, status in files}

    def key(self, photograph: Photograph) -> str:
        """Which value it is, a SHA-256: of the origin, the file, and the box.

        Raises:
            UnreadableImage: the file cannot be read.
        """
        if photograph not in self._keys:
            try:
                content = content_digest(photograph.path).hex()
            except OSError as error:
                raise UnreadableImage(
                    f"cannot read the image {photograph.path}: {error.strerror}; check the file"
                ) from error
            parts = [self._origin, content, photograph.view]
            self._keys[photograph] = hashlib.sha256(json.dumps(parts).encode()).hexdigest()
        return self._keys[photograph]

    def size(self, photograph: Photograph) -> Size:
        """Height and width of a photograph that is planned."""
        return self._planned[photograph][2]

    def plan(self, photographs: Sequence[Photograph], label: str) -> None:
        """Measures photographs and plans their batches, whether their values are there or not.

        A photograph's value depends, in its last bits, on the shape of its batch: so work that was
        ended and is planned alike has the same values, to the bit, as work that was not.

        Raises:
            UnreadableImage: a photograph cannot be read.
            UserError: its box is not in the image.
        """
        job = self._job(photographs, label)
        for batch in job.plan.batches:
            for row in batch.rows:
                height, width = job.sizes[row].tolist()
                self._planned[photographs[row]] = job, batch, (height, width)

    def fill(self, photographs: Sequence[Photograph], label: str) -> None:
        """Computes the values that are not there yet, if there is room for all of these.

        Raises:
            UnreadableImage: a photograph cannot be read.
            UserError: its box is not in the image, or the folder cannot be written.
        """
        missing = [photograph for photograph in photographs if photograph not in self]
        if not missing:
            return
        if any(photograph not in self._planned for photograph in photographs):
            self.plan(photographs, label)
        sizes = map(self.size, photographs)
        needed = sum(self.runner.network.value_bytes(size) for size in sizes)
        print(
            f"{label}: {len(missing):,} of {len(photographs):,} images to compute; all take "
            f"{needed / 2**30:.2f} GiB, and {self.folder} holds {self._limit_bytes / 2**30:.2f}"
            + ("" if needed <= self._limit_bytes else ": SOME WILL BE COMPUTED MORE THAN ONCE")
        )
        if needed > self._limit_bytes:
            return
        progress = Progress(label, len(missing), "images")
        of_missing = set(missing)
        batches_of: dict[Job, set[Batch]] = {}
        for job, batch, _ in map(self._planned.__getitem__, missing):
            batches_of.setdefault(job, set()).add(batch)
        for job, wanted in batches_of.items():
            batches = [batch for batch in job.plan.batches if batch in wanted]
            for photograph, _ in self._computed(job, batches):
                progress.advance(photograph in of_missing)

    def __contains__(self, photograph: Photograph) -> bool:
        """Whether the value is there already."""
        return self._path(photograph) in self._bytes_of

    def __getitem__(self, photograph: Photograph) -> Value:
        """The value of a photograph.

        Raises:
            UnreadableImage: the photograph cannot be read.
            UserError: its box is not in the image, or the folder cannot be written.
        """
        path = self._path(photograph)
        value = read_value(path, self.runner.network.names)
        if value is not None:
            os.utime(path)
            self._bytes_of[path] = self._bytes_of.pop(path, path.stat().st_size)
            return value
        self._bytes_of.pop(path, None)
        if photograph not in self._planned:
            self.plan([photograph], "features")
        job, batch, _ = self._planned[photograph]
        return dict(self._computed(job, [batch]))[photograph]

    def compute(self, photographs: Sequence[Photograph]) -> list[Value]:
        """The values of photographs, which are not kept.

        Raises:
            UnreadableImage: a photograph cannot be read.
            UserError: its box is not in the image.
        """
        job = self._job(photographs, "features")
        values = {
            row: value
            for extracted in extract_batches(self.runner, job, job.plan.batches)
            for row, value in zip(extracted.rows, extracted.values, strict=True)
            if value is not None  # All are there: the job stops at what it cannot read.
        }
        return [values[row] for row in range(len(photographs))]

    def _job(self, photographs: Sequence[Photograph], label: str) -> Job:
        # Headers may be wrong, and other work goes by the sizes.
        options = {"label": label, "skip_unreadable": False, "by_header": False}
        job = plan_job(self.runner, photographs, FULL_SIZE, **options)
        return in_few_shapes(job, self.runner) if self._few_shapes else job

    def _computed(self, job: Job, batches: Sequence[Batch]) -> Iterator[tuple[Photograph, Value]]:
        """Computes batches, and keeps those of their values that are not there."""
        for extracted in extract_batches(self.runner, job, batches):
            for row, value in zip(extracted.rows, extracted.values, strict=True):
                assert value is not None  # The job stops at what it cannot read.
                photograph = job.photographs[row]
                if photograph not in self:
                    self._keep(self._path(photograph), value)
                yield photograph, value

    def _keep(self, path: pathlib.Path, value: Value) -> None:
        save_arrays(path, **value)
        self._bytes_of[path] = path.stat().st_size
        while sum(self._bytes_of.values()) > self._limit_bytes:
            oldest = next(iter(self._bytes_of))
            oldest.unlink(missing_ok=True)
            del self._bytes_of[oldest]

    def _path(self, photograph: Photograph) -> pathlib.Path:
        return self.folder / f"{self.key(photograph)}.npz"


def read_value(path: pathlib.Path, names: frozenset[str]) -> Value | None:
    """The arrays in a file; None if it is not there, broken, or holds arrays of other names."""
    try:
        value = load_arrays(path)
    except ValueError:
        return None
    return value if value.keys() == names else None
