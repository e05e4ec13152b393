"""The simulated ``python -m ais_bench`` 0.0.2: its command line, console, output files and summary,
as seen by running the real one.

Left out: ``msprof``, without which the real one goes on as this one does.
"""

from __future__ import annotations

import argparse
import datetime
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from portproof.rehearsal import MARK
from portproof.rehearsal.device.acl import acl
from portproof.rehearsal.device.acl_tensor import BaseTensor, MemorySummary
from portproof.rehearsal.device.acl_types import session_options
from portproof.rehearsal.device.aclruntime import InferenceSession
from portproof.rehearsal.programs.ais_bench_files import groups_of, load, real_files, save
from portproof.rehearsal.programs.ais_bench_many import run_devices, run_shapes, say
from portproof.rehearsal.programs.ais_bench_options import BARS, acl_json, parser
from portproof.rehearsal.programs.ais_bench_summary import report


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
        settings.log_level = 1 if options.debug else 2
        self.settings = settings
        self.device = options.device[0]
        self.session = InferenceSession(options.model, self.device, settings)
        self.outputs = [o.name for o in self.session.get_outputs()]
        self._set_shapes()
        if options.debug:
            say("DEBUG", f"session info:{self.session}")
        self.batches: list[float] = []

    def _set_shapes(self) -> None:
        options, session = self.options, self.session
        if options.dymBatch:
            session.set_dynamic_batchsize(options.dymBatch)
        elif options.dymHW:
            height, width = options.dymHW.split(",")
            session.set_dynamic_hw(int(height), int(width))
        elif options.dymDims:
            session.set_dynamic_dims(options.dymDims)
        elif options.dymShape:
            session.set_dynamic_shape(options.dymShape)
        if options.batchsize is None:
            options.batchsize = self._model_batch()
            say("INFO", f"try get model batchsize:{options.batchsize}")
        if options.outputSize:
            session.set_custom_outsize([int(n) for n in options.outputSize.split(",")])

    def run(self, ready: Callable[[], None] = lambda: None) -> float:
        """The whole run, in the real tool's order; returns the throughput. ``ready`` is called
        between warm-up and inference.
        """
        options = self.options
        folder = self._output_folder()
        groups = groups_of(options, self.session.get_inputs())
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
        batch = float(np.mean(self.batches)) if self.batches else options.batchsize
        rate = report(options, self.session.sumary().exec_time_list, batch, summary, folder)
        self.session.finalize()
        return rate

    def _model_batch(self) -> int:
        """What the tool takes for the batch if no option gives it."""
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

    def _infer(self, groups: list[list[list[str]]], folder: Path | None) -> dict[str, Any]:
        from tqdm import tqdm

        filesinfo: dict[str, Any] = {}
        for files in tqdm(groups, file=sys.stdout, desc=BARS[self.options.run_mode]):
            arrays = self._execute(files, in_files=self.options.run_mode == "files")
            if folder is not None:
                save(self.options, arrays, files, folder, filesinfo)
        return filesinfo

    def _execute(
        self, files: list[list[str]], in_files: bool = False
    ) -> list[np.ndarray[Any, Any]]:
        descs = self.session.get_inputs()
        if in_files:
            real = [real_files(one) for one in files]
            files = real
        feeds = [load(self.options, files[k], d.realsize) for k, d in enumerate(descs)]
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


if __name__ == "__main__":
    try:
        main()
    except BaseException:
        acl.out.flush()  # as CPython flushes C's stdout before it prints a traceback
        raise
