"""Open a parcel that comes from a stranger: nothing is believed, and memory and disk are bounded.

The archive is read as a stream and written file by file. A member must be a regular file with the
name and the size that the manifest says, in its order; anything else (links, paths that climb out,
extended headers, members twice, bytes behind the end) is refused.
"""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import tarfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO, Any

import msgspec

from portproof.core import progress
from portproof.core.errors import InputError, MissingPackageError
from portproof.core.files import open_regular
from portproof.reports.parcels.manifest import (
    MANIFEST,
    MOST_BYTES,
    REMEDY,
    SIGNATURE,
    Manifest,
    Signature,
    manifest_from,
)
from portproof.reports.parcels.signing import is_signed

_BLOCK, _CHUNK = 512, 1 << 20
#: Bytes that a frame may ask a reader to keep (Zstandard's window); level 6 needs 2 MiB.
_WINDOW = 32 << 20


def unpack(parcel: Path, folder: Path, most_bytes: int) -> tuple[Manifest, Signature | None]:
    """Write a parcel's files into an empty folder; its manifest, and the signature if it is signed
    and the signature is right. :class:`InputError` for a parcel that is not what its manifest says
    or whose files are more than ``most_bytes``, and for one with a wrong signature.
    """
    with open_regular(parcel, "parcel") as file, _opened(parcel, file) as stream:
        archive = _Archive(parcel, stream)
        text = archive.small(MANIFEST)
        manifest = manifest_from(text, str(parcel))
        signature = _signature(parcel, archive.small(SIGNATURE), text)
        _check(parcel, manifest, folder, most_bytes)
        with progress.meter("unpack", len(manifest.files), "files") as meter:
            for member in manifest.files:
                target = folder / member.path
                target.parent.mkdir(parents=True, exist_ok=True)
                with target.open("xb") as out:
                    digest = archive.copy(member.path, member.size, out)
                if digest != member.sha256:
                    raise InputError(
                        f"'{parcel}': '{member.path}' has other bytes than its manifest says;"
                        f" {REMEDY}"
                    )
                meter.advance()
        archive.end()
    return manifest, signature


@contextlib.contextmanager
def _opened(parcel: Path, file: IO[bytes]) -> Iterator[IO[bytes]]:
    try:
        import zstandard
    except ImportError as error:
        raise MissingPackageError("zstandard", "a parcel", "parcel") from error
    reader: Any = zstandard.ZstdDecompressor(max_window_size=_WINDOW).stream_reader(file)
    try:
        yield reader
    except zstandard.ZstdError as error:
        raise InputError(f"'{parcel}' is no parcel, or damaged ({error}); {REMEDY}") from error


class _Archive:
    """A ustar archive, member after member."""

    def __init__(self, parcel: Path, stream: IO[bytes]) -> None:
        self._parcel, self._stream = parcel, stream

    def small(self, name: str) -> bytes:
        """The content of a small member."""
        size = self._header(name)
        if size > MOST_BYTES:
            raise self._refused(f"its '{name}' has {size} bytes, at most {MOST_BYTES} are read")
        data = self._exactly(size)
        self._exactly(-size % _BLOCK)
        return data

    def copy(self, name: str, size: int, out: IO[bytes]) -> str:
        """Copy a member of a known size; its SHA-256."""
        found = self._header(name)
        if found != size:
            raise self._refused(f"'{name}' has {found} bytes, its manifest says {size}")
        digest, left = hashlib.sha256(), size
        while left:
            data = self._exactly(min(left, _CHUNK))
            digest.update(data)
            out.write(data)
            left -= len(data)
        self._exactly(-size % _BLOCK)
        return digest.hexdigest()

    def end(self) -> None:
        """Only the zeros that end an archive may follow."""
        for _ in range(40):  # tar fills up to records of 20 blocks
            data = self._stream.read(_BLOCK)
            if not data:
                return
            if data.strip(b"\0"):
                break
        raise self._refused("there is more in it than its manifest says")

    def _header(self, name: str) -> int:
        """The size of the next member, which must be the regular file of that name."""
        block = self._exactly(_BLOCK)
        try:
            info = tarfile.TarInfo.frombuf(block, "utf-8", "strict")
        except (tarfile.HeaderError, UnicodeDecodeError) as error:
            raise self._refused(f"'{name}' was expected and no member follows") from error
        if info.type != tarfile.REGTYPE or info.name != name:
            raise self._refused(f"the file '{name}' was expected, it holds '{info.name}'")
        return info.size

    def _exactly(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            more = self._stream.read(count - len(data))
            if not more:
                raise self._refused("it ends early")
            data += more
        return data

    def _refused(self, why: str) -> InputError:
        return InputError(f"'{self._parcel}' is no whole parcel: {why}; {REMEDY}")


def _signature(parcel: Path, data: bytes, manifest: bytes) -> Signature | None:
    try:
        signature = msgspec.json.decode(data, type=Signature | None)
    except msgspec.MsgspecError as error:
        raise InputError(f"'{parcel}': its signature is damaged ({error}); {REMEDY}") from error
    if signature is not None and not is_signed(signature, manifest):
        raise InputError(
            f"'{parcel}': its signature is not that of its manifest: it was changed after it was"
            " signed"
        )
    return signature


def _check(parcel: Path, manifest: Manifest, folder: Path, most_bytes: int) -> None:
    """Refuse paths that leave the folder or stand twice, and more bytes than there may be."""
    paths = [member.path for member in manifest.files]
    for path in paths:
        parts = PurePosixPath(path).parts
        plain = parts and path == "/".join(parts) and not path.startswith("/")
        if not plain or ".." in parts or "\0" in path or path.endswith("/"):
            raise InputError(f"'{parcel}': its manifest names '{path}', which is no path inside it")
    if len(set(paths)) < len(paths):
        raise InputError(f"'{parcel}': its manifest names a file twice; {REMEDY}")
    if any(member.size < 0 for member in manifest.files):
        raise InputError(f"'{parcel}': its manifest has a negative size; {REMEDY}")
    total = sum(member.size for member in manifest.files)
    if total > most_bytes:
        raise InputError(
            f"'{parcel}' unpacks to {total / 2**30:.1f} GiB, at most {most_bytes / 2**30:.1f} were"
            " allowed: raise --max-gib if you trust it"
        )
    free = shutil.disk_usage(folder).free
    if total > free:
        raise InputError(
            f"'{parcel}' unpacks to {total} bytes and '{folder}' has {free} left: set TMPDIR to a"
            " larger disk"
        )
