"""The files of the simulated ``ais_bench``: inputs that go together, outputs of a sample."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from portproof.rehearsal.programs.ais_bench_many import files_in, say, split

PADDING, PURE = "padding_infer_fake_file", "pure_infer_data"


def groups_of(options: argparse.Namespace, descs: Sequence[Any]) -> list[list[list[str]]]:
    """For each execution, for each input, the files of the batch; one group of empty lists is
    pure inference.
    """
    if options.input is None:
        return [[[PURE] for _ in descs]]
    lists = _lists(options.input.split(","), len(descs))
    first, needed = _size_of(lists[0][0]), descs[0].realsize
    auto = options.auto_set_dymshape_mode or options.auto_set_dymdims_mode
    if not auto and (first == 0 or needed % first):
        say("ERROR", f"arg0 tensorsize: {needed} filesize: {first} not match")
        raise RuntimeError
    together = 1 if auto else needed // first
    runs = -(-len(lists[0]) // together)
    say(
        "INFO",
        f"get filesperbatch files0 size:{first} tensor0size:{needed} filesperbatch:{together}"
        f" runcount:{runs}",
    )
    batches = [split(files, together, PADDING) for files in lists]
    return [[each[k] for each in batches] for k in range(runs)]


def _lists(given: Sequence[str], inputs: int) -> list[list[str]]:
    if os.path.isdir(given[0]):
        if len(given) != inputs:
            say(
                "ERROR",
                f"Invalid args. args input dir num:{len(given)} not equal to model inputs"
                f" num:{inputs}",
            )
            raise RuntimeError
        return [files_in(d) for d in given]
    if not os.path.isfile(given[0]):
        say("ERROR", f"Invalid args. {given[0]}  of --input is invalid")
        raise RuntimeError
    for index, path in enumerate(given):
        if not os.path.isfile(path):
            say(
                "ERROR",
                f"Invalid input args.--input:{list(given)} input[{index}]:{path} {path} not exist",
            )
            raise RuntimeError
    lists = split(given, len(given) // inputs, PADDING)
    if len(lists) != inputs:
        say("ERROR", f"fileslist:{len(lists)} intensor:{inputs} not match")
        raise RuntimeError
    return lists


def load(options: argparse.Namespace, files: Sequence[str], needed: int) -> np.ndarray[Any, Any]:
    """The bytes of a batch for one input of ``needed`` bytes; one file keeps its type."""
    parts = [_content(options, files, index, needed) for index in range(len(files))]
    if len(parts) == 1:
        return np.ascontiguousarray(parts[0])
    data = np.concatenate([np.frombuffer(p.tobytes(), np.int8) for p in parts])
    if data.nbytes != needed:
        say("ERROR", f"ndata size:{data.nbytes} not match {needed}")
        raise RuntimeError
    return data


def _content(
    options: argparse.Namespace, files: Sequence[str], index: int, needed: int
) -> np.ndarray[Any, Any]:
    path = files[index]
    if options.debug:
        say("DEBUG", f"get tensor from filepath:{path} i:{index} of all:{len(files)}")
    if path == PURE:
        if options.pure_data_type == "zero":
            return np.zeros(needed, np.int8)
        return np.random.default_rng().integers(0, 256, needed, np.uint8).view(np.int8)
    if path == PADDING:
        if options.debug:
            say("DEBUG", f"padding file use fileslist[0]:{files[0]}")
        path = files[0]
    return np.load(path) if path.lower().endswith(".npy") else np.fromfile(path, np.int8)


def real_files(files: Sequence[str]) -> list[str]:
    """The files that the run mode ``files`` hands to the library."""
    for path in files:
        if path == PURE:
            raise RuntimeError("not support pure infer")
        if path.endswith((".npy", ".NPY")):
            raise RuntimeError(f"not support npy file:{path}")
    return [files[0] if path == PADDING else path for path in files]


def save(
    options: argparse.Namespace,
    arrays: list[np.ndarray[Any, Any]],
    files: list[list[str]],
    folder: Path,
    info: dict[str, Any],
) -> None:
    """Write the outputs of one execution, a file a sample and output, and note them in ``info``."""
    together = len(files[0])
    samples = [row for row in zip(*files, strict=True) if row[0] != PADDING]
    first = len(info)
    for row in samples:
        info[str(len(info))] = {"infiles": list(row), "outfiles": []}
    for number, array in enumerate(arrays):
        _check_axis(options, number, array, files)
        parts = (
            np.array_split(array, together, axis=options.output_batchsize_axis)
            if together > 1
            else [array]
        )
        for index, row in enumerate(samples):
            stem = os.path.basename(row[0]).split(".")[0]
            path = os.path.join(folder, f"{stem}_{number}.{options.outfmt.lower()}")
            _write(path, parts[index], options.outfmt)
            info[str(first + index)]["outfiles"].append(path)


def _check_axis(
    options: argparse.Namespace, number: int, array: np.ndarray[Any, Any], files: list[list[str]]
) -> None:
    """The outputs of a batch can be split along the axis that was asked for."""
    together = len(files[0])
    if array.ndim <= options.output_batchsize_axis:
        say(
            "ERROR",
            f"error i:{number} ndata.shape:{array.shape} len:{array.ndim} <="
            f" output_batchsize_axis:{options.output_batchsize_axis}  is invalid",
        )
        raise RuntimeError
    if together > 1 and array.shape[options.output_batchsize_axis] % together:
        say(
            "ERROR",
            f"save out files error array shape:{array.shape} filesinfo:{files}"
            f" files_count_perbatch:{together} ndata.shape"
            f"{options.output_batchsize_axis}:{array.shape[options.output_batchsize_axis]}",
        )
        raise RuntimeError


def _size_of(path: str) -> int:
    return int(np.load(path).nbytes) if path.lower().endswith(".npy") else os.path.getsize(path)


def _write(path: str, array: np.ndarray[Any, Any], form: str) -> None:
    if form == "BIN":
        array.tofile(path)
    elif form == "NPY":
        np.save(path, array)
    else:
        pattern = "%d " if array.dtype.kind in "iub" else "%f "
        rows = array.reshape(-1, array.shape[-1])
        Path(path).write_text(
            "".join("".join(pattern % v for v in row) + "\n" for row in rows.tolist()),
            encoding="ascii",
        )
