"""What the simulated ``ais_bench`` repeats: a process for each device, a run for each shape."""

from __future__ import annotations

import argparse
import contextlib
import copy
import datetime
import itertools
import math
import multiprocessing
import os
import queue
import re
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from portproof.core.shell import own_environment

_SUFFIXES = (".npy", ".NPY", ".bin", ".BIN")
_MOST_WAITS = 10


def say(level: str, text: str) -> None:
    """A line of the tool's own log, written at once: several processes share the console."""
    sys.stdout.write(f"[{level}] {text}\n")
    sys.stdout.flush()


def files_in(folder: str) -> list[str]:
    """The sample files of a folder in natural order, without regard to case, as the real tool."""

    def natural(path: str) -> list[Any]:
        return [int(p) if p.isdigit() else p.lower() for p in re.split(r"(\d+)", path)]

    names = sorted(os.path.join(folder, n) for n in os.listdir(folder) if n.endswith(_SUFFIXES))
    if not names:
        say(
            "ERROR",
            f"{folder} of input args not find valid file,valid file format:[*.npy *.NPY *.bin"
            " *.BIN]",
        )
        raise RuntimeError
    return sorted(names, key=natural)


def split(files: Sequence[str], each: int, padding: str | None) -> list[list[Any]]:
    """Lists of ``each`` files, the last one filled up."""
    parts = [list(files[start : start + each]) for start in range(0, len(files), each)]
    return [part + [padding] * (each - len(part)) for part in parts]


class Tool(Protocol):
    """One run of the tool on one device."""

    session: Any

    def run(self, ready: Callable[[], None]) -> float:
        """Run; the throughput."""


def run_devices(options: argparse.Namespace, tool: Callable[[argparse.Namespace], Tool]) -> int:
    """A process a device, the files split in order; 0 if all finished, else 1."""
    say("INFO", f"multidevice:{options.device} run begin")
    context = multiprocessing.get_context("fork")
    with context.Manager() as manager, context.Pool(len(options.device)) as pool:
        messages = manager.Queue()
        parts = _parts(options, tool)
        for index, device in enumerate(options.device):
            one = copy.copy(options)
            one.device, one.input = [device], parts[index]
            folder = options.output_dirname or datetime.datetime.now().strftime("%Y_%m_%d-%H_%M_%S")
            one.output_dirname = os.path.join(folder, f"device{device}")
            pool.apply_async(
                _run_one,
                (tool, one, index, len(options.device), messages),
                error_callback=lambda error: say(
                    "ERROR", f"subprocess run failed error_callback:{error}"
                ),
            )
        pool.close()
        pool.join()
        return _report(options.device, messages)


def _run_one(
    tool: Callable[[argparse.Namespace], Tool],
    options: argparse.Namespace,
    index: int,
    count: int,
    messages: Any,
) -> None:
    say("INFO", f"subprocess_{index} main run")

    def ready() -> None:
        say("INFO", f"subprocess_{index} qsize:{messages.qsize()} now waiting")
        messages.put(index)
        for waited in range(1, _MOST_WAITS + 2):
            if messages.qsize() >= count:
                break
            if waited > _MOST_WAITS:
                say(
                    "WARNING",
                    f"subprocess_{index} qsize:{messages.qsize()} time:{waited} s elapsed",
                )
                break
            time.sleep(1)
        say("INFO", f"subprocess_{index} qsize:{messages.qsize()} ready to infer run")

    began = time.time()
    throughput = tool(options).run(ready)
    messages.put([index, throughput, began, time.time()])


def _parts(
    options: argparse.Namespace, tool: Callable[[argparse.Namespace], Tool]
) -> list[str | None]:
    """The files of each device: those of each input, split in order."""
    count = len(options.device)
    if options.input is None:
        return [None] * count
    given = options.input.split(",")
    if not os.path.isfile(given[0]) and not os.path.isdir(given[0]):
        say("ERROR", f"error {given[0]} not file or dir")
        raise RuntimeError
    files = (
        given
        if os.path.isfile(given[0])
        else [path for folder in given for path in files_in(folder)]
    )
    on_first = copy.copy(options)
    on_first.device = [0]
    each = math.ceil(len(files) / len(tool(on_first).session.get_inputs()))
    parts: list[list[str]] = [[] for _ in range(count)]
    for chunk in split(files, each, None):
        for number, part in enumerate(split(chunk, math.ceil(len(chunk) / count), None)):
            parts[number] += part
    return [",".join(filter(None, part)) for part in parts]


def _report(devices: Sequence[int], messages: Any) -> int:
    found = []
    size = messages.qsize()
    result = 0 if size == 2 * len(devices) else 1
    say("INFO", f"multidevice run end qsize:{size} result:{result}")
    with contextlib.suppress(queue.Empty):
        while True:
            message = messages.get_nowait()
            if isinstance(message, list):
                index, throughput, began, ended = message
                print(
                    f"i:{index} device_{devices[index]} throughput:{throughput} start_time:{began}"
                    f" end_time:{ended}",
                    flush=True,
                )
                found.append(throughput)
    say("INFO", f"summary throughput:{sum(found)}")
    return result


def run_shapes(ranges: str, output: str | None) -> None:
    """Run the tool for every shape of ``name:1,3,224~256~16,200-300;...``, or of the lines of such
    a file, and list the throughputs.
    """
    lines = (
        Path(ranges).read_text(encoding="utf-8").splitlines()
        if os.path.isfile(ranges)
        else [ranges]
    )
    found: list[tuple[str, float | None]] = []
    log = Path(f"{output}/dym.log" if output is not None else "dym.log")
    for shape in [shape for line in lines for shape in _shapes(line)]:
        log.unlink(missing_ok=True)
        rates = [
            line.split()[-1]
            for line in _through_a_shell(f"--dymShape={shape}", log).splitlines()
            if "throughput" in line
        ]
        found.append((shape, float(rates[0]) if len(rates) == 1 else None))
        say("INFO", f"dymshape:{shape} end run result:{'OK' if len(rates) == 1 else 'Failed'}")
    say("INFO", "-----------------dyshape_range Performance Summary------------------")
    good = [rate for _, rate in found if rate is not None]
    say(
        "INFO",
        f"run_count:{len(found)} success_count:{len(good)} avg_throughput:{np.mean(good)}",
    )
    for number, (shape, rate) in enumerate(
        sorted(found, key=lambda item: item[1] or 0, reverse=True)
    ):
        say(
            "INFO",
            f"{number} dymshape:{shape}  result:{'Failed' if rate is None else 'OK'}"
            f" throughput:{rate or 0}",
        )
    say("INFO", "------------------------------------------------------")


def _through_a_shell(shape: str, log: Path) -> str:
    """What is in the log of a run of the tool with one more argument. The real tool gives a shell
    its own arguments without quotes, so that a ``;`` between two inputs ends the command.
    """
    command, *others = " ".join([*sys.argv[1:], shape]).split(";")
    has_log = log.parent.is_dir()  # tee opens it when the tool begins
    done = subprocess.run(
        [sys.executable, "-m", "portproof.rehearsal.programs.ais_bench", *command.split()],
        env=own_environment(),
        stdout=subprocess.PIPE,
        text=True,
        check=False,
    )
    print(done.stdout, end="", flush=True)
    for other in others:
        print(f"sh: 1: {other.split()[0]}: not found", file=sys.stderr, flush=True)
    printed = "" if others else done.stdout
    if not has_log:
        print(f"tee: {log}: No such file or directory", file=sys.stderr, flush=True)
        return ""
    log.write_text(printed, encoding="utf-8")
    return printed


def _shapes(text: str) -> list[str]:
    """Every combination: ``a~b`` and ``a~b~step`` are ranges with their end, ``a-b`` alternatives.

    >>> _shapes("x:1,2~4~2;y:1-3")
    ['x:1,2;y:1', 'x:1,2;y:3', 'x:1,4;y:1', 'x:1,4;y:3']
    """
    inputs = []
    for part in text.split(";"):
        name, _, dims = part.partition(":")
        choices = [_choices(word) for word in dims.split(",")]
        inputs.append([f"{name}:{','.join(chosen)}" for chosen in itertools.product(*choices)])
    return [";".join(combined) for combined in itertools.product(*inputs)]


def _choices(word: str) -> list[str]:
    if "~" in word:
        low, high, *step = (int(n) for n in word.split("~"))
        return [str(n) for n in range(low, high + 1, *step)]
    return word.split("-")
