"""Writes a TFDS dataset of labelled images, resumable, without TensorFlow.

TFDS's own preparation begins anew after a kill. Here the shards are written one at a time, in
TFDS's encoding and under the names that it expects, into `DATASET.unfinished`; that folder becomes
`DATASET` when all of it is there. `tfds.builder_from_directory(DATASET)` reads it.
"""

import dataclasses
import hashlib
import os
import pathlib
import shutil
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from array_record.python.array_record_module import ArrayRecordWriter

from senet_jax.data import transforms
from senet_jax.data.image_source import ImageSource
from senet_jax.system.checksummed import read_sealed_json, sealed, unsealed
from senet_jax.system.errors import UserError, reason, shown
from senet_jax.system.files import atomic_write, read_json, sha256_of_file, write_json
from senet_jax.system.progress import Progress
from senet_jax.system.threads import in_order, usable_cores

SPLIT = "train"
LABELS_FILE, REPORT_FILE = "labels.npy", "report.json"

# A reader keeps all shards open; GLDv2 in smaller ones would pass the 1024 files of most systems.
IMAGES_PER_SHARD = 4096

_FILE_FORMAT = "array_record"
_PROGRESS = "progress"
_SMALL_FILES = (LABELS_FILE, "dataset_info.json", "features.json", "label.labels.txt")


def build(
    source: ImageSource, dataset: str | os.PathLike, images_per_shard: int = IMAGES_PER_SHARD
) -> dict[str, Any]:
    """Writes every image of a source that can be decoded; shards that are there already stay.

    Args:
        source: the images; each keeps its label, whichever others are dropped.
        dataset: the folder to be made.
        images_per_shard: how many of the source's images make a shard: what a kill may cost.

    Returns:
        What stands in the dataset's `report.json`: its `name` and `origin`; `source_sha256`, see
        `ImageSource.sha256`; `fingerprint`, the SHA-256 of names, labels and bytes of the images
        that are in it; the numbers of `images`, `classes`, `classes_with_one_image` and
        `classes_without_image`; and `dropped`, for each reason its `count` and what was said of
        each of the `images`; `files_sha256` of the small files beside the images, and its own
        checksum.

    Raises:
        UserError: `dataset` is something else already, no image can be read, or a place cannot be
            written.
    """
    dataset = pathlib.Path(dataset).absolute()
    if dataset.is_file() or (dataset.is_dir() and any(dataset.iterdir())):
        return _report_of(dataset, source)
    folder = dataset.with_name(f"{dataset.name}.unfinished")
    _claim(folder, {"source_sha256": source.sha256, "images_per_shard": images_per_shard})
    shards = _shards(source, folder, images_per_shard)
    left = [shard for shard in shards if not shard.summary_path.exists()]
    progress = Progress(
        f"preparing {source.name}", sum(len(shard.indices) for shard in left), "images"
    )
    for shard in left:
        write_json(shard.summary_path, sealed(_write(shard, source, progress)))
    for left_by_a_kill in folder.glob(".*"):
        left_by_a_kill.unlink()
    report = _finish(source, folder, shards)
    folder.rename(dataset)
    shutil.rmtree(dataset / _PROGRESS)
    return report


@dataclasses.dataclass(frozen=True)
class _Shard:
    """A part of a dataset, whole when its summary is there.

    Attributes:
        path: its file.
        summary_path: the file of what it holds.
        indices: of the source's images.
    """

    path: pathlib.Path
    summary_path: pathlib.Path
    indices: range


def _shards(source: ImageSource, folder: pathlib.Path, images_per_shard: int) -> list[_Shard]:
    indices = range(len(source.keys))
    starts = indices[::images_per_shard]
    template = _file_names(source, folder)
    return [
        _Shard(
            path=pathlib.Path(template.sharded_filepath(shard_index=i, num_shards=len(starts))),
            summary_path=folder / _PROGRESS / f"{i:05d}.json",
            indices=indices[start : start + images_per_shard],
        )
        for i, start in enumerate(starts)
    ]


def _file_names(source: ImageSource, folder: pathlib.Path) -> tfds.core.ShardedFileTemplate:
    return tfds.core.ShardedFileTemplate(
        data_dir=tfds.core.Path(folder),
        dataset_name=source.name,
        split=SPLIT,
        filetype_suffix=_FILE_FORMAT,
    )


def _features(source: ImageSource) -> tfds.features.FeaturesDict:
    return tfds.features.FeaturesDict(
        {
            "image": tfds.features.Image(),
            "label": tfds.features.ClassLabel(names=source.class_names),
            "key": tfds.features.Text(),
        }
    )


def _report_of(dataset: pathlib.Path, source: ImageSource) -> dict[str, Any]:
    """The report of a dataset that is there already, if it is made of the same source."""
    if not (dataset / REPORT_FILE).is_file():
        raise UserError(f"{dataset} exists and is no prepared dataset; choose another place")
    report = read_json(dataset / REPORT_FILE)
    if type(report) is not dict:
        raise UserError(f"{dataset / REPORT_FILE} is no report; remove {dataset} and make it again")
    check_files(dataset, report)
    if report.get("source_sha256") != source.sha256:
        raise UserError(
            f"{dataset} is made of another list of images ({shown(report.get('images'))} of "
            f"{shown(report.get('classes'))} classes); choose another place or remove it"
        )
    return report


def _claim(folder: pathlib.Path, plan: dict[str, Any]) -> None:
    """Marks a folder as begun with this plan, or refuses it: two lists must never mix."""
    path = folder / _PROGRESS / "plan.json"
    if not path.exists():
        write_json(path, sealed(plan))
    elif read_sealed_json(path, f"remove {folder} and make it again") != plan:
        raise UserError(
            f"{folder} was begun with another list of images or size of shards; remove it, or "
            "choose another place"
        )


def _write(shard: _Shard, source: ImageSource, progress: Progress) -> dict[str, Any]:
    """Writes a shard; returns its summary."""
    features = _features(source)
    labels, dropped, byte_count, digest = [], [], 0, hashlib.sha256()
    with atomic_write(shard.path) as temporary:
        writer = ArrayRecordWriter(os.fspath(temporary), "group_size:1")
        contents = in_order(lambda index: _content(source, index), shard.indices, usable_cores())
        for index, content in zip(shard.indices, contents, strict=True):
            progress.advance()
            key, label = source.keys[index], int(source.labels[index])
            if isinstance(content, _Fault):
                dropped.append({"image": key, **dataclasses.asdict(content)})
                continue
            name = os.fsencode(key)
            writer.write(
                features.serialize_example({"image": content, "label": label, "key": name})
            )
            digest.update(b"%d %d %d\n%b%b" % (label, len(name), len(content), name, content))
            labels.append(label)
            byte_count += len(content)
        writer.close()
    return {
        "labels": labels,
        "bytes": byte_count,
        "sha256": digest.hexdigest(),
        "dropped": dropped,
    }


@dataclasses.dataclass(frozen=True)
class _Fault:
    """Why an image is not in the dataset, in a word and in a line."""

    reason: str
    message: str


def _content(source: ImageSource, index: int) -> bytes | _Fault:
    """The bytes of an image, once they have been decoded."""
    try:
        content = source.read(index)
        transforms.decode(content)
    except FileNotFoundError as error:
        return _Fault("missing", str(error.strerror))
    except OSError as error:
        return _Fault("unreadable", str(error.strerror))
    except transforms.UnreadableImage as error:
        return _Fault("unreadable", str(error))
    return content


def _finish(source: ImageSource, folder: pathlib.Path, shards: list[_Shard]) -> dict[str, Any]:
    """Writes what stands beside the shards; returns the report."""
    summaries = [
        read_sealed_json(shard.summary_path, "remove it and run this again") for shard in shards
    ]
    labels = np.concatenate([np.array(each["labels"], np.int32) for each in summaries])
    dropped = [fault for each in summaries for fault in each["dropped"]]
    if not labels.size:
        first = dropped[0]
        raise UserError(
            f"none of the {len(dropped)} images of {source.name} can be read, {first['image']} for "
            f"one is {first['reason']}; remove {folder} and check where the images are"
        )
    with atomic_write(folder / LABELS_FILE) as temporary, temporary.open("wb") as file:
        np.save(file, labels)
    tfds.folder_dataset.write_metadata(
        data_dir=folder,
        features=_features(source),
        split_infos=[
            tfds.core.SplitInfo(
                name=SPLIT,
                shard_lengths=[len(each["labels"]) for each in summaries],
                num_bytes=sum(each["bytes"] for each in summaries),
                filename_template=_file_names(source, folder),
            )
        ],
        check_data=False,  # It would need TensorFlow.
    )
    images_of_class = np.bincount(labels, minlength=len(source.class_names))
    fingerprint = hashlib.sha256("".join(each["sha256"] for each in summaries).encode())
    report = sealed(
        {
            "name": source.name,
            "origin": dict(source.origin),
            "source_sha256": source.sha256,
            "fingerprint": fingerprint.hexdigest(),
            "images": labels.size,
            "classes": len(source.class_names),
            "classes_with_one_image": int((images_of_class == 1).sum()),
            "classes_without_image": int((images_of_class == 0).sum()),
            "dropped": {
                reason: _listed([fault for fault in dropped if fault["reason"] == reason])
                for reason in sorted({fault["reason"] for fault in dropped})
            },
            "files_sha256": {name: sha256_of_file(folder / name) for name in _SMALL_FILES},
        }
    )
    write_json(folder / REPORT_FILE, report)
    return report


def check_files(dataset: pathlib.Path, report: dict[str, Any]) -> None:
    """Checks the small files beside the images; shards have checksums of their own.

    Raises:
        UserError: one of them, or the report, is not what was written.
    """
    try:
        for name, expected in unsealed(report, required=False).get("files_sha256", {}).items():
            if sha256_of_file(dataset / name) != expected:
                raise ValueError(f"{name} is not what was written")
    except (ValueError, AttributeError, TypeError, OSError) as error:
        raise UserError(
            f"{dataset / REPORT_FILE} or what it is of is broken: {reason(error)}; "
            "prepare the dataset again"
        ) from error


def _listed(dropped: list[dict[str, str]]) -> dict[str, Any]:
    return {
        "count": len(dropped),
        "images": {fault["image"]: fault["message"] for fault in dropped},
    }
