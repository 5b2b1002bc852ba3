"""Photographs for tests: generated ones, and the real ones where the folder is there."""

import json
import pathlib
import pickle
import struct

import cv2
import numpy as np
import pytest

MINIPHOTOS = pathlib.Path(__file__).parents[2].parent / "shared" / "datasets" / "miniphotos"

needs_miniphotos = pytest.mark.skipif(
    not MINIPHOTOS.is_dir(), reason="no folder shared/datasets/miniphotos beside the repository"
)


def picture(height, width, seed=0):
    """uint8[h w 3], smooth as a photograph is, different at every place and in every channel."""
    coarse = np.random.default_rng(seed).integers(0, 256, (5, 7, 3), np.uint8)
    return cv2.resize(coarse, (width, height), interpolation=cv2.INTER_CUBIC)


def encoded(image, extension=".jpg"):
    done, content = cv2.imencode(extension, image)
    assert done
    return content.tobytes()


def exif(orientation):
    """EXIF of one entry, the orientation, as a file of TIFF."""
    entry = struct.pack(">HHIHH", 0x0112, 3, 1, orientation, 0)
    return b"MM" + struct.pack(">HI", 42, 8) + struct.pack(">H", 1) + entry + struct.pack(">I", 0)


def with_segment(jpeg, payload):
    """The same JPEG with a segment APP1 behind its first marker."""
    return jpeg[:2] + b"\xff\xe1" + struct.pack(">H", len(payload) + 2) + payload + jpeg[2:]


def with_exif_orientation(jpeg, orientation):
    """The same JPEG with an orientation."""
    return with_segment(jpeg, b"Exif\0\0" + exif(orientation))


def with_claimed_size(jpeg, height, width):
    """The same baseline JPEG with another size in its header."""
    start = jpeg.index(b"\xff\xc0") + 5
    return jpeg[:start] + struct.pack(">HH", height, width) + jpeg[start + 4 :]


def with_broken_pixels(jpeg):
    """The same JPEG, with its header, but nothing that OpenCV can decode."""
    component = jpeg.index(b"\xff\xda") + 5
    return jpeg[:component] + b"\x4d" + jpeg[component + 1 :]


def write_dataset(root, name, boxes=((0, 0, 9, 9), (0, 0, 9, 9)), suffix=".pkl"):
    """Writes the ground truth of three images `a b c` and two queries `q r`; no photograph yet."""
    truth = {
        "imlist": ["a", "b", "c"],
        "qimlist": ["q", "r"],
        "gnd": [
            {"easy": [0], "hard": [1], "junk": []},
            {"easy": [2], "hard": [], "junk": [0]},
        ],
    }
    if boxes is not None:
        for entry, box in zip(truth["gnd"], boxes, strict=True):
            entry["bbx"] = list(box)
    (root / name / "jpg").mkdir(parents=True)
    content = pickle.dumps(truth) if suffix == ".pkl" else json.dumps(truth).encode()
    (root / name / f"gnd_{name}{suffix}").write_bytes(content)
    return truth
