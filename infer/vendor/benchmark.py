"""``benchmark.x86_64`` and ``benchmark.aarch64``: info list in, ``result/dumpOutput_device<D>`` and
a perf file out.

It runs in the scratch folder, so that it never finds results of an earlier run, which it would
leave in place. Its perf file is the sign of success, checked against the samples that were given.
Source: command lines and logs in public READMEs; the tool itself is closed.
"""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from portproof.core.errors import InputError
from portproof.core.shell import Finished, find_program, run_program, tool_folders
from portproof.infer.vendor import Outcome, ToolJob
from portproof.infer.vendor.parts.proven import failed, proven, times_of
from portproof.logs.consistency import near
from portproof.manifest import Sample, sample_id, write_info

PACKAGES: tuple[str, ...] = ()
FORMS: tuple[str, ...] = ("bin", "txt")
#: Pure inference runs on random data that the tool makes itself.
INPUTS: tuple[str, ...] = ("random",)

#: The figures have six significant digits; two of them are multiplied or divided.
_SLACK = 2e-5


def infer(job: ToolJob, samples: Sequence[Sample]) -> Outcome:
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


def time_calls(job: ToolJob, count: int, inputs: Sequence[Path]) -> list[float]:
    """Seconds of each execution in pure inference."""
    if inputs:
        raise InputError(
            "the benchmark tool times random data of its own; use --inputs random, or another"
            " --runner"
        )
    done = _run(job, f"-round={count}")
    run = proven(done, done.log, "pureinfer", "benchmark printed no summary of its executions")
    return times_of(run, count, done)


def _run(job: ToolJob, *arguments: str) -> Finished:
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
        raise failed(done, "benchmark")
    return done


def _checked(
    perf: Path, done: Finished, samples: int, job: ToolJob
) -> tuple[float, dict[str, float]]:
    """The Interface rate, if the perf file is whole and of these samples and this batch."""
    run = proven(done, perf, "benchmark", "benchmark left no whole perf file")
    rate, count = run.value("throughput", "device"), run.value("samples")
    doubts = "".join(f"; {warning}" for warning in run.warnings)
    if rate is None or count is None or not near(count, samples, _SLACK):
        raise done.failure(
            f"the perf file of benchmark is of {count or 'unknown'} samples (rate x time),"
            f" {samples} were given{doubts}"
        )
    if run.batch != job.batch:
        raise done.failure(
            f"the perf file of benchmark is of batch {run.batch or 'unknown'} (infer rate / post"
            f" rate), {job.batch} was expected{doubts}"
        )
    return rate, {"samples_by_rates": count, "batch_by_rates": run.batch}


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
