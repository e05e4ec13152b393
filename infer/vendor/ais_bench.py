"""``python -m ais_bench``: results from 0, found through the tool's own summary.

It does not refuse names that collide or are cut, inputs of unequal number, files of another size
than the first, and random bytes as floats: this module does. Source: its behaviour, seen by running
version 0.0.2.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from portproof.core.errors import InputError
from portproof.core.shell import Finished, run_program, vendor_environment
from portproof.host import ais_bench
from portproof.infer.vendor import Outcome, ToolJob
from portproof.infer.vendor.parts.described import check_described, described, is_known
from portproof.infer.vendor.parts.proven import failed, proven, times_of
from portproof.infer.vendor.parts.scratch import check_sizes, link_samples
from portproof.logs.families.ais_bench import FAMILY
from portproof.logs.logged import Run
from portproof.manifest import Sample, sample_id

PACKAGES: tuple[str, ...] = ("ais_bench", "aclruntime")
FORMS: tuple[str, ...] = ("bin", "txt")
INPUTS: tuple[str, ...] = ("random", "zeros", "real")

_DIRNAME = "run"


def infer(job: ToolJob, samples: Sequence[Sample]) -> Outcome:
    """Run the model over samples."""
    if not is_known(job):
        _describe(job, job.log, samples)
    folders = link_samples(job.scratch, samples)
    done = _run(job, "--input", ",".join(f.name for f in folders), "--outfmt", job.form.upper())
    together = _console(done, job).facts.get("files_per_batch", job.batch)
    if together != job.batch:
        raise InputError(
            f"'{job.model}' takes {together} samples at a time, --batch says {job.batch}; the"
            " throughput would be wrong"
        )
    path = _summary_file(done, job.scratch)
    figures = proven(done, path, FAMILY, "ais_bench wrote no whole summary")
    rate = figures.value("throughput")
    if rate is None or figures.value("samples") != len(samples):
        raise done.failure(
            f"the summary of ais_bench has {figures.value('samples') or 0:.0f} samples and the rate"
            f" {rate}, {len(samples)} samples were given"
        )
    summary = json.loads(path.read_text(encoding="utf-8"))
    facts = {
        "npu_compute_time": summary.get("NPU_compute_time"),
        "padded_samples": -len(samples) % job.batch,
    }
    return Outcome(_results(summary, done, job.scratch), path, rate, facts)


def time_calls(job: ToolJob, count: int, inputs: Sequence[Path]) -> list[float]:
    """Seconds of each execution. Without inputs it runs on zeros; its own random data are bytes,
    which as floats may be no numbers.
    """
    given = ("--input", ",".join(str(p) for p in inputs)) if inputs else ()
    done = _run(job, *given, "--loop", str(count))
    _console(done, job)
    summary = _summary_file(done, job.scratch)
    return times_of(proven(done, summary, FAMILY, "ais_bench wrote no whole summary"), count, done)


def _describe(job: ToolJob, log: Path, samples: Sequence[Sample] = ()) -> None:
    """Ask the tool what a model without a sidecar takes, and check it."""
    done = _executed(replace(job, log=log), "--debug", "1")
    facts = described(log)
    if facts is not None:
        check_described(job, facts)
    if done.exit_code != 0:
        raise failed(done, "ais_bench")
    if facts is None:
        raise done.failure(
            f"ais_bench did not describe '{job.model}', and it has no sidecar that does: nothing"
            " says what it takes; convert it with onnx2om"
        )
    if samples and facts.gears == "static":
        check_sizes(samples, facts.inputs)


def _run(job: ToolJob, *arguments: str) -> Finished:
    done = _executed(job, "--output", "out", "--output_dirname", _DIRNAME, *arguments)
    if done.exit_code == 0:
        return done
    error = failed(done, "ais_bench")
    if not isinstance(error, InputError) and done.exit_code > 0 and not is_known(job):
        _describe(job, job.log.with_name(f"{job.log.stem}_description.log"))
    raise error


def _executed(job: ToolJob, *arguments: str) -> Finished:
    """Run it. ``--batchsize`` is left out: given, the tool believes it; without it, the tool says
    the model's own.
    """
    if missing := ais_bench.why_not():
        raise InputError(
            f"{missing}; the tool comes with the ais_bench wheels"
            " of the CANN release, not from PyPI: make the environment from the interpreter that"
            " has it (PORTPROOF_PYTHON=... bash run_310p.sh)"
        )
    command = [
        sys.executable,
        "-m",
        "ais_bench",
        "--model",
        str(job.model),
        "--device",
        str(job.device),
        *job.gear,
        *arguments,
    ]
    # Unbuffered, the lines of its C++ part come where they belong, so that a failure's reason is at
    # the end of the log.
    environment = vendor_environment() | {"PYTHONUNBUFFERED": "1"}
    return run_program(
        command, job.log, cwd=job.scratch, environment=environment, timeout_s=job.timeout_s
    )


def _console(done: Finished, job: ToolJob) -> Run:
    """The run that the console proves, if it is of the batch asked for."""
    run = proven(done, done.log, FAMILY, "ais_bench ended without its throughput line")
    if run.batch != job.batch:
        raise InputError(
            f"'{job.model}' is of batch {run.batch or 'unknown'} by ais_bench's own log, --batch"
            f" asks for {job.batch}: its rate would be wrong; convert the model for {job.batch}"
        )
    return run


def _summary_file(done: Finished, scratch: Path) -> Path:
    """The tool's summary: beside the output folder, or inside and ``sumary`` in old ones."""
    for path in (
        scratch / "out" / f"{_DIRNAME}_summary.json",
        scratch / "out" / _DIRNAME / "sumary.json",
    ):
        if path.is_file():
            return path
    raise done.failure("ais_bench wrote no summary, so it did not finish")


def _results(summary: dict[str, Any], done: Finished, scratch: Path) -> dict[str, list[Path]]:
    """Result files by sample id, as the summary assigns them."""
    results: dict[str, list[Path]] = {}
    for entry in summary["filesinfo"].values():
        ids = {sample_id(path) for path in entry["infiles"]}
        if len(ids) != 1:
            raise done.failure(
                "ais_bench put the inputs of different samples together:"
                f" {', '.join(entry['infiles'])}"
            )
        results[ids.pop()] = [scratch / path for path in entry["outfiles"]]
    return results
