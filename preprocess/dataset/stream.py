"""A whole data set through one recipe: on workers, in order, with bounded memory.

Workers are threads: decoding, resizing, hashing and writing all run outside Python's interpreter
lock, and threads end with their process.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from portproof.core import progress
from portproof.core.errors import InputError
from portproof.core.files import open_regular
from portproof.manifest import sample_id
from portproof.preprocess.dataset.ahead import in_order
from portproof.preprocess.dataset.images import find_images
from portproof.preprocess.pixels.transform import Preprocessor, Sample
from portproof.proof.journal import PendingFiles
from portproof.proof.sidecar import FileRecord, stored_path
from portproof.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Prepared:
    """One image: the record of its file, and its sample, or why it has none. ``written`` is the
    record of the ``.bin`` file made of it.
    """

    path: Path
    source: FileRecord
    sample: Sample | None = None
    reason: str = ""
    clipped: bool = False
    written: FileRecord | None = None


def default_workers() -> int:
    """As many workers as this process may use processors."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def stream(
    images_dir: str | os.PathLike[str], recipe: Recipe, workers: int | None = None
) -> Iterator[tuple[str, Sample]]:
    """Sample id and sample of every image of a data set, sorted by id, made while they are asked
    for; nothing is written to disk.

    :class:`InputError` names the first file that is not an image.
    """
    preprocessor, root = Preprocessor(recipe), Path(images_dir)

    def make(path: Path) -> Prepared:
        return prepare(path, root, preprocessor)

    warner = ClippingWarner()
    for prepared in in_order(make, find_images(images_dir), workers or default_workers()):
        warner.see(prepared)
        yield sample_id(prepared.path), sample_of(prepared)


def prepare(path: Path, root: Path, preprocessor: Preprocessor) -> Prepared:
    """Read and preprocess one image; ``reason`` says what is wrong with a bad one. ``root`` is
    what the record's path is relative to.
    """
    data, source = read_image(path, root)
    try:
        sample, clipped = preprocessor(data)
    except InputError as error:
        return Prepared(path, source, reason=str(error))
    return Prepared(path, source, sample, clipped=clipped)


def read_image(path: Path, root: Path) -> tuple[bytes, FileRecord]:
    """The bytes of an image's file, read once, and their record; :class:`InputError` when it is no
    regular file, or changes meanwhile.
    """
    with open_regular(path, "image") as file:
        before = os.fstat(file.fileno())
        data = file.read()
    after = os.stat(path)
    size, changed = after.st_size, after.st_mtime_ns
    same = (before.st_size, before.st_mtime_ns, before.st_ino) == (size, changed, after.st_ino)
    if not same or len(data) != size:
        raise InputError(
            f"image '{path}' changed while it was read; wait until whoever writes it has finished,"
            " then start again"
        )
    digest = hashlib.sha256(data).hexdigest()
    return data, FileRecord(stored_path(path, root), size, changed, after.st_ino, digest)


def sample_of(prepared: Prepared) -> Sample:
    """The sample; :class:`InputError` names the image when it is a bad one."""
    if prepared.sample is None:
        raise InputError(
            f"image '{prepared.path}': {prepared.reason} (--skip-bad leaves such images out and"
            " lists them)"
        )
    return prepared.sample


def write_bin(prepared: Prepared, files: PendingFiles) -> Prepared:
    """Write the sample under its pending name, and keep the record of the ``<id>.bin`` that it will
    be, for the journal, instead of the sample. What has no sample is returned as it is.
    """
    if prepared.sample is None:
        return prepared
    record = files.write(f"{sample_id(prepared.path)}.bin", prepared.sample.data)
    return replace(prepared, sample=None, written=record)


def written(
    make: Callable[[Path], Prepared], images: Iterable[Path], folder: Path, root: Path, workers: int
) -> Iterator[Prepared]:
    """What ``make`` prepares of the images, by ``workers`` threads, in order, each written by
    :func:`write_bin`.

    On processors that the workers leave, other threads hash and write while the next images are
    decoded. Where none is left they would only take the workers' time and caches.
    """
    files = PendingFiles(folder, root)
    left = min(workers, default_workers() - workers)
    if left < 1:
        yield from in_order(lambda path: write_bin(make(path), files), images, workers)
        return
    with ThreadPoolExecutor(left, thread_name_prefix="write") as writers:

        def hand_over(path: Path) -> Future[Prepared]:
            return writers.submit(write_bin, make(path), files)

        for later in in_order(hand_over, images, workers):
            yield later.result()


class ClippingWarner:
    """Warn once that 16-bit images lose what does not fit into 8 bits."""

    def __init__(self) -> None:
        self.count = 0

    def see(self, prepared: Prepared) -> None:
        """Count one image."""
        self.count += prepared.clipped
        if prepared.clipped and self.count == 1:
            progress.warn(
                f"'{prepared.path}' has more than 8 bits a channel: values above 255 are clipped,"
                " as the reference loaders clip them (reported once)"
            )
