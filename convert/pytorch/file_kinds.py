"""What a file that should hold weights is, by its first bytes: the formats' own signatures."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

from portproof.core.text import printable

_HEAD = 4096
_ARCHIVE = "a compressed archive: unpack it, and give the weights file inside"
#: First bytes -> what the file is and what to do. The signatures are those of the formats'
#: specifications (RFC 1952, .xz, bzip2, RFC 8878, 7z, HDF5, NumPy, GGUF).
_SIGNATURES: tuple[tuple[bytes, str], ...] = (
    (
        b"version https://git-lfs",
        "a Git LFS pointer, not the weights themselves: run 'git lfs pull' in the clone that it"
        " comes from",
    ),
    (b"\x1f\x8b", _ARCHIVE),
    (b"\xfd7zXZ\x00", _ARCHIVE),
    (b"BZh", _ARCHIVE),
    (b"\x28\xb5\x2f\xfd", _ARCHIVE),
    (b"7z\xbc\xaf\x27\x1c", _ARCHIVE),
    (b"Rar!", _ARCHIVE),
    (b"\x89HDF\r\n\x1a\n", "an HDF5 file (Keras?): weights of PyTorch were expected"),
    (b"\x93NUMPY", "a NumPy array: a state dict saved with torch.save was expected"),
    (b"GGUF", "a GGUF file: weights of PyTorch were expected"),
    (b"%PDF", "a PDF document: download the weights again"),
)
_PAGE = (
    "a web page and not weights (a login or an error page?): open the address in a browser, or"
    " download the file again with the right to read it"
)


def foreign_kind(path: Path) -> str | None:
    """What ``path`` is and what to do about it, if it is no file of ``torch.save``; None if it may
    be one. Reads the first 4 KiB, and a zip archive's list of names.
    """
    with path.open("rb") as file:
        head = file.read(_HEAD)
    if not head:
        return "empty: copy or download it again"
    if not any(head):
        return "nothing but zeros where they begin: copy or download it again"
    for signature, kind in _SIGNATURES:
        if head.startswith(signature):
            return kind
    if head.startswith(b"PK\x03\x04"):
        return _zip_kind(path)
    return _text_kind(head)


def is_safetensors(path: Path) -> bool:
    """Whether a file begins like safetensors, whatever its name: the length of a JSON header, and
    that header (its documentation, "Format").
    """
    with path.open("rb") as file:
        head = file.read(9)
    return len(head) == 9 and head[8:] == b"{" and 2 <= int.from_bytes(head[:8], "little") < 1 << 30


def _zip_kind(path: Path) -> str | None:
    """``torch.save`` writes ``<name>/data.pkl``; TorchScript adds ``constants.pkl`` and ``code/``;
    torch.export writes ``archive_format``.
    """
    try:
        if not zipfile.is_zipfile(path):
            return "cut off (a zip archive without its end): copy or download it again"
        with zipfile.ZipFile(path) as archive:
            names = [name.partition("/")[2] or name for name in archive.namelist()]
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError):
        return "a damaged zip archive: copy or download it again"
    if any(name == "constants.pkl" or name.startswith("code/") for name in names):
        return (
            "a TorchScript archive, which holds code: where it was made, save the weights alone"
            " with torch.save(model.state_dict(), FILE)"
        )
    if any(n in ("archive_format", "serialized_exported_program.json") for n in names):
        return (
            "a program of torch.export: where it was made, save the weights alone with"
            " torch.save(model.state_dict(), FILE)"
        )
    if "data.pkl" in names:
        return None
    if names and all(name.endswith(".npy") for name in names):
        return "a NumPy archive (.npz): a state dict saved with torch.save was expected"
    return _ARCHIVE


def _text_kind(head: bytes) -> str | None:
    """Pages, JSON and other text; None for anything that is not text."""
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n").lower()
    if start.startswith((b"<!doctype", b"<html", b"<?xml", b"<head", b"<body")):
        return _PAGE
    try:
        text = head.decode("utf-8")
    except UnicodeDecodeError as error:
        if error.start < len(head) - 4:
            return None
        text = head[: error.start].decode("utf-8")
    if not all(c.isprintable() or c in "\t\r\n" for c in text):
        return None
    first = printable(text.strip().split("\n", 1)[0][:60])
    return f"text ({json.dumps(first, ensure_ascii=False)}) and not weights: download it again"
