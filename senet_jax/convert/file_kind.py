"""What a file is that was taken for weights: told by its first bytes, whatever its name."""

import io
import pickletools
import zipfile
from collections.abc import Iterator, Sequence

from senet_jax.system.errors import UserError, shortened, shown

ZIP = b"PK\x03\x04"
GET_AGAIN = "it is broken or cut short, get it again"
_KNOWN = "weights are read from PyTorch files and from safetensors"
_UNPACK = "unpack it and name the file in it"

# Where a file says what it is: offset, bytes, what it is, what to do.
_MAGIC = (
    (0, b"version https://git-lfs", "a Git LFS pointer", "`git lfs pull` fetches the file itself"),
    (0, b"\x89HDF\r\n\x1a\n", "an HDF5 file, as Keras writes them", _KNOWN),
    (0, b"\x93NUMPY", "a NumPy array", _KNOWN),
    (0, b"\x1f\x8b", "a gzip archive", _UNPACK),
    (0, b"BZh", "a bzip2 archive", _UNPACK),
    (0, b"\xfd7zXZ\0", "an xz archive", _UNPACK),
    (0, b"\x28\xb5\x2f\xfd", "a zstd archive", _UNPACK),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive", _UNPACK),
    (0, b"Rar!\x1a\x07", "a RAR archive", _UNPACK),
    (257, b"ustar", "a tar archive", _UNPACK),
    (0, b"PK\x05\x06", "an empty zip archive", _KNOWN),
    (0, b"GGUF", "a GGUF model", _KNOWN),
    (4, b"TFL3", "a TensorFlow Lite model", _KNOWN),
    (0, b"%PDF-", "a PDF document", _KNOWN),
    (0, b"\xff\xd8\xff", "a JPEG photograph", _KNOWN),
    (0, b"\x89PNG\r\n\x1a\n", "a PNG picture", _KNOWN),
)
_HTML = (b"<!doctype html", b"<html", b"<head", b"<body")


def what_it_is(content: bytes) -> tuple[str, str]:
    """What bytes are that are neither a zip archive nor weights, and what to do about it."""
    if not content:
        return "an empty file", "get it again"
    for offset, magic, what, advice in _MAGIC:
        if content.startswith(magic, offset):
            return what, advice
    head = content[:4096].removeprefix(b"\xef\xbb\xbf").lstrip()
    if head[:16].lower().startswith(_HTML):
        return "an HTML page", "the link leads to a page, download the file itself"
    if head.startswith(b"<?xml"):
        return "an XML document", "a server's refusal perhaps, download the file itself"
    if content[:1] == b"\x80" and b"\x02" <= content[1:2] <= b"\x05":
        wanted = next(foreign_names(content), None)
        wants = f" that wants {_named(wanted)}" if wanted else ""
        return f"a Python pickle{wants}, not written by torch.save", _KNOWN
    if content[:1] == b"\x08" and content[2:3] == b"\x12":  # The version, the maker's name.
        return "an ONNX model, it seems", _KNOWN
    try:
        text = head[: 1 + max(head.rfind(b"\n"), 256)].decode()
    except UnicodeDecodeError:
        text = "\0"
    if "\0" in text:
        return "no kind of file that is known here", f"{_KNOWN}; is it cut short?"
    if text[:1] in ("{", "["):
        return "a JSON text", _KNOWN
    return f"a text that begins {shown(shortened(text, 60))}", _KNOWN


def check_torch_archive(content: bytes) -> None:
    """Looks at what a zip archive holds before PyTorch does.

    Raises:
        UserError: it is broken, packed, or of another kind; the text goes on after a path.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(content)) as archive:
            entries = archive.infolist()
    except Exception as error:  # What a broken archive raises is not documented.
        raise UserError(f"is a zip archive whose end is missing; {GET_AGAIN}") from error
    names = [entry.filename for entry in entries]
    if any(name.endswith("constants.pkl") or "/code/" in name for name in names):
        raise UserError(
            "is a TorchScript archive, a program and not a state; write its state in PyTorch: "
            "torch.save(torch.jit.load(FILE).state_dict(), OTHER)"
        )
    if not any(name == "data.pkl" or name.endswith("/data.pkl") for name in names):
        raise UserError(f"is a zip archive of {_list(names)}, not a PyTorch file; {_KNOWN}")
    if sum(entry.file_size for entry in entries) > len(content):
        raise UserError(
            "is a zip archive that unpacks to more bytes than it has, as none of PyTorch does; "
            "get it again"
        )


def foreign_names(content: bytes) -> Iterator[str]:
    """What a pickle wants besides tensors and plain containers, `module.name`.

    Args:
        content: a pickle, or a zip archive of PyTorch with one.
    """
    return (n for n in _wanted_names(content) if not n.startswith(("torch.", "collections.")))


def _wanted_names(content: bytes) -> Iterator[str]:
    """The classes and functions that a pickle wants; none of them is imported.

    What follows a broken place is not looked at.
    """
    strings: list[str] = []
    memo: dict[int, str] = {}
    try:
        pickled = _archived_pickle(content) if content.startswith(ZIP) else content
        for opcode, argument, _ in pickletools.genops(pickled):
            if opcode.name in ("GLOBAL", "INST"):
                yield str(argument).replace(" ", ".")
            elif opcode.name == "STACK_GLOBAL" and len(strings) >= 2:
                yield ".".join(strings[-2:])
            elif "UNICODE" in opcode.name:
                strings.append(str(argument))
            elif opcode.name in ("MEMOIZE", "BINPUT", "LONG_BINPUT"):
                index = len(memo) if argument is None else int(argument)
                memo[index] = strings[-1] if strings else ""
            elif opcode.name in ("BINGET", "LONG_BINGET") and argument in memo:
                strings.append(memo[argument])
    except Exception:  # What a broken pickle raises is not documented.
        return


def _archived_pickle(content: bytes) -> bytes:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        name = next(name for name in archive.namelist() if name.endswith("data.pkl"))
        return archive.read(name)


def _list(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    return ", ".join(map(_named, names[:3])) + more if names else "nothing"


def _named(name: str) -> str:
    return shortened(shown(name)[1:-1], 60)
