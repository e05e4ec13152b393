"""The simulated ``python -m ais_bench`` 0.0.2: its command line, console, output files and summary,
as seen by running the real one.

Left out: ``msprof``, without which the real one goes on as this one does.
"""

from __future__ import annotations

import argparse
import datetime
import json
import os
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from portproof.rehearsal import MARK, has_fault
from portproof.rehearsal.programs.ais_bench_many import files_in, run_devices, run_shapes, say
from portproof.rehearsal.programs.ais_bench_options import BARS, acl_json, parser
from portproof.rehearsal.runtime.acl import acl
from portproof.rehearsal.runtime.acl_tensor import BaseTensor, MemorySummary
from portproof.rehearsal.runtime.acl_types import session_options
from portproof.rehearsal.runtime.aclruntime import InferenceSession

PADDING = "padding_infer_fake_file"


def main() -> None:
    """Run the tool; what goes wrong is a traceback and exit status 1, as in the real one."""
    options = parser().parse_args()
    print(f"[{MARK}] a simulated tool; its times mean nothing", flush=True)
    _check(options)
    if options.dymShape_range and not options.dymShape:
        run_shapes(options.dymShape_range, options.output)
    elif len(options.device) > 1:
        sys.exit(run_devices(options, Tool))
    else:
        Tool(options).run()


def _check(options: argparse.Namespace) -> None:
    """What the real tool looks at before it starts."""
    if options.profiler and options.dump:
        say(
            "ERROR",
            "parameter --profiler cannot be true at the same time as parameter --dump, please check"
            " them!\n",
        )
        raise RuntimeError("error bad parameters --profiler and --dump")
    if (options.profiler or options.dump) and options.output is None:
        say("ERROR", "when dump or profiler, miss output path, please check them!")
        raise RuntimeError("miss output parameter!")
    if options.profiler and options.warmup_count and options.input:
        say("INFO", "profiler mode with input change warmup_count to 0")
        options.warmup_count = 0
    if options.output is None and options.output_dirname is not None:
        say(
            "ERROR",
            "parameter --output_dirname cann't be used alone. Please use it together with the"
            " parameter --output!\n",
        )
        raise RuntimeError("error bad parameters --output_dirname")
    if options.profiler:
        say("INFO", "find no msprof continue use acl.json mode")


class Tool:
    """One run of the tool."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        settings = session_options()
        settings.acl_json_path = options.acl_json_path or acl_json(options)
        settings.loop = options.loop
        self.settings = settings
        self.device = options.device[0]
        self.session = InferenceSession(options.model, self.device, settings)
        self.outputs = [o.name for o in self.session.get_outputs()]
        self._set_shapes()
        self.batches: list[float] = []

    def _set_shapes(self) -> None:
        options, session = self.options, self.session
        if options.dymBatch:
            session.set_dynamic_batchsize(options.dymBatch)
        if options.dymHW:
            height, width = options.dymHW.split(",")
            session.set_dynamic_hw(int(height), int(width))
        if options.dymDims:
            session.set_dynamic_dims(options.dymDims)
        if options.dymShape:
            session.set_dynamic_shape(options.dymShape)
        if options.outputSize:
            session.set_custom_outsize([int(n) for n in options.outputSize.split(",")])

    def run(self, ready: Callable[[], None] = lambda: None) -> float:
        """The whole run, in the real tool's order; returns the throughput. ``ready`` is called
        between warm-up and inference.
        """
        options = self.options
        if options.batchsize is None:
            options.batchsize = self.model_batch()
            say("INFO", f"try get model batchsize:{options.batchsize}")
        folder = self._output_folder()
        groups = self._groups()
        self.settings.loop = 1
        for _ in range(options.warmup_count):
            self._execute(groups[0])
        say("INFO", f"warm up {options.warmup_count} done")
        self.settings.loop = options.loop
        self.session.reset_sumaryinfo()
        MemorySummary().reset()
        self.batches.clear()
        ready()
        summary = self._infer(groups, folder)
        return self._report(summary, folder)

    def model_batch(self) -> int:
        """What the tool takes for the batch when it is not told."""
        shape = self.session.get_inputs()[0].shape
        chosen = self.options.dymDims or self.options.dymShape
        if chosen:
            return int(chosen.split(";")[0].rpartition(":")[2].split(",")[0])
        return int(self.options.dymBatch or shape[0])

    def _output_folder(self) -> Path | None:
        options = self.options
        if not options.output:
            return None
        name = options.output_dirname or datetime.datetime.now().strftime("%Y_%m_%d-%H_%M_%S")
        folder = Path(options.output, name)
        folder.mkdir(parents=True, exist_ok=True)
        say("INFO", f"output path:{options.output.rstrip('/')}/{name}")
        return folder

    def _groups(self) -> list[list[list[str]]]:
        """For each execution, for each input, the files of the batch; one group of empty lists is
        pure inference.
        """
        descs = self.session.get_inputs()
        if not self.options.input:
            return [[[] for _ in descs]]
        given = self.options.input.split(",")
        lists = self._lists(given, len(descs))
        first, needed = _size_of(lists[0][0]), descs[0].realsize
        auto = self.options.auto_set_dymshape_mode or self.options.auto_set_dymdims_mode
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
        return [
            [_padded(files[k * together : (k + 1) * together], together) for files in lists]
            for k in range(runs)
        ]

    def _lists(self, given: Sequence[str], inputs: int) -> list[list[str]]:
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
                    f"Invalid input args.--input:{list(given)} input[{index}]:{path} {path} not"
                    " exist",
                )
                raise RuntimeError
        each = len(given) // inputs
        return [list(given[k * each : (k + 1) * each]) for k in range(inputs)]

    def _infer(self, groups: list[list[list[str]]], folder: Path | None) -> dict[str, Any]:
        from tqdm import tqdm

        filesinfo: dict[str, Any] = {}
        for files in tqdm(groups, file=sys.stdout, desc=BARS[self.options.run_mode]):
            arrays = self._execute(files)
            if folder is not None:
                self._save(arrays, files, folder, filesinfo)
        return filesinfo

    def _execute(self, files: list[list[str]]) -> list[np.ndarray[Any, Any]]:
        descs = self.session.get_inputs()
        feeds = [
            self._load(files[k], k) if files[k] else self._made_up(d.realsize)
            for k, d in enumerate(descs)
        ]
        if self.options.auto_set_dymshape_mode or self.options.auto_set_dymdims_mode:
            shapes = ";".join(
                f"{d.name}:{','.join(map(str, f.shape))}" for d, f in zip(descs, feeds, strict=True)
            )
            (
                self.session.set_dynamic_shape
                if self.options.auto_set_dymshape_mode
                else self.session.set_dynamic_dims
            )(shapes)
            self.batches.append(float(feeds[0].shape[0]))
        bases = [BaseTensor(f.__array_interface__["data"][0], f.nbytes) for f in feeds]
        tensors = self.session.run(self.outputs, bases)
        for tensor in tensors:
            tensor.to_host()
        return [np.array(t) for t in tensors]

    def _load(self, files: Sequence[str], number: int) -> np.ndarray[Any, Any]:
        names = [files[0] if f == PADDING else f for f in files]
        parts = [
            np.load(n) if n.lower().endswith(".npy") else np.fromfile(n, np.int8) for n in names
        ]
        if len(parts) == 1:
            return np.ascontiguousarray(parts[0])
        data = np.concatenate([np.frombuffer(p.tobytes(), np.int8) for p in parts])
        needed = self.session.get_inputs()[number].realsize
        if data.nbytes != needed:
            say("ERROR", f"ndata size:{data.nbytes} not match {needed}")
            raise RuntimeError
        return data

    def _made_up(self, size: int) -> np.ndarray[Any, Any]:
        if self.options.pure_data_type == "zero":
            return np.zeros(size, np.int8)
        return np.random.default_rng().integers(0, 256, size, np.uint8).view(np.int8)

    def _save(
        self,
        arrays: list[np.ndarray[Any, Any]],
        files: list[list[str]],
        folder: Path,
        info: dict[str, Any],
    ) -> None:
        options, together = self.options, max(len(files[0]), 1)
        samples = (
            [row for row in zip(*files, strict=True) if row[0] != PADDING]
            if files[0]
            else [("pure_infer_data",)]
        )
        first = len(info)
        for row in samples:
            info[str(len(info))] = {"infiles": list(row), "outfiles": []}
        for number, array in enumerate(arrays):
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

    def _report(self, info: dict[str, Any], folder: Path | None) -> float:
        times, memory = self.session.sumary().exec_time_list, MemorySummary()
        copies = {"H2D_latency": memory.H2D_time_list, "D2H_latency": memory.D2H_time_list}
        batch = float(np.mean(self.batches)) if self.batches else self.options.batchsize
        npu = _statistics(times)
        throughput = float(1000 * batch / npu["mean"]) if npu["mean"] else 0
        say("INFO", "-----------------Performance Summary------------------")
        shown = {
            "H2D_latency": copies["H2D_latency"],
            "NPU_compute_time": times,
            "D2H_latency": copies["D2H_latency"],
        }
        for name, values in shown.items():
            if (
                name == "NPU_compute_time"
                or self.options.display_all_summary
                or self.options.run_mode == "full"
            ):
                say(
                    "INFO",
                    f"{name} (ms): "
                    + ", ".join(
                        f"{k} = {v}" for k, v in _statistics(values).items() if k != "count"
                    ),
                )
        if has_fault("truncated-log", self.device):
            return throughput
        say(
            "INFO",
            f"throughput 1000*batchsize.mean({batch})/NPU_compute_time.mean({npu['mean']}):"
            f" {throughput}",
        )
        say("INFO", "------------------------------------------------------")
        if folder is None:
            return throughput
        args = [f"{MARK}/ais_bench/__main__.py", *sys.argv[1:]]
        summary = {
            "filesinfo": info,
            "args": args,
            "NPU_compute_time": npu,
            **{k: _statistics(v) for k, v in copies.items()},
            "throughput": throughput,
            "npu_compute_time_list": times,
            "pid": os.getpid(),
        }
        Path(f"{folder}_summary.json").write_text(json.dumps(summary), encoding="utf-8")
        return throughput


def _size_of(path: str) -> int:
    return int(np.load(path).nbytes) if path.lower().endswith(".npy") else os.path.getsize(path)


def _padded(files: list[str], count: int) -> list[str]:
    return files + [PADDING] * (count - len(files))


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


def _statistics(values: Sequence[float]) -> dict[str, Any]:
    if not values:
        return {
            "min": 0.0,
            "max": 0.0,
            "mean": 0.0,
            "median": 0.0,
            "percentile(99%)": 0.0,
            "count": 0,
        }
    found = {
        "min": min(values),
        "max": max(values),
        "mean": float(np.mean(values)),
        "median": float(np.median(values)),
    }
    return {**found, "percentile(99%)": float(np.percentile(values, 99)), "count": len(values)}


if __name__ == "__main__":
    try:
        main()
    except BaseException:
        acl.out.flush()  # as CPython flushes C's stdout before it prints a traceback
        raise
