"""Packed results of what was run elsewhere: in parts by several devices, or by a vendor's tool that
writes a file a sample and output.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from portproof.backend import Array, TensorSpec
from portproof.core.errors import InputError, ToolError
from portproof.infer.offline.write_packed import FORMAT, PackedResults
from portproof.packed.results import open_results
from portproof.proof.sidecar import FileRecord
from portproof.proof.work import Work

#: Rows that are in memory together.
_TOGETHER = 1024

#: The outputs of some samples, an array each.
Read = Callable[[Sequence[str]], Sequence[Array]]


def write_rows(
    work: Work, names: Sequence[str], ids: Sequence[str], read: Read
) -> list[FileRecord]:
    """Write the rows of ``ids``, in this order, of the outputs ``names``; the finished files."""
    with PackedResults(work, {}, names, ids) as results:
        for first in range(len(results.finished(ids)), len(ids), _TOGETHER):
            chosen = ids[first : first + _TOGETHER]
            results.write(chosen, read(chosen))
        return results.end()


def of_parts(folders: Sequence[Path]) -> Read:
    """What reads the packed results of several parts as those of one run; :class:`InputError` if
    their outputs differ in number, dtype or shape.
    """
    opened = [open_results(folder) for folder in folders]
    place = {i: (part, row) for part, (ids, _) in enumerate(opened) for row, i in enumerate(ids)}
    outputs = [[rows for _, rows in sorted(of.items())] for _, of in opened]
    for folder, of in zip(folders, outputs, strict=True):
        if [(r.dtype, r.shape) for r in of] != [(r.dtype, r.shape) for r in outputs[0]]:
            raise InputError(
                f"the outputs in '{folder}' have other dtypes or shapes than those in"
                f" '{folders[0]}': export the model up to where sizes are fixed"
            )

    def read(chosen: Sequence[str]) -> list[Array]:
        arrays: list[Array] = []
        for number, first in enumerate(outputs[0]):
            array = np.empty((len(chosen), *first.shape), first.dtype)
            for part, of in enumerate(outputs):
                mine = [at for at, i in enumerate(chosen) if place[i][0] == part]
                with of[number].open() as reader:
                    array[mine] = reader.take([place[chosen[at]][1] for at in mine])
            arrays.append(array)
        return arrays

    return read


def check_described(model: Path, outputs: Sequence[TensorSpec] | None) -> Sequence[TensorSpec]:
    """The outputs; :class:`InputError` where a tool's bytes could not be told from others."""
    if not outputs or any(None in spec.shape[1:] for spec in outputs):
        raise InputError(
            f"--format {FORMAT} needs the dtype and shape of every output, which the sidecar of"
            f" '{model}' does not say: convert it with convert/onnx2om.py, or leave --format"
            f" {FORMAT} out"
        )
    return outputs


def of_files(files: Mapping[str, Sequence[Path]], outputs: Sequence[TensorSpec]) -> Read:
    """What reads the raw files of a tool, by sample id, as arrays of the model's outputs."""

    def read(chosen: Sequence[str]) -> list[Array]:
        return [
            np.stack([_row(files[i][number], spec) for i in chosen])
            for number, spec in enumerate(outputs)
        ]

    return read


def _row(file: Path, spec: TensorSpec) -> Array:
    data, expected = file.read_bytes(), spec.nbytes(1)
    if len(data) != expected:
        raise ToolError(
            f"the tool wrote {len(data)} bytes into '{file.name}', {expected} were expected for"
            f" output '{spec.name}' ({spec.dtype}, {spec.sample_shape})"
        )
    return np.frombuffer(data, np.dtype(spec.dtype).newbyteorder("<")).reshape(spec.sample_shape)
