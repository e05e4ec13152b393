"""Folders with one file a sample, read when they are asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from portproof.core.errors import InputError
from portproof.core.files import existing_folder
from portproof.core.text import listed
from portproof.manifest import check_unique, files_in, sample_id


class Loaded(Mapping[str, Any]):
    """Sample id -> what ``load`` makes of its file, anew at every access: a data set's images need
    not fit into memory.
    """

    def __init__(self, paths: Mapping[str, Path], load: Callable[[Path], Any]) -> None:
        self.paths = dict(paths)
        self._load = load

    def __getitem__(self, sample: str) -> Any:
        return self._load(self.paths[sample])

    def __iter__(self) -> Iterator[str]:
        return iter(self.paths)

    def __len__(self) -> int:
        return len(self.paths)


def sample_files(folder: Path, suffixes: Sequence[str], what: str) -> dict[str, Path]:
    """Sample id -> file, sorted by name; :class:`InputError` for no such file, or two of one id."""
    files = files_in(existing_folder(folder, what), suffixes)
    if not files:
        raise InputError(
            f"{what} '{folder}' holds no {' or '.join(suffixes)} file; give the folder that holds"
            " one for every sample"
        )
    ids = [sample_id(file) for file in files]
    check_unique(ids, f"{what} '{folder}'")
    return dict(zip(ids, files, strict=True))


def refuse_doubles(ids: Sequence[str], what: str) -> None:
    """Two lines of one sample: one of them would be lost."""
    if len(set(ids)) < len(ids):
        double = [i for i in dict.fromkeys(ids) if ids.count(i) > 1][:6]
        raise InputError(f"{what}: a sample has more than one line ({listed(double)}); correct it")
