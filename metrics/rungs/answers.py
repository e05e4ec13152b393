"""What each rung answers: a folder of results a rung, one number a class and sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from portproof.backend import Array
from portproof.core import progress
from portproof.core.errors import InputError
from portproof.core.usercode import load_callable, own_folder, source_of
from portproof.infer.offline.inference import run
from portproof.manifest import Sample, read_info
from portproof.metrics.accuracy.results import list_results
from portproof.metrics.accuracy.score import is_simulated
from portproof.metrics.rungs.rung import Rung
from portproof.rehearsal.om import Executable, NotAnOm, read_om


@dataclass(frozen=True)
class Answers:
    """The numbers of a rung, shape (samples, classes), in the order of ``ids``; ``simulated``: by
    the rehearsal.
    """

    rung: Rung
    ids: tuple[str, ...]
    values: NDArray[np.float32]
    simulated: bool

    def like(self, other: Answers) -> Array:
        """The values in the order of another rung's samples."""
        at = {name: i for i, name in enumerate(self.ids)}
        absent = [name for name in other.ids if name not in at]
        if absent:
            raise InputError(
                f"the rung '{self.rung.label}' lacks {len(absent)} of {len(other.ids)} samples, the"
                f" first is '{absent[0]}': every rung answers the same samples"
            )
        if self.values.shape[1] != other.values.shape[1]:
            raise InputError(
                f"the rung '{self.rung.label}' answers {self.values.shape[1]} numbers a sample,"
                f" '{other.rung.label}' {other.values.shape[1]}: one a class of every rung was"
                " expected"
            )
        ordered: Array = self.values[[at[name] for name in other.ids]]
        return ordered


def answers_of(
    rung: Rung, before: Answers | None, folder: Path, info: str | None, card: str | None
) -> Answers:
    """Run a rung, unless its results are there and up to date, and read what it answers."""
    if rung.is_function:
        if before is None:
            raise InputError(f"the rung '{rung.label}' has no rung before it to work on")
        return _post(rung, before)
    source = Path(rung.source)
    if source.is_dir():
        return _read(rung, source, is_simulated(source))
    info = rung.info or info
    if info is None:
        raise InputError(f"the rung '{rung.label}' is a model file: give --info, what it is run on")
    if source.suffix == ".om" and (simulated := _rehearsed(rung, source, read_info(info))):
        return simulated
    out = folder / rung.label / "result"
    run(source, info, out, card=card if source.suffix != ".onnx" else None)
    return _read(rung, out, is_simulated(out))


def _read(rung: Rung, folder: Path, simulated: bool) -> Answers:
    results = list_results(folder)
    ids = tuple(sorted(results.ids))
    values = np.empty((len(ids), classes := results.class_count()), np.float32)
    for where, part in results.read(ids, classes):
        values[where] = part
    return Answers(rung, ids, values, simulated)


def _rehearsed(rung: Rung, source: Path, samples: Sequence[Sample]) -> Answers | None:
    """The answers of the rehearsal's ``.om``, sample by sample; None for a real one."""
    try:
        header, model = read_om(source)
    except NotAnOm:
        return None
    rows, execute = [], Executable(header, model).execute
    with progress.meter(f"{rung.label} (REHEARSAL)", len(samples), "samples") as meter:
        for sample in samples:
            arrays = [
                _sample(file, spec.dtype, [1, *spec.shape[1:]], rung)
                for file, spec in zip(sample.files, header.inputs, strict=True)
            ]
            rows.append(execute(arrays)[0].reshape(-1).astype(np.float32))
            meter.advance(1)
    return Answers(rung, tuple(s.id for s in samples), np.stack(rows), True)


def _sample(file: str, dtype: str, shape: list[int], rung: Rung) -> Array:
    array = np.fromfile(file, dtype)
    if array.size != int(np.prod(shape)):
        raise InputError(
            f"'{file}' holds {array.nbytes} bytes, the rung '{rung.label}' takes {dtype} of the"
            f" shape {shape[1:]}: give its own list with --info-of {rung.label}=INFO"
        )
    return array.reshape(shape)


def _post(rung: Rung, before: Answers) -> Answers:
    """A function of the user on each sample's numbers."""
    source, name = source_of(rung.source)
    rows: list[Any] = []
    with own_folder(source):
        function, _ = load_callable(source, name)
        for values in before.values:
            try:
                row = np.asarray(function(values.copy()), np.float32).reshape(-1)
            except Exception as error:  # the user's own code raises anything
                raise InputError(
                    f"'{rung.source}' failed on one sample's {values.size} numbers:"
                    f" {type(error).__name__}: {error}"
                ) from error
            rows.append(row)
    sizes = {row.size for row in rows}
    if sizes != {before.values.shape[1]}:
        raise InputError(
            f"'{rung.source}' gives {', '.join(map(str, sorted(sizes)))} numbers a sample,"
            f" {before.values.shape[1]}, one a class, were expected"
        )
    return Answers(rung, before.ids, np.stack(rows), before.simulated)
