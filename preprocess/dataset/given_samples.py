"""Samples that somebody made ready for a model: joined, checked against its inputs, and copied into
one folder that a port holds and seals.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from portproof.card import Card, Input
from portproof.core import progress
from portproof.core.errors import InputError
from portproof.core.files import existing_file, existing_folder, flush_to_disk, write_bytes
from portproof.core.text import listed
from portproof.manifest import Sample, check_unique, files_in, read_info, sample_id
from portproof.preprocess.dataset.info_list import write_listing
from portproof.proof.sidecar import sidecar_of
from portproof.proof.work import Work


def take_samples(given: Sequence[Path], root: Path, card: Card, folder: Path, info: Path) -> None:
    """Copy the samples to ``folder`` and list them in ``info``, with a sidecar each, unless that is
    done.

    ``given``: an info list with all inputs of a sample under one index, or one info list or folder
    for each input of the card, which are joined by sample id. ``root``: where relative paths in
    lists begin. Raises :class:`InputError` when a sample has not one file of the right size for
    each input.
    """
    samples = _joined([_samples_in(path, root) for path in given], given)
    _check(samples, card)
    proofs = [sidecar_of(path) for path in given if path.is_dir() and sidecar_of(path).is_file()]
    work = Work(
        "samples",
        folder,
        inputs={
            "samples": [Path(file) for sample in samples for file in sample.files],
            "lists": [path for path in given if path.is_file()],
            "prepared": proofs,
        },
        parameters={"inputs": [[i.name, i.dtype, list(i.shape)] for i in card.inputs]},
    )
    copies = [replace(s, files=sample_files(folder, s.id, len(s.files))) for s in samples]
    if not work.is_done():
        work.begin()
        folder.mkdir(parents=True, exist_ok=True)
        with progress.meter("samples", len(samples), "samples") as meter:
            for sample, copy in zip(samples, copies, strict=True):
                for source, target in zip(sample.files, copy.files, strict=True):
                    write_bytes(Path(target), Path(source).read_bytes())
                meter.advance()
        flush_to_disk()
        work.finish([Path(f) for c in copies for f in c.files], {"samples": len(samples)})
        progress.say(f"samples: {len(samples)} samples in {folder}")
    write_listing(info, str(folder), copies)


def _samples_in(path: Path, root: Path) -> list[Sample]:
    """The samples of a list, or one a ``.bin`` file of a folder."""
    if not path.is_dir():
        samples = read_info(existing_file(path, "info list or folder of samples"))
        return [replace(s, files=tuple(str(root / file) for file in s.files)) for s in samples]
    names = files_in(existing_folder(path, "samples"), (".bin",))
    if not names:
        raise InputError(f"'{path}' holds no .bin files; one for each sample was expected")
    check_unique(map(sample_id, names), f"the folder '{path}'")
    return [Sample(sample_id(name), (str(name),)) for name in names]


def _joined(parts: list[list[Sample]], given: Sequence[Path]) -> list[Sample]:
    """The samples of several lists, joined by id, in the order of the first."""
    first, *others = parts
    joined = {sample.id: sample for sample in first}
    for path, samples in zip(given[1:], others, strict=True):
        own = {sample.id: sample for sample in samples}
        if odd := sorted(joined.keys() ^ own.keys()):
            raise InputError(
                f"'{given[0]}' and '{path}' do not hold the same samples: {len(odd)} are in one"
                f" only ({listed(odd)}); they are joined by file name up to the first dot"
            )
        joined = {i: replace(s, files=(*s.files, *own[i].files)) for i, s in joined.items()}
    return list(joined.values())


def _check(samples: list[Sample], card: Card) -> None:
    """One file of the right size for each input of the card."""
    names = ", ".join(spec.name for spec in card.inputs)
    if len(samples[0].files) != len(card.inputs):
        raise InputError(
            f"the samples have {len(samples[0].files)} files each, the model card '{card.name}' has"
            f" {len(card.inputs)} inputs ({names}): give an info list with a line for each under"
            " one index, or one list or folder for each"
        )
    refuse_blank_ids(sample.id for sample in samples)
    for sample in samples:
        for file, spec in zip(sample.files, card.inputs, strict=True):
            _check_size(file, spec)


def refuse_blank_ids(ids: Iterable[str]) -> None:
    """Refuse sample ids with blanks before the work: an info list cannot hold them."""
    blank = [i for i in ids if any(c.isspace() for c in i)]
    if blank:
        raise InputError(
            f"{len(blank)} samples have blanks in their names ({listed(blank)}), which an info list"
            " cannot hold: rename their files"
        )


def _check_size(file: str, spec: Input) -> None:
    size = existing_file(file, f"sample of the input '{spec.name}'").stat().st_size
    wanted = int(np.prod(spec.shape, dtype=np.int64)) * np.dtype(spec.dtype).itemsize
    if size != wanted:
        raise InputError(
            f"'{file}' has {size} bytes, and one sample of the input '{spec.name}' has {wanted}"
            f" ({spec.dtype}, {' x '.join(map(str, spec.shape))})"
        )


def sample_files(folder: Path, sample: str, inputs: int) -> tuple[str, ...]:
    """The files of a sample, one an input: their sample id is that of the first."""
    numbers = ["", *(f".{k}" for k in range(2, inputs + 1))]
    return tuple(str(folder / f"{sample}{number}.bin") for number in numbers)
