"""``benchmark.x86_64`` and ``benchmark.aarch64``: info list in, ``result/dumpOutput_device<D>`` and
a perf file out.

It runs in the scratch folder, so that it never finds results of an earlier run, which it would
leave in place. Its perf file is the sign of success, checked against the samples that were given.
Source: command lines and logs in public READMEs; the tool itself is closed.
"""

from __future__ import annotations

import os
import platform
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from portproof.core.errors import InputError
from portproof.core.shell import Finished, find_program, run_program, tool_folders
from portproof.infer.vendor import Job, Outcome, because
from portproof.manifest import Sample, sample_id, write_info

FORMS: tuple[str, ...] = ("bin", "txt")
#: Pure inference runs on random data that the tool makes itself.
INPUTS: tuple[str, ...] = ("random",)

_RATE = re.compile(r"Interface throughputRate:\s*([\d.e+]+), moduleLatency")
_END_TO_END = re.compile(r"\[e2e\] throughputRate:\s*([\d.e+]+), latency:\s*([\d.e+]+)")
_BATCHES = re.compile(
    r"\[infer(?:ence)?\] throughputRate:\s*([\d.e+]+),.*\n\[post(?:process)?\]"
    r" throughputRate:\s*([\d.e+]+)"
)
_CALL = re.compile(r"Dataset number:\s*\d+ finished cost ([\d.e+-]+)\s*ms")
_PURE = re.compile(r"ave_throughputRate:?\s*[\d.e+]+\s*samples/s, ave_latency")
#: The figures have six significant digits; two of them are multiplied or divided.
_SLACK = 2e-5


def infer(job: Job, samples: Sequence[Sample]) -> Outcome:
    """Run the model over samples."""
    listed = job.scratch / "input.info"
    write_info(
        listed, [replace(s, files=tuple(os.path.abspath(f) for f in s.files)) for s in samples]
    )
    kind, size = "nlp", []
    if samples[0].width is not None:
        kind, size = (
            "vision",
            [f"-input_width={samples[0].width}", f"-input_height={samples[0].height}"],
        )
    done = _run(
        job,
        f"-model_type={kind}",
        f"-input_text_path={listed}",
        *size,
        f"-output_binary={job.form == 'bin'}",
        "-useDvpp=False",
    )
    perf = job.scratch / "result" / f"perf_{kind}_batchsize_{job.batch}_device_{job.device}.txt"
    rate, checks = _checked(perf, done, len(samples), job)
    folder = job.scratch / "result" / f"dumpOutput_device{job.device}"
    return Outcome(_results(folder, samples), perf, rate, checks)


def time_calls(job: Job, count: int, inputs: Sequence[Path]) -> list[float]:
    """Seconds of each execution in pure inference."""
    if inputs:
        raise InputError(
            "the benchmark tool times random data of its own; use --inputs random, or another"
            " --runner"
        )
    done = _run(job, f"-round={count}")
    times = [float(ms) / 1000 for ms in _CALL.findall(done.output)]
    if not _PURE.search(done.output) or len(times) != count:
        raise done.failure(
            f"benchmark was asked for {count} executions and printed the times of {len(times)}, or"
            " no summary"
        )
    return times


def _run(job: Job, *arguments: str) -> Finished:
    if job.gear:
        raise InputError(
            "the benchmark tool runs models of a fixed batch; convert for that batch, or use"
            " --runner ais_bench"
        )
    machine = platform.machine()
    program = find_program(
        [f"benchmark.{machine}"],
        tool_folders(),
        "put the benchmark tool of your CANN release, executable, on the PATH or where you start"
        " this",
    )
    command = [
        str(program),
        f"-device_id={job.device}",
        f"-batch_size={job.batch}",
        f"-om_path={job.model}",
        *arguments,
    ]
    done = run_program(command, job.log, cwd=job.scratch, timeout_s=job.timeout_s)
    if done.exit_code != 0:
        raise done.failure(f"benchmark {because(done)}")
    return done


def _checked(perf: Path, done: Finished, samples: int, job: Job) -> tuple[float, dict[str, float]]:
    """The Interface rate, after a check that the perf file is whole and is of these samples and
    this batch.
    """
    text = perf.read_text(encoding="utf-8", errors="replace") if perf.is_file() else ""
    rate, whole, batches = _RATE.search(text), _END_TO_END.search(text), _BATCHES.search(text)
    if not rate or not whole or not batches:
        raise done.failure("benchmark left no whole perf file, so it did not finish")
    count = float(whole[1]) * float(whole[2]) / 1000
    if abs(count - samples) > max(samples * _SLACK, 0.5):
        raise done.failure(
            f"the perf file of benchmark is of {count:.1f} samples (rate x time), {samples} were"
            " given"
        )
    effective, expected = float(batches[1]) / float(batches[2]), samples / -(-samples // job.batch)
    if abs(effective / expected - 1) > 0.01:
        raise done.failure(
            f"the perf file of benchmark is of batch {effective:.4g} (infer rate / post rate),"
            f" {expected:.4g} was expected"
        )
    return float(rate[1]), {"samples_by_rates": count, "batch_by_rates": effective}


def _results(folder: Path, samples: Sequence[Sample]) -> dict[str, list[Path]]:
    """Result files ``<stem>_<k>`` by sample id. The stem may be cut at the first or at the last dot
    of the input's name.
    """
    owner = {os.path.basename(s.files[0]).rpartition(".")[0]: s.id for s in samples} | {
        s.id: s.id for s in samples
    }
    found: dict[str, dict[int, Path]] = {}
    for path in folder.iterdir() if folder.is_dir() else ():
        stem, _, number = path.name.rpartition(".")[0].rpartition("_")
        if stem in owner and number.isdigit():
            found.setdefault(owner.get(stem, sample_id(path)), {})[int(number)] = path
    return {name: [by_number[k] for k in sorted(by_number)] for name, by_number in found.items()}
