import gzip
import io
import json
import pathlib
import pickle
import tarfile
import zipfile

import numpy as np
import pytest
import torch

from senet_jax.convert.checkpoint import read_checkpoint
from senet_jax.system.errors import UserError

POINTER = b"""version https://git-lfs.github.com/spec/v1
oid sha256:4665d1c1a8f1e8e0d1a0e6e2b8c1e7e9f4f6a2b3c4d5e6f708192a3b4c5d6e7f
size 102540417
"""


def _archive(**files):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in files.items():
            archive.writestr(name.replace("_", "."), content)
    return buffer.getvalue()


def _tar():
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("a.pth"))
    return buffer.getvalue()


def _npy():
    buffer = io.BytesIO()
    np.save(buffer, np.ones(3))
    return buffer.getvalue()


def _torch_script():
    buffer = io.BytesIO()
    torch.jit.save(torch.jit.trace(torch.nn.Linear(2, 2), torch.ones(1, 2)), buffer)
    return buffer.getvalue()


def _torch_archive_of(names):
    buffer = io.BytesIO()
    torch.save({"a": torch.zeros(10_000)}, buffer)
    packed = io.BytesIO()
    with zipfile.ZipFile(buffer) as whole, zipfile.ZipFile(packed, "w", names) as archive:
        for entry in whole.namelist():
            archive.writestr(entry, whole.read(entry))
    return packed.getvalue()


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is an empty file; get it again"),
        (b"<!DOCTYPE html><html><title>Sign in</title>", "is an HTML page; .*the file itself"),
        (b"\xef\xbb\xbf\n  <HTML>\n", "is an HTML page"),
        (b"<?xml version='1.0'?><Error>AccessDenied</Error>", "is an XML document"),
        (POINTER, "is a Git LFS pointer; `git lfs pull` fetches the file itself"),
        (gzip.compress(b"a", mtime=0), "is a gzip archive; unpack it"),
        (_tar(), "is a tar archive; unpack it"),
        (_archive(model_onnx=b"x", read_me="y"), r"is a zip archive of model\.onnx, read\.me, not"),
        (_archive(), "is an empty zip archive"),
        (b"\x89HDF\r\n\x1a\n" + bytes(100), "is an HDF5 file, as Keras writes them"),
        (_npy(), "is a NumPy array"),
        (json.dumps({"weight_map": {"a": "model-1.safetensors"}}).encode(), "is a JSON text"),
        (b"404: Not Found", "is a text that begins '404: Not Found'"),
        (b"\x1b[31m red\n", r"begins '\\x1b\[31m red"),
        (b"\x00\xff" * 300, "is no kind of file that is known here"),
        (b"\x08\x07\x12\x07pytorch\x1a\x052.1.0", "is an ONNX model"),
        (bytes(100), "is no kind of file that is known here"),
        (b"\x80", "is no kind of file that is known here"),
        (pickle.dumps({"a": 1}), "is a Python pickle, not written by torch.save"),
        (pickle.dumps(pathlib.PurePosixPath("a")), r"pickle that wants pathlib\.PurePosixPath"),
        (pickle.dumps([pathlib, 1][1:], 2), "is a Python pickle, not written by"),
        (b"\xff\xd8\xff\xe0" + bytes(50), "is a JPEG photograph"),
    ],
)
def test_a_refusal_says_what_a_file_is(tmp_path, content, message):
    (tmp_path / "a.pth").write_bytes(content)
    with pytest.raises(UserError, match=message) as caught:
        read_checkpoint(tmp_path / "a.pth")
    assert str(caught.value).startswith(f"{tmp_path / 'a.pth'} is ")
    assert len(str(caught.value)) - len(str(tmp_path)) < 300


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_torch_script_is_no_state(tmp_path):
    (tmp_path / "a.pt").write_bytes(_torch_script())
    with pytest.raises(UserError, match=r"is a TorchScript archive, .*state_dict\(\)"):
        read_checkpoint(tmp_path / "a.pt")


def test_an_archive_that_is_packed_is_not_unpacked(tmp_path):
    """Deflated, a file of a megabyte may become a gigabyte."""
    (tmp_path / "a.pt").write_bytes(_torch_archive_of(zipfile.ZIP_DEFLATED))
    with pytest.raises(UserError, match="unpacks to more bytes than it has"):
        read_checkpoint(tmp_path / "a.pt")
