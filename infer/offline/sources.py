"""Where the samples of an offline run come from. Each source checks what it can before anything
runs, reads ahead of the model, and keeps a record of every file whose bytes were fed.
"""

from __future__ import annotations

import functools
import hashlib
import itertools
import os
from collections.abc import Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from portproof.backend import TensorSpec
from portproof.core.errors import InputError
from portproof.infer.offline.native import file_reader
from portproof.infer.offline.read import Batch, check_files, cut, read_batch
from portproof.infer.runtimes.model_files import builder_packages, card_files
from portproof.manifest import read_info
from portproof.preprocess.dataset.ahead import in_order
from portproof.preprocess.pixels.memory import Memory
from portproof.proof.sidecar import FileRecord, record_of, stored_path
from portproof.proof.work import Paths

#: How many samples of small batches are read in one call, and how many bytes at most.
_TOGETHER, _BYTES_TOGETHER = 16, 10_000_000


class Source(Protocol):
    """An ordered set of samples."""

    #: Sample ids, in order.
    ids: list[str]
    #: Files by role, for the sidecar; those of the role ``hashed`` are hashed while they are read,
    #: not before.
    files: dict[str, Sequence[Path]]
    hashed: str
    #: What else decides the samples' bytes: JSON values, and distributions.
    parameters: dict[str, Any]
    packages: tuple[str, ...]
    #: The folder of prepared samples, whose sidecar says how they were prepared; None when they are
    #: not from one.
    prepared: Path | None

    def check(self, inputs: Sequence[TensorSpec]) -> str:
        """:class:`InputError` when the samples do not fit the model's inputs; else a digest that
        stays while the files do.
        """

    def batches(
        self, spans: Sequence[range], inputs: Sequence[TensorSpec], root: Path
    ) -> Iterator[Batch]:
        """The samples of each span (positions in ``ids``), in that order, read ahead."""

    def records(self, read: Sequence[FileRecord], root: Path) -> list[FileRecord]:
        """Records of all files of ``hashed``; ``read`` are those of the batches."""


def open_source(
    info: str | Path | None, images: str | Path | None, card: str | None, workers: int | None
) -> Source:
    """The source that was asked for: an info list, a packed folder (``info`` is then the folder),
    or images with the card's recipe.
    """
    if (info is None) == (images is None):
        raise InputError(
            "which samples? either an info list or packed folder (--info) or a folder of images"
            " (--images) was expected"
        )
    if images is not None:
        if card is None:
            raise InputError("images are preprocessed as a model card says: give one with --model")
        return Images(Path(images), card, workers)
    return (
        PackedSamples(Path(str(info))) if Path(str(info)).is_dir() else ListedFiles(Path(str(info)))
    )


class _Files:
    """What sources made of single files have in common."""

    files: dict[str, Sequence[Path]]
    hashed: str

    def records(self, read: Sequence[FileRecord], root: Path) -> list[FileRecord]:
        """In the order of the files; those of batches that an earlier process finished are hashed
        now: the journal vouches that their size, time and inode are what they were when that
        process read them.
        """
        files = self.files[self.hashed]
        if len(read) == len(files):
            return list(read)
        known = {r.path: r for r in read}
        return [known.get(stored_path(path, root)) or record_of(path, root) for path in files]


class ListedFiles(_Files):
    """The ``.bin`` files of an info list."""

    hashed = "samples"

    def __init__(self, info: Path) -> None:
        self._samples = read_info(info)
        self.ids = [s.id for s in self._samples]
        first = [s.files[0] for s in self._samples]
        heads = {path[: path.rfind(os.sep) + 1] for path in first}
        folders = {os.path.dirname(head) for head in heads}
        self.prepared: Path | None = Path(folders.pop()) if len(folders) == 1 else None
        self.files = {"info": [info], "samples": Paths([f for s in self._samples for f in s.files])}
        self.parameters: dict[str, Any] = {}
        self.packages: tuple[str, ...] = ()

    def check(self, inputs: Sequence[TensorSpec]) -> str:
        """Every file has the size of its input."""
        return check_files(self._samples, inputs)

    def batches(
        self, spans: Sequence[range], inputs: Sequence[TensorSpec], root: Path
    ) -> Iterator[Batch]:
        """Read by several threads, small batches several at once."""
        file_reader()  # by this thread, so that it is made, or spoken of, once
        memory = Memory()

        def read(group: Sequence[range]) -> list[Batch]:
            samples = [s for span in group for s in self._samples[span.start : span.stop]]
            return cut(read_batch(samples, inputs, root, memory), [len(span) for span in group])

        groups = _groups(spans, sum(spec.nbytes(1) or 0 for spec in inputs))
        return itertools.chain.from_iterable(in_order(read, groups, workers=2, each=2))


def _groups(spans: Sequence[range], size: int) -> Iterator[list[range]]:
    """Spans that are read in one call: of one sample each they would pass between threads too
    often, and no two of its files could be hashed side by side. ``size``: bytes of a sample.
    """
    most = min(_TOGETHER, _BYTES_TOGETHER // max(size, 1))
    group: list[range] = []
    for span in spans:
        if group and sum(map(len, group)) + len(span) > most:
            yield group
            group = []
        group.append(span)
    if group:
        yield group


class PackedSamples:
    """The rows of a packed folder (``imagenet.py --pack``)."""

    hashed = "samples"

    def __init__(self, folder: Path) -> None:
        from portproof.preprocess.dataset.pack import IDS, SAMPLES, open_packed

        self.ids, self._rows = open_packed(folder)
        self._path = folder / SAMPLES
        self.prepared: Path | None = folder
        self.files: dict[str, Sequence[Path]] = {"ids": [folder / IDS], "samples": [self._path]}
        self.parameters: dict[str, Any] = {}
        self.packages: tuple[str, ...] = ()
        self._hash, self._hashed_rows = hashlib.sha256(), 0
        self._memory = Memory()

    def check(self, inputs: Sequence[TensorSpec]) -> str:
        """The rows have the dtype and shape of the only input."""
        _check_single(
            inputs, self._rows.dtype, self._rows.shape[1:], f"the packed samples '{self._path}'"
        )
        stat = self._path.stat()
        return f"{stat.st_size} {stat.st_mtime_ns} {stat.st_ino}"

    def batches(
        self, spans: Sequence[range], inputs: Sequence[TensorSpec], root: Path
    ) -> Iterator[Batch]:
        """Copied out of the memory map by one thread, which hashes them as they pass."""
        with open(self._path, "rb") as file:
            self._hash.update(file.read(self._path.stat().st_size - self._rows.nbytes))
        return in_order(functools.partial(self._batch, inputs[0].name), spans, workers=1, each=2)

    def _batch(self, name: str, span: range) -> Batch:
        stored = self._rows[span.start : span.stop]
        rows = self._memory.empty(stored.shape, stored.dtype)
        rows[...] = stored
        if span.start == self._hashed_rows:
            self._hash.update(rows.data)
            self._hashed_rows = span.stop
        return Batch(self.ids[span.start : span.stop], {name: rows}, [])

    def records(self, read: Sequence[FileRecord], root: Path) -> list[FileRecord]:
        """The one file: by the hash of the rows as they were fed when all were, else (after an
        interruption) hashed now.
        """
        whole = self._hashed_rows == len(self.ids)
        return [record_of(self._path, root, self._hash.hexdigest() if whole else None)]


class Images(_Files):
    """Images preprocessed by the card's recipe while the model works; none is written."""

    hashed = "images"
    prepared: Path | None = None

    def __init__(self, folder: Path, card: str, workers: int | None) -> None:
        from portproof.manifest import sample_id
        from portproof.preprocess.dataset.images import find_images
        from portproof.preprocess.dataset.stream import default_workers
        from portproof.preprocess.pixels.fingerprint import decoders

        self._card, self._workers = card, workers or default_workers()
        self._images = find_images(folder)
        self.ids = [sample_id(p) for p in self._images]
        self.files = {"images": self._images, **card_files(card)}
        self.parameters: dict[str, Any] = {"decoders": decoders()}
        self.packages = ("Pillow", *builder_packages(card))

    def check(self, inputs: Sequence[TensorSpec]) -> str:
        """The recipe makes what the only input takes."""
        from portproof.preprocess.cards.resolve import resolve_card
        from portproof.preprocess.dataset.make import images_digest
        from portproof.preprocess.pixels.transform import Preprocessor
        from portproof.recipe import recipe_hash

        recipe = resolve_card(self._card).preprocessing
        _check_single(inputs, np.dtype(recipe.dtype), recipe.shape, f"the recipe of '{self._card}'")
        self._preprocessor = Preprocessor(recipe)
        return f"{images_digest(self._images)} {recipe_hash(recipe)}"

    def batches(
        self, spans: Sequence[range], inputs: Sequence[TensorSpec], root: Path
    ) -> Iterator[Batch]:
        """Preprocessed by several threads, in order."""
        from portproof.preprocess.dataset.stream import ClippingWarner, Prepared, prepare, sample_of

        def make(path: Path) -> Prepared:
            return prepare(path, root, self._preprocessor)

        warner = ClippingWarner()
        prepared = in_order(make, (self._images[i] for span in spans for i in span), self._workers)
        for span in spans:
            images = list(islice(prepared, len(span)))
            for image in images:
                warner.see(image)
            samples = np.stack([sample_of(image) for image in images])
            yield Batch(
                self.ids[span.start : span.stop],
                {inputs[0].name: samples},
                [image.source for image in images],
            )


def _check_single(
    inputs: Sequence[TensorSpec], dtype: np.dtype[Any], shape: tuple[int, ...], what: str
) -> None:
    if len(inputs) != 1:
        raise InputError(
            f"{what} are for a model with one input, this one has {len(inputs)}; use an info list"
        )
    spec = inputs[0]
    if (np.dtype(spec.dtype), spec.sample_shape) != (dtype, tuple(shape)):
        raise InputError(
            f"{what} has {dtype} {tuple(shape)}, input '{spec.name}' takes {spec.dtype}"
            f" {spec.sample_shape}; preprocess for this model"
        )
