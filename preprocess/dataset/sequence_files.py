"""Texts and recordings of a data set, encoded into one ``.bin`` file for each input of a model."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import msgspec
import numpy as np

from portproof.card import Card
from portproof.core import plugins, progress
from portproof.core.errors import InputError
from portproof.core.files import atomic_writer, existing_file, flush_to_disk, read_text
from portproof.core.jsonfile import json_in
from portproof.core.text import listed
from portproof.core.yamlfile import as_data
from portproof.manifest import Sample, check_unique, files_in, sample_id
from portproof.preprocess.dataset.given_samples import refuse_blank_ids, sample_files
from portproof.preprocess.dataset.info_list import write_listing
from portproof.proof.work import Work
from portproof.sequence import kind_of

_LINES = (".txt", ".tsv")
_JSON_LINES = ".jsonl"


@dataclass(frozen=True)
class Source:
    """One sample before it is encoded: a ``text``, with its ``pair`` if there are two, or the
    ``path`` of a file.
    """

    id: str
    text: str | None = None
    pair: str | None = None
    path: Path | None = None


class _Line(msgspec.Struct, forbid_unknown_fields=True):
    id: str
    text: str
    pair: str | None = None


def encode_files(given: Path, card: Card, folder: Path, info: Path) -> None:
    """Encode every text or recording of ``given`` to ``folder`` and list them in ``info``, with a
    sidecar each, unless that is done.

    :class:`InputError` for a card without ``sequence``, and for a sample that it does not fit.
    """
    if card.sequence is None:
        raise InputError(
            f"the model card '{card.name}' has no 'sequence', which says how text or sound becomes"
            " its inputs; add it, or give the samples ready (portproof samples)"
        )
    kind = plugins.load("portproof.preprocess.encoders", kind_of(card.sequence), "kind of sequence")
    base = Path(card.path).parent if card.path else Path()
    sources = _sources(given, kind)
    check_unique((s.id for s in sources), f"'{given}'")
    refuse_blank_ids(s.id for s in sources)
    work = Work(
        "encode",
        folder,
        inputs={
            "sources": [s.path for s in sources if s.path] if given.is_dir() else [given],
            "vocabulary": [existing_file(base / n, "vocabulary") for n in card.sequence.file_names],
        },
        parameters={
            "sequence": as_data(card.sequence),
            "inputs": [[i.name, i.dtype, list(i.shape)] for i in card.inputs],
        },
        packages=("numpy",),
    )
    samples = [Sample(s.id, sample_files(folder, s.id, len(card.inputs))) for s in sources]
    if not work.is_done():
        work.begin()
        folder.mkdir(parents=True, exist_ok=True)
        cut = _encode_all(sources, samples, card, kind.encoder(card.sequence, base))
        work.finish([Path(f) for s in samples for f in s.files], {"samples": len(samples)} | cut)
        progress.say(f"encode: {len(samples)} samples in {folder}")
    write_listing(info, str(folder), samples)


def _encode_all(
    sources: list[Source], samples: list[Sample], card: Card, encode: Callable[[Source], Any]
) -> dict[str, Any]:
    """Write the files; returns which samples were cut."""
    assert card.sequence is not None  # its caller has looked
    cut = []
    with progress.meter("encode", len(sources), "samples") as meter:
        for source, sample in zip(sources, samples, strict=True):
            try:
                encoded = encode(source)
            except InputError as error:
                raise InputError(f"sample '{source.id}': {error}") from error
            cut += [source.id] if encoded.cut else []
            for part, spec, file in zip(
                card.sequence.parts, card.inputs, sample.files, strict=True
            ):
                values = encoded.arrays[part].astype(np.dtype(spec.dtype))
                with atomic_writer(file, durable=False) as out:
                    out.write(values.tobytes())
            meter.advance()
    flush_to_disk()
    if cut:
        progress.warn(f"{len(cut)} of {len(sources)} samples were cut at the end ({listed(cut)})")
    return {"cut": cut}


def _sources(given: Path, kind: ModuleType) -> list[Source]:
    """The samples of a folder, or of a file of lines."""
    if given.is_dir():
        return list(_of_folder(given, kind))
    path = existing_file(given, "texts, or folder of files")
    if path.suffix.lower() == _JSON_LINES:
        sources = list(_of_json_lines(path))
    elif path.suffix.lower() in _LINES:
        sources = list(_of_lines(path))
    else:
        raise InputError(
            f"'{path}': a folder of {' or '.join(kind.SUFFIXES)} files, or texts in a file that"
            f" ends in {', '.join(_LINES)} or {_JSON_LINES}, was expected"
        )
    if not sources:
        raise InputError(f"'{path}' holds no text; a line for each sample was expected")
    return sources


def _of_folder(folder: Path, kind: ModuleType) -> Iterator[Source]:
    names = files_in(folder, kind.SUFFIXES)
    if not names:
        raise InputError(
            f"'{folder}' holds no {' or '.join(kind.SUFFIXES)} files; one for each"
            " sample was expected"
        )
    for path in names:
        text = read_text(path, "text") if path.suffix.lower() in _LINES else None
        yield Source(sample_id(path), text=text, path=path)


def _of_lines(path: Path) -> Iterator[Source]:
    for number, line in enumerate(read_text(path, "texts").split("\n"), start=1):
        if not line.strip():
            continue
        name, tab, text = line.removesuffix("\r").partition("\t")
        if not tab or not name:
            raise InputError(
                f"texts '{path}', line {number}: '<name><tab><text>' was expected; JSON lines with"
                " id, text and pair are another way"
            )
        yield Source(sample_id(name), text=text)


def _of_json_lines(path: Path) -> Iterator[Source]:
    for number, line in enumerate(read_text(path, "texts").split("\n"), start=1):
        if not line.strip():
            continue
        try:
            found = msgspec.convert(json_in(line.encode()), _Line)
        except (ValueError, msgspec.ValidationError) as error:
            raise InputError(
                f"texts '{path}', line {number}: an object with id, text and perhaps pair was"
                f" expected ({error})"
            ) from error
        yield Source(sample_id(found.id), text=found.text, pair=found.pair)
