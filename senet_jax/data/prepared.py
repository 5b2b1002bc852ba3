"""Reads a dataset that `senet_jax.data.prepare` made."""

import dataclasses
import os
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from senet_jax.data import gldv2
from senet_jax.data.builder import LABELS_FILE, REPORT_FILE, SPLIT
from senet_jax.data.image_source import check_labels
from senet_jax.errors import UserError
from senet_jax.files import open_array, read_json


@dataclasses.dataclass(frozen=True, eq=False)
class PreparedImages:
    """The labelled images of a prepared dataset, each read when it is asked for.

    Attributes:
        name: of the dataset.
        class_names: the name of each class, in the order of the labels.
        labels: int32[n], the class of each image.
        fingerprint: the SHA-256 of names, labels and bytes of the images, in hexadecimal: a
            training that goes on has to find the same.
        records: each image's `image` and `key`, as bytes.

    Raises:
        UserError: the labels are not one for each image, or one is out of range.
    """

    name: str
    class_names: Sequence[str]
    labels: np.ndarray
    fingerprint: str
    records: Sequence[dict[str, Any]]

    def __post_init__(self):
        check_labels(self.labels, len(self.records), len(self.class_names), self.name)

    def __len__(self) -> int:
        return len(self.records)

    def read(self, index: int) -> tuple[str, bytes]:
        """The name and the bytes of an image file."""
        record = self.records[index]
        return os.fsdecode(record["key"]), record["image"]


def open_prepared(dataset: str | os.PathLike) -> PreparedImages:
    """Opens a dataset; no image is read yet.

    Args:
        dataset: the folder.

    Raises:
        UserError: there is no dataset, or it is not whole.
    """
    dataset = pathlib.Path(dataset)
    if not (dataset / REPORT_FILE).is_file():
        kind = "folder"
        if dataset.name == gldv2.NAME:
            kind = f"{gldv2.NAME} --csv=train_clean.csv"
        raise UserError(
            f"{dataset} is no prepared dataset; make one with "
            f"python -m senet_jax.data.prepare {kind} --images=FOLDER --target={dataset}"
        )
    report = read_json(dataset / REPORT_FILE)
    builder = tfds.builder_from_directory(dataset)
    return PreparedImages(
        name=report["name"],
        class_names=builder.info.features["label"].names,
        labels=np.array(open_array(dataset / LABELS_FILE)),
        fingerprint=report["fingerprint"],
        # Bytes as they are: TFDS's decoder would ignore the EXIF orientation.
        records=builder.as_data_source(split=SPLIT, decoders={"image": tfds.decode.SkipDecoding()}),
    )
