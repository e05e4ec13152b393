"""One memory-mappable file instead of 50,000 small ones.

A packed folder holds ``samples.npy`` (NumPy's own format, version 1.0: shape (N, *sample), C order)
and ``ids.txt`` (the sample id of each row, one a line, UTF-8). While it is being made the two are
named ``.samples.partial`` and ``.ids.partial``; rows are only appended, so an interrupted run
continues after the last whole row.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from portproof.core import progress
from portproof.core.errors import InputError
from portproof.core.files import write_text
from portproof.manifest import sample_id
from portproof.packed.npy import HEADER, npy_header, open_npy
from portproof.packed.results import read_ids
from portproof.preprocess.dataset.ahead import in_order
from portproof.preprocess.dataset.images import find_images
from portproof.preprocess.dataset.make import Tally, finish, images_digest, work_of
from portproof.preprocess.dataset.stream import Prepared, prepare, sample_of
from portproof.preprocess.pixels.transform import Preprocessor, Sample
from portproof.proof.sidecar import proof_of, record_of
from portproof.proof.work import Work
from portproof.recipe import Recipe, recipe_hash

SAMPLES, IDS = "samples.npy", "ids.txt"
_IDS_PARTIAL = ".ids.partial"

_AGAIN = "make it again with --pack"


def open_packed(path: str | os.PathLike[str]) -> tuple[list[str], npt.NDArray[Any]]:
    """Sample ids and the read-only memory map of their samples, row by row, of a packed folder;
    :class:`InputError` when it is not whole.
    """
    folder = Path(path)
    ids = read_ids(folder / IDS, "ids of packed samples", _AGAIN)
    samples = open_npy(folder / SAMPLES, "packed samples", _AGAIN)
    if len(ids) != samples.count:
        raise InputError(
            f"'{folder}': {IDS} has {len(ids)} ids and {SAMPLES} {samples.count} samples; {_AGAIN}"
        )
    ids.check_unique(f"packed samples '{folder}'")
    shape = (samples.count, *samples.shape)
    rows: npt.NDArray[Any] = np.memmap(samples.path, samples.dtype, "r", samples.start, shape)
    return list(ids), rows


def make_packed(
    images_dir: Path,
    prep: Path,
    recipe: Recipe,
    *,
    workers: int,
    skip_bad: bool = False,
    model: str | None = None,
) -> None:
    """Write a packed folder and its sidecar; do nothing when that is done already, and continue
    what was interrupted.

    :class:`InputError` names the first image that cannot be used, unless ``skip_bad``.
    """
    images = find_images(images_dir)
    work = work_of("pack", prep, images, recipe, skip_bad)
    if work.is_done():
        (prep / _IDS_PARTIAL).unlink(missing_ok=True)  # of a kill right after the sidecar
        return
    work.inputs = {}
    preprocessor, tally = Preprocessor(recipe), Tally()
    progress.say(f"pack: {preprocessor.core} core")
    with PackedWriter(work, recipe, images_digest(images)) as writer:
        work.begin()
        finished = set(writer.ids)

        def make(path: Path) -> Prepared:
            if sample_id(path) in finished:
                return Prepared(path, record_of(path, work.root))
            return prepare(path, work.root, preprocessor)

        with progress.meter("pack", len(images), "images", done=len(finished)) as meter:
            for prepared in in_order(make, images, workers):
                tally.add(prepared, skip_bad)
                if prepared.sample is not None:
                    writer.append(sample_id(prepared.path), sample_of(prepared))
                    meter.advance()
        if writer.ids:
            tally.written = [record_of(path, work.root) for path in writer.close()]
    finish(work, tally, preprocessor, model)
    writer.remove()


class PackedWriter:
    """Appends rows to the partial files of a packed folder, after those that an interrupted run
    with the same images and recipe left.

    :class:`InputError` when the folder holds files that this command did not write.
    """

    def __init__(self, work: Work, recipe: Recipe, images: str) -> None:
        self.folder, self.recipe = work.artefact, recipe
        self.ids: list[str] = []
        self._identity = hashlib.sha256(
            f"{images} {recipe_hash(recipe)} {work.parameters} {work.versions}".encode()
        ).hexdigest()
        self._samples_path, self._ids_path = (
            self.folder / ".samples.partial",
            self.folder / _IDS_PARTIAL,
        )
        self._samples: IO[bytes] | None = None
        self._id_file: IO[bytes] | None = None

    def __enter__(self) -> PackedWriter:
        """Open the partial files where the last whole row ends, or new ones."""
        self._refuse_other_files()
        self.folder.mkdir(parents=True, exist_ok=True)
        # Killed between the last row and the sidecar.
        if self._ids_path.exists() and (self.folder / SAMPLES).exists():
            (self.folder / SAMPLES).replace(self._samples_path)
        for name in (SAMPLES, IDS):
            (self.folder / name).unlink(missing_ok=True)
        self.ids = self._whole_rows()
        first_line = f"{self._identity}\n"
        self._samples = open(self._samples_path, "r+b" if self.ids else "wb")
        self._id_file = open(self._ids_path, "wb")
        self._samples.truncate(HEADER + len(self.ids) * self.recipe.nbytes)
        self._samples.seek(0, os.SEEK_END)
        self._id_file.write((first_line + "".join(f"{i}\n" for i in self.ids)).encode())
        self._id_file.flush()
        return self

    def __exit__(self, *_: object) -> None:
        """Close the files; what is there stays for the next run."""
        for file in (self._samples, self._id_file):
            if file:
                file.close()

    def append(self, sample: str, values: Sample) -> None:
        """Append one row: the values first, its id after them."""
        assert self._samples is not None and self._id_file is not None
        self._samples.write(values.data)
        self._samples.flush()
        self._id_file.write(f"{sample}\n".encode())
        self._id_file.flush()
        self.ids.append(sample)

    def close(self) -> list[Path]:
        """Write the header and the ids, flush them, and give the files their names."""
        assert self._samples is not None
        self._samples.seek(0)
        self._samples.write(
            npy_header((len(self.ids), *self.recipe.shape), np.dtype(self.recipe.dtype))
        )
        self._samples.flush()
        os.fsync(self._samples.fileno())
        write_text(self.folder / IDS, "".join(f"{i}\n" for i in self.ids))
        self._samples_path.replace(self.folder / SAMPLES)
        return [self.folder / SAMPLES, self.folder / IDS]

    def remove(self) -> None:
        """Delete the partial list of ids: called after the sidecar was written, which vouches for
        the folder from then on.
        """
        self._ids_path.unlink(missing_ok=True)

    def _whole_rows(self) -> list[str]:
        """Ids of the rows of the same run that are whole on disk."""
        if not self._ids_path.is_file() or not self._samples_path.is_file():
            return []
        first, *ids = self._ids_path.read_text(encoding="utf-8").split("\n")[:-1] or [""]
        rows = (self._samples_path.stat().st_size - HEADER) // self.recipe.nbytes
        return ids[: max(rows, 0)] if first == self._identity else []

    def _refuse_other_files(self) -> None:
        if not self.folder.exists():
            return
        own = {self._samples_path.name, self._ids_path.name}
        if self._ids_path.exists() or proof_of(self.folder):
            own |= {SAMPLES, IDS}
        others = sorted(p.name for p in self.folder.iterdir() if p.name not in own)
        if others:
            raise InputError(
                f"'{self.folder}' holds {others[0]!r}, which --pack did not write; give an empty"
                " or a new folder"
            )
