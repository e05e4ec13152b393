"""The simulated ``msame``: whole batches in, one file an output, and a log whose last line is the
only sign of success.

Left out: profiler and dump.
"""

from __future__ import annotations

import argparse
import datetime
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from portproof.rehearsal import has_fault
from portproof.rehearsal.device.description import lines
from portproof.rehearsal.om import at_gear
from portproof.rehearsal.programs.tool import SimulatedChip, ToolFailed, run_tool, significant


class _Parser(argparse.ArgumentParser):
    """Argument errors leave with 0, as the real tool's do."""

    def error(self, message: str) -> Any:
        print(f"[ERROR] {message}", flush=True)
        sys.exit(0)


def main() -> int:
    """Run the tool."""
    p = _Parser(prog="msame")
    p.add_argument("--model", required=True)
    p.add_argument("--input")
    p.add_argument("--output", default="")
    p.add_argument("--outfmt", choices=["TXT", "BIN"], default="TXT")
    p.add_argument("--loop", type=int, default=1, choices=range(1, 101), metavar="1..100")
    p.add_argument("--device", type=int, default=0)
    p.add_argument("--debug", default="false")
    p.add_argument("--dymBatch", type=int)
    for name in ("dymHW", "dymDims", "dymShape", "outputSize"):
        p.add_argument(f"--{name}")
    options = p.parse_args()
    print("[INFO] acl init success")
    chip = SimulatedChip(options.model, options.device)
    print(
        f"[INFO] open device {chip.device} success\n[INFO] load model {options.model}"
        " success\n[INFO] create model description success"
    )
    choose(chip, options)
    if options.debug == "true":
        print("\n".join(lines(chip.header)))
    if chip.header.kind != "static" and not _chosen(options):
        raise ToolFailed(
            "[ERROR] execute model failed, modelId is 1\n[ERROR] Sample process failed"
        )
    jobs, in_folders = work_list(options.input, len(chip.header.inputs))
    folder = output_folder(options.output) if options.output else None
    times = []
    for stem, files in jobs:
        data = [read(chip, k, files) for k in range(len(chip.header.inputs))]
        for _ in range(1 if in_folders else options.loop):
            outputs, milliseconds = chip.execute(data)
            times.append(milliseconds)
            print(f"Inference time: {significant(milliseconds)}ms")
        if folder:
            write(
                folder,
                stem or chip.path.stem,
                [_buffer(chip, k, a, options) for k, a in enumerate(outputs)],
                options.outfmt,
            )
        print("[INFO] output data success")
    report(times, in_folders, has_fault("truncated-log", chip.device))
    return 0


def choose(chip: SimulatedChip, options: argparse.Namespace) -> None:
    """Choose what a model with a choice runs with, as far as the tool checks it."""
    header = chip.header
    for kind, given, name, text, check in (
        ("batch", options.dymBatch, "dymBatch", "dynamic_batch_size", "batch size"),
        ("hw", options.dymHW, "dymHW", "dynamic_image_size", "image size"),
        ("dims", options.dymDims, "dynamic_dims", "dynamic_dims", "dims"),
    ):
        if given and (header.kind != kind or _numbers(str(given)) not in header.gears):
            why = (
                f"the {name} parameter is not correct"
                if header.kind == kind
                else f"the {text} parameter is not specified for model conversion"
            )
            failed = f"check dynamic {check} failed\n[ERROR] Sample process failed"
            raise ToolFailed(f"[ERROR] {why}\n[ERROR] {failed}")
    if header.kind == "dims" and not options.dymDims:
        raise ToolFailed(
            "[ERROR] model has dynamic_dims, please add dymDims parameter\n[ERROR] Sample process"
            " failed"
        )
    if header.kind != "static" and _chosen(options):
        chip.shapes = at_gear(header, _numbers(_chosen(options)))


def _chosen(options: argparse.Namespace) -> str:
    """What the options choose; an empty string for nothing."""
    return str(options.dymBatch or options.dymHW or options.dymDims or options.dymShape or "")


def _numbers(text: str) -> list[int]:
    """The numbers of ``4``, ``300,500`` or ``name:d,d;name:d,d``."""
    return [int(n) for part in text.split(";") for n in part.rpartition(":")[2].split(",")]


def _buffer(
    chip: SimulatedChip, number: int, array: np.ndarray[Any, Any], options: argparse.Namespace
) -> np.ndarray[Any, Any]:
    """What is written of an output: of a model with gears the buffer of the largest one, for a
    batch its part by whole division.
    """
    header = chip.header
    if header.kind not in ("batch", "hw", "dims"):
        return array
    largest = int(np.prod(header.outputs[number].shape))
    if header.kind == "batch":
        largest //= max(header.gears)[0] // options.dymBatch
    if largest <= array.size:
        return array
    filled = np.zeros(largest, array.dtype)
    filled[: array.size] = array.reshape(-1)
    return filled


def work_list(given: str | None, inputs: int) -> tuple[list[tuple[str, list[str]]], bool]:
    """(stem, files) of each run; the stem is empty where outputs are named after the model. Folders
    are walked in plain order.
    """
    if not given:
        return [("", [])], False
    names = given.split(",")
    if len(names) != inputs:
        raise ToolFailed(
            f"[ERROR] the input number {len(names)} is not that of the model, {inputs}"
        )
    if not os.path.isdir(names[0]):
        return [("", names)], False
    files = sorted(os.listdir(names[0]))
    return [
        (name.rsplit(".", 1)[0], [os.path.join(folder, name) for folder in names]) for name in files
    ], True


def read(chip: SimulatedChip, number: int, files: Sequence[str]) -> bytes:
    """The bytes of one input: a file that holds the whole batch, or zeros. Nobody minds a file that
    is too long.
    """
    size = chip.sizes()[number]
    if not files:
        return bytes(size)
    try:
        data = Path(files[number]).read_bytes()
    except OSError:
        raise ToolFailed(f"[ERROR] open file {files[number]} failed") from None
    if len(data) < size:
        raise ToolFailed(
            "[ERROR] execute model failed, modelId is 1\n[ERROR] model execute failed\n[ERROR]"
            " Sample process failed"
        )
    return data


def output_folder(root: str) -> Path:
    """A folder named after the time, without padding; its name is printed on its own line."""
    now = datetime.datetime.now()
    folder = Path(
        root,
        f"{now.year}{now.month}{now.day}_{now.hour}_{now.minute}_{now.second}_{now.microsecond}",
    )
    folder.mkdir(parents=True)
    print(folder)
    return folder


def write(folder: Path, stem: str, outputs: Sequence[np.ndarray[Any, Any]], form: str) -> None:
    """One file an output with the whole batch; text has six significant digits, a line a row."""
    for number, array in enumerate(outputs):
        path = folder / f"{stem}_output_{number}.{form.lower()}"
        if form == "BIN":
            array.tofile(path)
        else:
            rows = array.reshape(-1, array.shape[-1])
            path.write_text(
                "".join(" ".join(significant(float(v)) for v in row) + " \n" for row in rows),
                encoding="ascii",
            )


def report(times: Sequence[float], in_folders: bool, cut: bool) -> None:
    """The mean times and the line that means success."""
    mean = (
        f"Inference average time : {np.mean(times):.2f} ms"
        if in_folders
        else f"Inference average time: {np.mean(times):f} ms"
    )
    print(mean)
    if cut:
        return
    if len(times) > 1:
        rest = float(np.mean(times[1:]))
        print(
            f"Inference average time without first time: {rest:.2f} ms"
            if in_folders
            else f"Inference average time without first time: {rest:f} ms"
        )
    print("[INFO] unload model success, model Id is 1")
    print(f"[INFO] pid: {os.getpid()} Execute sample success")
    print(
        "[INFO] end to destroy stream\n[INFO] end to destroy context\n[INFO] end to reset device is"
        " 0\n[INFO] end to finalize acl"
    )


if __name__ == "__main__":
    run_tool(main)
