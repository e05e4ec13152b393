"""The content store of a host: files named by the SHA-256 of their bytes, so that nothing is sent
to a host that has it.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from portproof.core.errors import InputError
from portproof.core.files import sha256_of

#: The environment variable of a host that names its store.
STORE = "PORTPROOF_FLEET_STORE"
#: Bytes that are sent in one message.
MESSAGE_BYTES = 32 << 20


@dataclass(frozen=True)
class Piece:
    """A part of a file, or all of it: ``offset`` and the whole ``size`` in bytes."""

    sha256: str
    offset: int
    size: int
    data: bytes


def pieces_of(files: Iterable[tuple[str, Path]]) -> Iterator[list[Piece]]:
    """Messages of pieces, each of :data:`MESSAGE_BYTES` at most, of files with their hashes."""
    message: list[Piece] = []
    room = MESSAGE_BYTES
    for sha256, path in files:
        size, offset = path.stat().st_size, 0
        with open(path, "rb") as file:
            while offset < size or offset == size == 0:
                data = file.read(room)
                message.append(Piece(sha256, offset, size, data))
                offset, room = offset + len(data), room - len(data)
                if room <= 0:
                    yield message
                    message, room = [], MESSAGE_BYTES
                if offset >= size or not data:
                    break
    if message:
        yield message


class Content:
    """The store in a folder, which is made when it is not there."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "sha256"
        self._parts = folder / f"arriving-{os.getpid()}"

    def lacks(self, hashes: Iterable[str]) -> list[str]:
        """Those that are not here."""
        return [sha256 for sha256 in hashes if not self._place(sha256).is_file()]

    def take(self, pieces: Iterable[Piece]) -> None:
        """Write pieces, those of one file in their order; a file that is whole and has its hash is
        in the store from then on.
        """
        for piece in pieces:
            part, final = self._parts / piece.sha256, self._place(piece.sha256)
            part.parent.mkdir(parents=True, exist_ok=True)
            try:
                with open(part, "r+b" if piece.offset else "wb") as file:
                    file.seek(piece.offset)
                    file.write(piece.data)
            except BaseException:
                part.unlink(missing_ok=True)
                raise
            if piece.offset + len(piece.data) < piece.size:
                continue
            if sha256_of(part) != piece.sha256:
                part.unlink()
                raise InputError(
                    "a file changed while it was sent; wait until whoever writes it has finished,"
                    " then start again"
                )
            self._publish(part, final)

    def settle(self) -> None:
        """Remove the folder of files that were arriving, if none is."""
        with contextlib.suppress(OSError):
            self._parts.rmdir()

    def lay(self, sha256: str, place: Path) -> None:
        """Give a file of the store a name: a link where the file system has them, else a copy. One
        that is there already stays as it is, so that a stage continues.
        """
        source = self._place(sha256)
        place.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(FileNotFoundError):
            if os.path.samestat(place.stat(), source.stat()) or sha256_of(place) == sha256:
                return
        place.unlink(missing_ok=True)
        try:
            os.link(source, place)
        except OSError:
            shutil.copyfile(source, place)

    def keep(self, path: Path, sha256: str) -> None:
        """Have a file that was made here in the store too, for the steps that read it."""
        final = self._place(sha256)
        if final.is_file():
            return
        final.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.suppress(OSError):  # without links it is sent when a step needs it
            os.link(path, final)

    def _place(self, sha256: str) -> Path:
        return self.folder / sha256[:2] / sha256

    def _publish(self, part: Path, final: Path) -> None:
        final.parent.mkdir(parents=True, exist_ok=True)
        part.chmod(0o444)  # a stage that writes into what it was given would change it for others
        os.replace(part, final)


def store_folder() -> Path:
    """This host's store."""
    named = os.environ.get(STORE)
    return Path(named) if named else Path.home() / ".cache" / "portproof" / "fleet"
