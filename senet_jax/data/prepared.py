"""Reads a dataset that `senet_jax.data.prepare` made."""

import dataclasses
import os
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow_datasets as tfds

from senet_jax.data import gldv2
from senet_jax.data.builder import LABELS_FILE, REPORT_FILE, SPLIT, check_files
from senet_jax.data.image_source import ImageSource, check_labels
from senet_jax.system.errors import UserError, reason, shown
from senet_jax.system.files import open_array, read_json

FEATURES_FILE = "features.json"
FEATURE_CLASSES = {
    f"tensorflow_datasets.core.features.{name}"
    for name in (
        *("features_dict.FeaturesDict", "image_feature.Image", "class_label_feature.ClassLabel"),
        *("text_feature.Text",),
    )
}


@dataclasses.dataclass(frozen=True, eq=False)
class PreparedImages:
    """The labelled images of a prepared dataset, each read when it is asked for.

    Attributes:
        name: of the dataset.
        class_names: the name of each class, in the order of the labels.
        labels: int32[n], the class of each image.
        fingerprint: the SHA-256 of names, labels and bytes of the images, in hexadecimal: a
            training that resumes has to find the same.
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

    def as_source(self) -> ImageSource:
        """The same images as those of a folder are given; reads all their names.

        Raises:
            UserError: one is broken in the dataset's files.
        """
        return ImageSource(
            name=self.name,
            class_names=self.class_names,
            keys=[self.read(index)[0] for index in range(len(self))],
            labels=self.labels,
            read=lambda index: self.read(index)[1],
            origin={"fingerprint": self.fingerprint},
        )

    def read(self, index: int) -> tuple[str, bytes]:
        """The name and the bytes of an image file.

        Raises:
            UserError: they are broken in the dataset's files.
        """
        try:
            record = self.records[index]
            return os.fsdecode(record["key"]), record["image"]
        except Exception as error:  # A record is read by its place in a file.
            raise UserError(
                f"image {index} of {self.name} cannot be read: {reason(error)}; prepare it again"
            ) from error


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
    is_report = type(report) is dict
    name, fingerprint = (report.get(key) if is_report else None for key in ("name", "fingerprint"))
    if type(name) is not str or type(fingerprint) is not str:
        raise UserError(f"{dataset / REPORT_FILE} lacks a name or a fingerprint; prepare it again")
    labels = open_array(dataset / LABELS_FILE)
    unknown = set(_feature_classes(read_json(dataset / FEATURES_FILE))) - FEATURE_CLASSES
    if unknown:  # TFDS would import what the file names.
        raise UserError(
            f"{dataset / FEATURES_FILE} names {shown(max(unknown))}, which is not of a prepared "
            "dataset; prepare it again"
        )
    try:
        builder: Any = tfds.builder_from_directory(dataset)
        class_names = builder.info.features["label"].names
        for shard in builder.info.splits[SPLIT].filepaths:
            os.stat(shard)  # They are opened when a record is read.
        # Bytes as they are: TFDS's decoder would ignore the EXIF orientation.
        records = builder.as_data_source(
            split=SPLIT, decoders={"image": tfds.decode.SkipDecoding()}
        )
    except Exception as error:  # TFDS takes its files as they are.
        raise UserError(f"{dataset} is not whole: {reason(error)}; prepare it again") from error
    images = PreparedImages(name, class_names, np.array(labels), fingerprint, records)
    # Last: where a file is wrong in a way that can be named, that helps more.
    check_files(dataset, report)
    return images


def _feature_classes(value: Any) -> Iterator[str]:
    """The Python classes that a description of features names, wherever they stand."""
    if isinstance(value, dict):
        if "pythonClassName" in value:
            yield str(value["pythonClassName"])
        value = list(value.values())
    if isinstance(value, list):
        for entry in value:
            yield from _feature_classes(entry)
