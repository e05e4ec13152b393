"""``python -m ais_bench``: results from 0, found through the tool's own summary.

What it does in silence is prevented here: names that collide or are cut, inputs of unequal number,
files of another size than the first, and random bytes as floats. Source: its behaviour, seen by
running version 0.0.2.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from portproof.core.errors import InputError, ToolError
from portproof.core.shell import Finished, run_program, vendor_environment
from portproof.host import ais_bench
from portproof.infer.vendor import Job, Outcome, because
from portproof.infer.vendor.scratch import link_samples
from portproof.manifest import Sample, sample_id

FORMS: tuple[str, ...] = ("bin", "txt")
INPUTS: tuple[str, ...] = ("random", "zeros", "real")

_SUCCESS = re.compile(r"throughput\s*\(?1000.*?:\s*([\d.]+(?:e[+-]?\d+)?)\s*$", re.MULTILINE)
_TOGETHER = re.compile(r"filesperbatch:(\d+)")
_DIRNAME = "run"


def infer(job: Job, samples: Sequence[Sample]) -> Outcome:
    """Run the model over samples."""
    folders = link_samples(job.scratch, samples)
    done = _run(job, "--input", ",".join(f.name for f in folders), "--outfmt", job.form.upper())
    together = _TOGETHER.search(done.output)
    if together and int(together[1]) != job.batch:
        raise InputError(
            f"'{job.model}' takes {together[1]} samples at a time, --batch says {job.batch}; the"
            " throughput would be wrong"
        )
    summary, path = _summary(done, job.scratch)
    results = _results(summary, done, job.scratch)
    facts = {
        "npu_compute_time": summary.get("NPU_compute_time"),
        "padded_samples": -len(samples) % job.batch,
    }
    return Outcome(results, path, float(summary["throughput"]), facts)


def time_calls(job: Job, count: int, inputs: Sequence[Path]) -> list[float]:
    """Seconds of each execution. Without inputs it runs on zeros; its own random data are bytes,
    which as floats may be no numbers.
    """
    given = ("--input", ",".join(str(p) for p in inputs)) if inputs else ()
    done = _run(job, *given, "--loop", str(count))
    summary, _ = _summary(done, job.scratch)
    times = [float(ms) / 1000 for ms in summary.get("npu_compute_time_list", [])]
    if len(times) != count:
        raise done.failure(
            f"ais_bench was asked for {count} executions and its summary has the times of"
            f" {len(times)}"
        )
    return times


def _run(job: Job, *arguments: str) -> Finished:
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
        "--batchsize",
        str(job.batch),
        "--device",
        str(job.device),
        "--output",
        "out",
        "--output_dirname",
        _DIRNAME,
        *job.gear,
        *arguments,
    ]
    # Unbuffered, the lines of its C++ part come where they belong, so that a failure's reason
    # stands at the end of the log.
    environment = vendor_environment() | {"PYTHONUNBUFFERED": "1"}
    done = run_program(
        command, job.log, cwd=job.scratch, environment=environment, timeout_s=job.timeout_s
    )
    if done.exit_code != 0:
        raise done.failure(f"ais_bench {because(done)}")
    if not _SUCCESS.search(done.output):
        raise done.failure("ais_bench ended without its throughput line, so it did not finish")
    return done


def _summary(done: Finished, scratch: Path) -> tuple[dict[str, Any], Path]:
    """The tool's summary: beside the output folder in new versions, inside it and spelled
    ``sumary`` in old ones.
    """
    for path in (
        scratch / "out" / f"{_DIRNAME}_summary.json",
        scratch / "out" / _DIRNAME / "sumary.json",
    ):
        if path.is_file():
            try:
                return json.loads(path.read_text(encoding="utf-8")), path
            except ValueError as error:
                raise ToolError(
                    f"the summary of ais_bench is damaged ({error}); run it again"
                ) from error
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
