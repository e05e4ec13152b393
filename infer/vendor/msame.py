"""``msame``: one file a batch in, one file an output out, in a folder named after the time. Its
exit code proves nothing; its last line does.

It combines and pads nothing, so whole batches are written for it, and its results are cut into
samples afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from portproof.core.errors import InputError, ToolError
from portproof.core.shell import Finished, find_program, run_program, tool_folders
from portproof.infer.vendor import Outcome, ToolJob
from portproof.infer.vendor.parts.described import check_described, described, is_known
from portproof.infer.vendor.parts.proven import because, failed, proven, times_of
from portproof.infer.vendor.parts.scratch import check_sizes
from portproof.logs.families.msame import FAMILY, mean_of
from portproof.logs.logged import Run
from portproof.manifest import Sample

PACKAGES: tuple[str, ...] = ()
FORMS: tuple[str, ...] = ("bin",)
INPUTS: tuple[str, ...] = ("random", "zeros", "real")

_MOST_LOOPS = 100


def infer(job: ToolJob, samples: Sequence[Sample]) -> Outcome:
    """Run the model over samples."""
    if not is_known(job):
        _run(job, "--loop", "1")
        job = replace(job, facts=described(job.log))
        check_sizes(samples, job.facts.inputs if job.facts and not job.gear else None)
    groups = [samples[i : i + job.batch] for i in range(0, len(samples), job.batch)]
    folders = _write_batches(job, groups)
    done, run = _run(job, "--input", ",".join(f.name for f in folders), "--output", "out")
    times_of(run, len(groups), done)
    mean = mean_of(run)
    if mean is None or not mean.value:
        raise done.failure("msame printed no average of its times")
    return Outcome(
        _results(job, groups, done),
        None,
        job.batch / mean.value,
        {"padded_samples": -len(samples) % job.batch},
    )


def time_calls(job: ToolJob, count: int, inputs: Sequence[Path]) -> list[float]:
    """Seconds of each execution, one run of the tool a hundred; without inputs it runs on zeros."""
    given = ("--input", ",".join(str(p) for p in inputs)) if inputs else ()
    times: list[float] = []
    while len(times) < count:
        loops = min(count - len(times), _MOST_LOOPS)
        done, run = _run(job, *given, "--loop", str(loops))
        times += times_of(run, loops, done)
    return times


def _run(job: ToolJob, *arguments: str) -> tuple[Finished, Run]:
    """Run it. A model without a sidecar is described in its log, and checked before its figures
    are believed: msame runs on files that are too long without a word.
    """
    program = find_program(
        ["msame"], tool_folders(), "build it from Ascend/tools, or use --runner ais_bench"
    )
    command = [
        str(program),
        "--model",
        str(job.model),
        "--device",
        str(job.device),
        "--outfmt",
        "BIN",
        *job.gear,
        *(() if is_known(job) else ("--debug", "true")),
        *arguments,
    ]
    done = run_program(command, job.log, cwd=job.scratch, timeout_s=job.timeout_s)
    facts = None if is_known(job) else described(done.log)
    if facts is not None:
        check_described(job, facts)
    if done.exit_code != 0:
        raise failed(done, "msame")
    if facts is None and not is_known(job):
        raise done.failure(
            f"msame did not describe '{job.model}', and it has no sidecar that does: nothing says"
            " what it takes; convert it with onnx2om"
        )
    lack = f"msame {because(done)}, but without its line 'Execute sample success'"
    return done, proven(done, done.log, FAMILY, lack)


def _write_batches(job: ToolJob, groups: Sequence[Sequence[Sample]]) -> list[Path]:
    """A folder for each input with one file a batch, the last one filled up with its own first
    sample; names sort in the order of the samples.
    """
    folders = [job.scratch / f"input{k}" for k in range(len(groups[0][0].files))]
    for number, folder in enumerate(folders):
        folder.mkdir()
        for index, group in enumerate(groups):
            with open(folder / f"{_stem(index)}.bin", "wb") as file:
                for sample in [*group, *[group[0]] * (job.batch - len(group))]:
                    file.write(Path(sample.files[number]).read_bytes())
    return folders


def _stem(index: int) -> str:
    return f"batch{index:09}"


def _results(
    job: ToolJob, groups: Sequence[Sequence[Sample]], done: Finished
) -> dict[str, list[Path]]:
    """Each batch's outputs cut into one file a sample."""
    made = list((job.scratch / "out").iterdir())
    if len(made) != 1:
        raise ToolError(f"msame made {len(made)} output folders, one was expected; run it again")
    cut = job.scratch / "cut"
    cut.mkdir()
    results: dict[str, list[Path]] = {s.id: [] for group in groups for s in group}
    for index, group in enumerate(groups):
        number = 0
        while (path := made[0] / f"{_stem(index)}_output_{number}.bin").is_file():
            data = path.read_bytes()
            size = _sample_bytes(job, number, len(data))
            for row, sample in enumerate(group):
                results[sample.id].append(cut / f"{sample.id}_{number}")
                results[sample.id][-1].write_bytes(data[row * size : (row + 1) * size])
            number += 1
        if not number:
            raise done.failure(f"msame wrote no output for batch {index}")
    return results


def _sample_bytes(job: ToolJob, number: int, size: int) -> int:
    """Bytes of a sample in a file of output ``number``. With a choice at run time the file can be
    as long as for the largest one.
    """
    known = (
        job.facts.outputs[number].nbytes(1)
        if job.facts and job.facts.outputs and number < len(job.facts.outputs)
        else None
    )
    if known is not None and (size == known * job.batch or (job.gear and size > known * job.batch)):
        return known
    if known is not None or size % job.batch or (job.gear and "--dymBatch" not in job.gear):
        expected = "" if known is None else f", {known * job.batch} were expected"
        raise InputError(
            f"output {number} of '{job.model}' has {size} bytes for a batch of"
            f" {job.batch}{expected}: it cannot be cut into samples; use --runner ais_bench"
        )
    return size // job.batch
