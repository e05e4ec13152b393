"""Offline inference by a vendor tool, with the result folder and sidecar of a backend."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from portproof import rehearsal
from portproof.convert.ascend.om_facts import check_batch, facts_of
from portproof.core import progress
from portproof.core.errors import InputError, ToolError
from portproof.core.files import existing_file, flush_to_disk, tail_of, write_bytes
from portproof.core.text import listed
from portproof.infer.offline.pack_afterwards import check_described, of_files, write_rows
from portproof.infer.offline.write import result_name
from portproof.infer.offline.write_packed import FORMAT
from portproof.infer.runtimes.npu_devices import device_index
from portproof.infer.vendor import Outcome, ToolJob, find
from portproof.infer.vendor.parts.gears import gear_flags
from portproof.infer.vendor.parts.scratch import check_sizes, scratch_beside
from portproof.manifest import Sample, read_info
from portproof.proof.journal import Journal
from portproof.proof.sidecar import FileRecord, Proof, read_proof, record_of
from portproof.proof.work import Work

#: The form of a tool's files from which packed results are made.
_RAW = "bin"


def run_by_tool(options: argparse.Namespace) -> None:
    """``run.py --runner``; :class:`InputError` for an option that the tools do not know."""
    if options.images or options.info is None or Path(options.info).is_dir():
        raise InputError(
            f"--runner {options.runner} reads single files: give an info list with --info"
        )
    for name in ("backend", "precision", "threads", "provider"):
        if getattr(options, name):
            raise InputError(
                f"--{name} is for backends in this process and has no meaning for --runner"
                f" {options.runner}; leave it out"
            )
    run_with_tool(
        options.runner,
        options.model_file,
        options.info,
        options.out,
        batch=options.batch,
        form=options.format,
        device=options.device,
        options=dict(options.option),
        perf_file=options.perf_file,
    )


def run_with_tool(
    runner: str,
    model: str | Path,
    info: str | Path,
    out: str | Path,
    *,
    batch: int = 1,
    form: str = "bin",
    device: str | None = None,
    options: Mapping[str, str] | None = None,
    perf_file: str | Path | None = None,
) -> Proof:
    """Run ``model`` over an info list by the tool ``runner`` and write ``out/<id>_<k>.<form>``, k
    from 1, or packed results for the form ``pack``; the sidecar of ``out``.

    ``options``: the gear of a dynamic model
    (:func:`portproof.infer.vendor.parts.gears.gear_flags`). ``perf_file``: where the tool's own
    file of figures is copied to. A run that is killed begins again, since the tools cannot
    continue. Raises :class:`InputError` for bad input, before the tool runs as far as possible, and
    :class:`ToolError` if the tool fails.
    """
    tool = find(runner)
    path, target = existing_file(model, "offline model"), Path(out)
    written = _RAW if form == FORMAT else form
    if written not in tool.FORMS:
        raise InputError(
            f"the tool '{runner}' writes {' and '.join(tool.FORMS)}, --format asks for {form}"
        )
    samples, facts = read_info(info), facts_of(path)
    if form == FORMAT:
        check_described(path, facts.outputs if facts else None)
    gear = gear_flags(path, facts, batch, options or {})
    if facts:
        check_batch(path, facts, batch)
    work = Work(
        "infer",
        target,
        inputs={
            "model": [path],
            "info": [Path(info)],
            "samples": [Path(f) for s in samples for f in s.files],
        },
        parameters={
            "runner": runner,
            "batch": batch,
            "format": form,
            "device": device,
            "options": dict(options or {}),
            "perf_file": str(perf_file) if perf_file else None,
        },
        packages=tool.PACKAGES,
        simulated=rehearsal.is_active(),
    )
    if work.is_done():
        return read_proof(work.sidecar)
    check_sizes(samples, facts.inputs if facts else None)
    log, number = target.absolute().parent / "logs" / f"{runner}.log", device_index(device)
    job = ToolJob(path.absolute(), batch, number, Path(), log, written, gear, facts)
    return _to_the_end(work, runner, job, samples, perf_file)


def _to_the_end(
    work: Work, runner: str, job: ToolJob, samples: Sequence[Sample], perf_file: str | Path | None
) -> Proof:
    """Run the tool in a scratch folder, take its results, and write the sidecar."""
    with Journal(work) as journal, scratch_beside(work.artefact) as scratch:
        work.begin()
        progress.say(f"infer: {runner} runs {len(samples)} samples in batches of {job.batch}")
        outcome = find(runner).infer(replace(job, scratch=scratch), samples)
        facts: dict[str, Any] = {
            "samples": len(samples),
            "output_count": _check_results(outcome, samples, job.log),
            "device": f"npu:{job.device}",
            "runner": runner,
            "checks": outcome.facts,
            "rate": {"boundary": "device", "images_per_second": outcome.images_per_second},
        }
        _keep_figures(outcome, job.log, perf_file)
        if work.parameters["format"] == FORMAT:
            records = _packed(work, job, outcome, samples)
        else:
            for sample in samples:
                for number, path in enumerate(outcome.results[sample.id], start=1):
                    journal.take(path, result_name(sample.id, number, job.form), work.root)
            records = list(journal.finished.values())
        flush_to_disk()
        if job.facts and job.facts.outputs:
            facts["outputs"] = [
                {"name": s.name, "dtype": s.dtype, "shape": list(s.shape[1:])}
                for s in job.facts.outputs
            ]
        figures = [record_of(perf_file, work.root)] if perf_file else []
        proof = work.finish([*records, *figures], facts)
    journal.remove()
    progress.say(
        f"infer: {runner} ran {len(samples)} samples, {outcome.images_per_second:.1f} images/s of"
        " device time"
    )
    return proof


def _packed(
    work: Work, job: ToolJob, outcome: Outcome, samples: Sequence[Sample]
) -> list[FileRecord]:
    outputs = job.facts.outputs if job.facts and job.facts.outputs else ()
    count = len(outcome.results[samples[0].id])
    if count != len(outputs):
        raise ToolError(
            f"the tool left {count} results a sample, the model has {len(outputs)} outputs; its"
            f" log is {job.log}",
            tail_of(job.log),
        )
    rows = of_files(outcome.results, outputs)
    return write_rows(work, [s.name for s in outputs], [s.id for s in samples], rows)


def _check_results(outcome: Outcome, samples: Sequence[Sample], log: Path) -> int:
    """The number of outputs, after a check that every sample has each of them, of one size."""
    missing = [s.id for s in samples if not outcome.results.get(s.id)]
    if missing:
        raise ToolError(
            f"the tool left no result for {len(missing)} of {len(samples)} samples"
            f" ({listed(missing)}); its log is {log}",
            tail_of(log),
        )
    first = outcome.results[samples[0].id]
    sizes = [_size(path) for path in first]
    is_binary = first[0].suffix != ".txt"
    for sample in samples:
        found = outcome.results[sample.id]
        if len(found) != len(sizes):
            raise ToolError(
                f"the results of '{sample.id}' differ in number from those of '{samples[0].id}';"
                " run the tool again"
            )
        if is_binary and [_size(p) for p in found] != sizes:
            raise InputError(
                f"the results of '{sample.id}' differ in size from those of '{samples[0].id}': the"
                " size of an output depends on the data; export the model up to where sizes are"
                " fixed"
            )
    return len(sizes)


def _size(path: Path) -> int:
    if not path.is_file():
        raise ToolError(f"the tool names the result '{path.name}', but did not write it")
    return path.stat().st_size


def _keep_figures(outcome: Outcome, log: Path, perf_file: str | Path | None) -> None:
    """Copy the tool's own figures out of the scratch folder, beside its log, and to where they were
    asked for.
    """
    if outcome.figures:
        shutil.copyfile(outcome.figures, log.parent / outcome.figures.name)
    if perf_file:
        write_bytes(perf_file, (outcome.figures or log).read_bytes())
