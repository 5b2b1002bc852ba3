"""How many training images a second the loader makes with one core, and whether its memory grows.

  python -m benchmarks.loader [--photographs=FOLDER] [--width=W] [--side=S] [--images=N]
      [--batches=N] [--workers=N] [--step_ms=MS]

Puts photographs, or generated ones of 1024x768, as JPEG into a temporary dataset and makes batches
of 32 crops of 512x512 of them: decoding, crop, resizing, mirroring. Prints how many images a second
of a core's time gives, in one thread and in all of the loader's, the rate by the clock, and the
memory of the process along the way. OpenCV is kept to one thread of its own.

Then the same crops are made with JPEGs that are decoded at reduced scale, where the crop allows it
(`--width=4096 --side=384` are a telephone's photographs in a fine-tuning): the rate, and how far
the pixels of both ways are from each other and from those that averaging over areas gives.

Then worker processes feed a training whose step is simulated: a device that computes for so many
milliseconds, from before the next batch is asked for. Printed are the part of its time that it
waits, what the main thread does a step, and how many such cores would leave it no wait.
"""

import argparse
import contextlib
import dataclasses
import os
import pathlib
import resource
import tempfile
import time

import cv2
import jax
import numpy as np

from senet_jax.data.augment import Augmentation, augment_file, random_crop
from senet_jax.data.builder import build
from senet_jax.data.image_source import ImageSource
from senet_jax.data.loader import TrainingData
from senet_jax.data.prepared import open_prepared
from senet_jax.data.transforms import decode
from senet_jax.system.errors import CommandParser, run_command
from senet_jax.system.files import local_path
from senet_jax.training.feed import placed_ahead
from senet_jax.training.window import Window

BATCH_SIZE = 32
WARM_UP_BATCHES = 4


def photograph(index: int, width: int = 1024) -> bytes:
    """A JPEG of width x 3/4 width with about as much detail as a photograph has."""
    rng = np.random.default_rng(index)
    size = width, 3 * width // 4
    shapes = cv2.resize(
        rng.integers(0, 256, (12, 16, 3), np.uint8), size, interpolation=cv2.INTER_CUBIC
    )
    grain = rng.normal(0, 8, shapes.shape)
    return cv2.imencode(".jpg", np.clip(shapes + grain, 0, 255).astype(np.uint8))[1].tobytes()


def resident_mib() -> float:
    """The memory that this process occupies now (Linux), in MiB."""
    pages = int(pathlib.Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 2**20


def main() -> None:
    parser = CommandParser(prog="python -m benchmarks.loader", description=__doc__)
    parser.add_argument("--photographs", type=local_path, help="folder; else they are generated")
    parser.add_argument("--width", type=int, default=1024, help="of generated photographs")
    parser.add_argument("--side", type=int, default=512, help="of the crops")
    parser.add_argument("--images", type=int, default=64, help="of the dataset, at most")
    parser.add_argument("--batches", type=int, default=24, help="of each measurement")
    parser.add_argument("--workers", type=int, default=2, help="of the simulated training")
    parser.add_argument("--step_ms", type=float, default=60.0, help="of the simulated device")
    arguments = parser.parse_args()
    cv2.setNumThreads(1)
    with tempfile.TemporaryDirectory() as folder:
        files = _files(arguments)
        source = ImageSource(
            name="photographs",
            class_names=["one", "other"],
            keys=[str(index) for index in range(len(files))],
            labels=np.arange(len(files), dtype=np.int32) % 2,
            read=files.__getitem__,
        )
        build(source, pathlib.Path(folder, "photographs"))
        images = open_prepared(pathlib.Path(folder, "photographs"))
        size = np.mean([len(images.read(index)[1]) for index in range(len(images))])
        print(f"{len(images)} JPEGs of {size / 2**10:.0f} KiB, batches of {BATCH_SIZE}")
        whole = Augmentation(arguments.side)
        reduced = dataclasses.replace(whole, reduced_decoding=True)
        ways = [TrainingData(images, BATCH_SIZE, 0, way) for way in (whole, reduced)]
        data = ways[0]
        count = arguments.batches * BATCH_SIZE
        seconds_of = np.zeros(2)
        for step in range(arguments.batches):
            for way, made in enumerate(ways):
                core_start = time.process_time()
                made.batch(step)
                seconds_of[way] += time.process_time() - core_start
        at_once, reducing = count / seconds_of
        print(f"one thread: {at_once:.0f} images/s per core")
        print(f"decoding at reduced scale: {reducing:.0f} images/s per core")
        _print_differences(files, whole, reduced)

        memory = []
        batches = data.batches()
        for _ in range(WARM_UP_BATCHES):
            next(batches)
        start, core_start = time.perf_counter(), time.process_time()
        for _ in range(arguments.batches):
            next(batches)
            memory.append(resident_mib())
        seconds, core_seconds = time.perf_counter() - start, time.process_time() - core_start
        batches.close()
        print(
            f"{os.cpu_count()} threads: {count / core_seconds:.0f} images/s per core, "
            f"{count / seconds:.0f} images/s by the clock"
        )
        first, last = np.array_split(memory, 2)
        print(f"memory: {first.max():.0f} MiB in the first half, {last.max():.0f} in the second")
        _feed(data, arguments)


def _files(arguments: argparse.Namespace) -> list[bytes]:
    if arguments.photographs is None:
        return [photograph(index, arguments.width) for index in range(arguments.images)]
    paths = sorted(arguments.photographs.rglob("*.jpg"))[: arguments.images]
    return [path.read_bytes() for path in paths]


def _print_differences(files: list[bytes], whole: Augmentation, reduced: Augmentation) -> None:
    """Prints how far the pixels of both ways are from each other, and from means over areas."""
    differences = []
    for index, content in enumerate(files):
        ways = [
            augment_file(content, np.random.default_rng(index), way) for way in (whole, reduced)
        ]
        (full, _), (small, _) = ways
        if np.array_equal(full, small):
            continue
        rng, image = np.random.default_rng(index), decode(content)
        image = image[random_crop(*image.shape[:2], rng, whole)]
        means = cv2.resize(image, (whole.side, whole.side), interpolation=cv2.INTER_AREA)
        if rng.random() < 0.5:
            means = cv2.flip(means, 1)
        full, small, means = (pixels.astype(np.float32) for pixels in (full, small, means))
        pairs = ((full, small), (full, means), (small, means))
        differences.append([np.abs(one - other).mean() for one, other in pairs])
    print(f"  of {len(files)} crops {len(differences)} differ", end="")
    if differences:
        between, full, small = np.mean(differences, 0)
        print(
            f", by {between:.2f} of 255 levels a pixel; from means over areas the whole ones are "
            f"{full:.2f} away, the reduced ones {small:.2f}",
            end="",
        )
    print()


def _feed(data: TrainingData, arguments: argparse.Namespace) -> None:
    """Prints how a simulated training is fed."""
    step_seconds, busy = arguments.step_ms / 1000, 0.0
    with (
        contextlib.closing(data.batches(0, arguments.workers)) as made,
        contextlib.closing(placed_ahead(made, jax.device_put)) as batches,
    ):
        for _ in range(WARM_UP_BATCHES):
            next(batches)
        window = Window(0)
        for _ in range(arguments.batches):
            start = time.thread_time()
            window.waiting_for(lambda: next(batches))
            busy += time.thread_time() - start
            window.add({})
            time.sleep(step_seconds)
    rates = window.rates()
    assert rates is not None
    seconds, waited = rates
    # Of a step that waits, making its batch takes all of the workers' time.
    cores = arguments.workers * seconds / step_seconds
    print(
        f"{arguments.workers} workers, a step of {arguments.step_ms:.0f} ms of {BATCH_SIZE} images"
        f": data_wait {100 * waited:.1f} %, {1000 * busy / arguments.batches:.2f} ms of the main "
        "thread a step" + f"; without waiting about {cores:.1f} workers" * (waited > 0.02)
    )


if __name__ == "__main__":
    run_command(main)
