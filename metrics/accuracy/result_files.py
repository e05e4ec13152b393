"""Result folders of files, one a sample and output, ``<sample id>_<output number>.bin|txt|npy``,
read many at a time.

``bin`` is the raw little-endian tensor, without a header; ``txt`` is numbers between blanks;
``npy`` is numpy's own. The benchmark tool and PortProof count outputs from 1, ``ais_bench`` from 0.
A folder holds such files and nothing else.
"""

from __future__ import annotations

import operator
import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portproof.core.errors import InputError
from portproof.core.files import read_file
from portproof.core.text import listed
from portproof.infer.offline.file_reader import FileReader
from portproof.metrics.accuracy.contents import (
    MANY,
    Logits,
    array_in,
    content_of,
    fill,
    numbers_in,
)
from portproof.metrics.accuracy.one_output import (
    Results,
    Where,
    check_count,
    check_one_axis,
    chosen_number,
)
from portproof.packed.ids import SampleIds
from portproof.proof.freshness import listing_digest

#: Files read before they are looked at: with 1000 classes they are still in the processor's cache.
_CHUNK = {"bin": 512, "txt": 16, "npy": 256}

#: A result's name after its last underscore: output number and format.
_ENDING = re.compile(r"(0|[1-9][0-9]*)\.(bin|txt|npy)")


@dataclass(frozen=True)
class ResultFiles(Results):
    """The files of one output in a result folder, ``<id>_<output>.<format>`` for every id.
    ``format`` is ``bin``, ``txt`` or ``npy``.
    """

    folder: Path
    output: int
    ids: SampleIds
    format: str
    #: The identities of all files, as they were when they were read and hashed.
    seen: bytearray = field(default_factory=bytearray, compare=False, repr=False)

    @classmethod
    def choose(cls, path: Path, output: int | None) -> ResultFiles:
        """The files of one output of a folder (see
        :func:`portproof.metrics.accuracy.results.list_results`).
        """
        groups = groups_in(path)
        wanted = chosen_number(path, sorted({number for number, _ in groups}), output)
        form, ids = _only_form(path, {f: ids for (n, f), ids in groups.items() if n == wanted})
        return cls(path, wanted, SampleIds.of(sorted(ids)), form)

    def name(self, sample: str) -> str:
        """The base name of a sample's file."""
        return f"{sample}_{self.output}.{self.format}"

    def path(self, sample: str) -> str:
        """The path of a sample's file."""
        return f"{self.folder}{os.sep}{self.name(sample)}"

    def listing_digest(self) -> str:
        """Over the files of this output, as they were hashed if they were."""
        return listing_digest(self.folder, self.ids, self.name(""), bytes(self.seen) or None)

    def class_count(self, dtype: str = "float32", classes: int | None = None) -> int:
        """``dtype`` says how long a number is in ``bin``."""
        sample = self.ids[0]
        if classes is not None:
            count = classes
        elif self.format == "bin":
            size, item = os.stat(self.path(sample)).st_size, np.dtype(dtype).itemsize
            if size == 0 or size % item:
                raise InputError(
                    f"'{self.path(sample)}' has {size} bytes, a multiple of {item} ({dtype}) was"
                    " expected; is --dtype right, is the file whole?"
                )
            count = size // item
        else:
            content = content_of(self.path(sample))
            count = numbers_in([content], [self.name(sample)], self.format)[0].size
            if self.format == "npy":
                shape = array_in(content, self.name(sample)).shape
                check_one_axis(shape, f"'{self.path(sample)}'")
        return check_count(count, f"'{self.path(sample)}'")

    def read(
        self, ids: Sequence[str], classes: int, dtype: str = "float32", digest: Any = None
    ) -> Iterator[tuple[Where, Logits]]:
        """In the order of ``ids``."""
        if self.format == "bin":
            yield from _read_bin(self, ids, classes, np.dtype(dtype).newbyteorder("<"), digest)
        else:
            yield from _read_parsed(self, ids, classes, digest)

    def array(self, sample: str, dtype: np.dtype[Any]) -> NDArray[Any]:
        """Flat, but for ``npy``."""
        path = self.path(sample)
        data = read_file(path, "result")
        if self.format == "npy":
            return array_in(data, path)
        if self.format == "txt":
            return numbers_in([data], [path], "txt")[0]
        if len(data) % dtype.itemsize:
            raise InputError(
                f"'{path}' has {len(data)} bytes, a multiple of {dtype.itemsize} ({dtype.name}) was"
                " expected; is the dtype right, is the file whole?"
            )
        return np.frombuffer(data, dtype.newbyteorder("<"))

    def raw(self, ids: Sequence[str]) -> list[bytes] | None:
        """Of ``bin``: the others say what they hold."""
        if self.format != "bin":
            return None
        return [Path(self.path(sample)).read_bytes() for sample in ids]


def groups_in(path: Path) -> dict[tuple[int, str], list[str]]:
    """(output number, format) -> sample ids; :class:`InputError` for any other file."""
    by_ending = _by_ending(os.listdir(path))
    groups: dict[tuple[int, str], list[str]] = {}
    strays: list[str] = []
    for ending, heads in by_ending.items():
        match = _ENDING.fullmatch(ending)
        # A sample id is cut at the first dot, so none has a dot in it.
        odd = [h for h in heads if not h or "." in h] if match else heads
        strays += [f"{head}_{ending}" if head else ending for head in odd]
        if match and len(odd) < len(heads):
            groups[int(match[1]), match[2]] = (
                [h for h in heads if h and "." not in h] if odd else heads
            )
    if strays:
        raise InputError(
            f"'{path}' holds {len(strays)} files or folders that are not results"
            f" ({listed(sorted(strays))}): only files '<sample id>_<output>.bin', .txt or .npy were"
            " expected; give the folder that holds these, and move the rest out"
        )
    if not groups:
        raise InputError(
            f"'{path}' is empty: files '<sample id>_<output>.bin', .txt or .npy were expected; did"
            " the inference write there?"
        )
    return groups


def _by_ending(names: list[str]) -> dict[str, list[str]]:
    """What follows the last underscore of each name -> what is before it."""
    ending = names[0].rpartition("_")[2] if names else ""
    cut = -len(ending) - 1
    # A folder of one output's files is the usual case, and may hold very many.
    if ending and all(map(operator.methodcaller("endswith", f"_{ending}"), names)):
        return {ending: [name[:cut] for name in names]}
    found: dict[str, list[str]] = {}
    for name in names:
        head, _, ending = name.rpartition("_")
        found.setdefault(ending, []).append(head)
    return found


def _only_form(path: Path, chosen: dict[str, list[str]]) -> tuple[str, list[str]]:
    """The one format of an output's files, and their ids."""
    if len(chosen) > 1:
        double = sorted(
            i
            for i, count in Counter(i for ids in chosen.values() for i in ids).items()
            if count > 1
        )
        counts = " and ".join(f"{len(ids)} .{form}" for form, ids in sorted(chosen.items()))
        raise InputError(
            f"'{path}' mixes {counts} files of one output; {len(double)} samples are there more"
            f" than once ({listed(double) or 'none'}); it is a mix of two runs: empty the folder"
            " and run the inference again"
        )
    return chosen.popitem()


def _read_bin(
    files: ResultFiles, ids: Sequence[str], classes: int, dtype: np.dtype[Any], digest: Any
) -> Iterator[tuple[Where, Logits]]:
    chunk = min(_CHUNK["bin"], len(ids))
    rows = np.empty((chunk, classes), dtype)
    files.seen.clear()
    ending, reader = files.name(""), _reader(len(ids))
    is_listed = digest is not None and SampleIds.of(ids) == files.ids
    for first in range(0, len(ids), chunk):
        part = [f"{sample}{ending}" for sample in ids[first : first + chunk]]
        read = rows[: len(part)]
        seen = fill(files.folder, part, read, reader)
        if seen is None:
            size = classes * dtype.itemsize
            sizes = {sample: os.stat(files.path(sample)).st_size for sample in ids}
            odd = {sample: count for sample, count in sizes.items() if count != size}
            raise _wrong_counts(
                files, odd, f"{size} bytes ({classes} classes of {dtype.name})", "bytes", len(ids)
            )
        if is_listed:
            files.seen.extend(seen)
        if digest is not None:
            digest.update(read.view(np.uint8))
        yield slice(first, first + len(part)), read.astype(np.float32, copy=dtype.itemsize < 4)


def _reader(files: int) -> FileReader:
    if files < MANY:
        return FileReader()
    from portproof.infer.offline.native import file_reader

    return file_reader()


def _wrong_counts(
    files: ResultFiles, odd: dict[str, int], expected: str, unit: str, total: int
) -> InputError:
    groups: dict[int, list[str]] = {}
    for sample, count in odd.items():
        groups.setdefault(count, []).append(files.name(sample))
    seen = "; ".join(
        f"{count} {unit} in {len(names)} ({listed(names, 3)})"
        for count, names in sorted(groups.items())[:3]
    )
    return InputError(
        f"'{files.folder}': {len(odd)} of {total} results do not hold {expected}, but {seen}; "
        "are --dtype, --classes and --output right, and is every result of one model and whole?"
    )


def _read_parsed(
    files: ResultFiles, ids: Sequence[str], classes: int, digest: Any
) -> Iterator[tuple[Where, Logits]]:
    odd: dict[str, int] = {}
    for first in range(0, len(ids), _CHUNK[files.format]):
        part = ids[first : first + _CHUNK[files.format]]
        contents = [content_of(files.path(sample)) for sample in part]
        if digest is not None:
            digest.update(b"".join(contents))
        numbers = numbers_in(contents, [files.name(sample) for sample in part], files.format)
        odd.update(
            {
                sample: row.size
                for sample, row in zip(part, numbers, strict=True)
                if row.size != classes
            }
        )
        if not odd:
            yield slice(first, first + len(part)), np.stack(numbers)
    if odd:
        raise _wrong_counts(files, odd, f"{classes} numbers", "numbers", len(ids))
