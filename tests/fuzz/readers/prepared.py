"""The files of a dataset to train on."""

import pathlib
from collections.abc import Callable
from typing import Any

import numpy as np

from tests.fuzz.reader import Reader


def _prepared_dataset(folder: pathlib.Path) -> None:
    import cv2

    from senet_jax.data.builder import build
    from senet_jax.data.image_source import ImageSource

    _, image = cv2.imencode(".png", np.zeros((2, 2, 3), np.uint8))
    source = ImageSource(
        name="town",
        class_names=["church", "tower"],
        keys=["a", "b", "c"],
        labels=np.array([0, 1, 1], np.int32),
        read=lambda _: image.tobytes(),
    )
    build(source, folder)


PREPARED = (
    *("features.json", "dataset_info.json", "report.json", "labels.npy", "label.labels.txt"),
    "town-train.array_record-00000-of-00001",
)


def _prepared_file(name: str) -> Callable[[pathlib.Path], list[bytes]]:
    def examples(folder: pathlib.Path) -> list[bytes]:
        _prepared_dataset(folder)
        return [(folder / name).read_bytes()]

    return examples


def _prepared(path: pathlib.Path) -> Any:
    from senet_jax.data.prepared import open_prepared

    images = open_prepared(path.parent)
    return [images.read(index) for index in range(min(3, len(images)))]


READERS: dict[str, Reader] = {
    f"prepared_{name.partition('.')[0]}": Reader(
        name,
        _prepared_file(name),
        _prepared,
        ("senet_jax.data.prepared", "tensorflow_datasets.core.features"),
        (b"null", b"[]", b"{}", b'"', b"os.path.join", b"-1", b"99999999999", b"/", b".."),
    )
    for name in PREPARED
}
