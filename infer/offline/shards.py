"""One offline run over several NPU devices: the samples are dealt to the devices by id, each
device's part is a run of its own, and the results are joined by id.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec

from portproof.core import progress
from portproof.core.errors import EXIT_BAD_INPUT, InputError, ToolError
from portproof.core.files import existing_file, flush_to_disk
from portproof.core.shell import (
    interrupted_by_sigterm,
    own_environment,
    start_program,
    stop_like_ctrl_c,
)
from portproof.infer.offline.pack_afterwards import of_parts, write_rows
from portproof.infer.offline.write_packed import FORMAT
from portproof.manifest import Sample, read_info, write_info
from portproof.proof.journal import Journal, pending
from portproof.proof.sidecar import (
    FileRecord,
    Proof,
    proof_of,
    read_proof,
    record_of,
    sidecar_of,
    stored_path,
)
from portproof.proof.work import Work

_TAIL_LINES = 20


def run_on_devices(options: argparse.Namespace) -> None:
    """``run.py --devices``: a run of its own for each device."""
    if options.device or options.perf_file or options.images or options.info is None:
        raise InputError(
            "--devices needs an info list (--info), and neither --device nor --perf-file; each"
            " device's rate is in the sidecar"
        )
    same = {
        "--runner": options.runner,
        "--backend": options.backend,
        "--model": options.model,
        "--precision": options.precision,
    }
    words = ["--batch", str(options.batch), "--format", options.format]
    words += [word for flag, value in same.items() if value for word in (flag, value)]
    words += [word for name, value in options.option for word in ("--option", f"{name}={value}")]
    run_sharded(options.model_file, options.info, options.out, options.devices, words)


def run_sharded(
    model: str, info: str, out: str, devices: Sequence[int], options: Sequence[str]
) -> Proof:
    """Run ``model`` over an info list on all ``devices`` at the same time, and write
    ``out/<id>_<k>.<form>``, or packed results, as one device would.

    ``options``: the other options of ``run.py``, the same for every device. A part that is finished
    is not run again. Raises :class:`InputError` or :class:`ToolError` of the first device that
    fails; the others are stopped.
    """
    path, target = existing_file(model, "offline model"), Path(out)
    if len(set(devices)) != len(devices):
        raise InputError(f"--devices names a device twice: {', '.join(map(str, devices))}")
    samples = read_info(info)
    is_packed = FORMAT in options
    work = Work(
        "infer",
        target,
        inputs={
            "model": [path],
            "info": [Path(info)],
            "samples": [Path(f) for s in samples for f in s.files],
        },
        parameters={"devices": list(devices), "options": list(options)},
    )
    folder = target.absolute().with_name(f".{target.name}.shards")
    if work.is_done():
        if folder.is_dir():  # a kill right after the sidecar
            shutil.rmtree(folder)
        return read_proof(work.sidecar)
    shards = [Shard(folder / f"npu{device}", device) for device in devices]
    with Journal(work) as journal:
        work.begin()
        began = time.perf_counter()
        for shard, part in zip(shards, dealt(samples, len(devices)), strict=True):
            shard.prepare(part)
        earlier = [proof_of(shard.result) for shard in shards]
        _run_all([shard.command(model, options) for shard in shards], [f"npu:{d}" for d in devices])
        wall_s = time.perf_counter() - began
        proofs = [read_proof(sidecar_of(shard.result)) for shard in shards]
        records = (
            _packed(work, shards, proofs, samples)
            if is_packed
            else _published(journal, work, shards, proofs)
        )
        flush_to_disk()
        is_whole = all(now != then for now, then in zip(proofs, earlier, strict=True))
        proof = work.finish(records, _facts(devices, proofs, len(samples), wall_s, is_whole))
    journal.remove()
    shutil.rmtree(folder)
    progress.say(f"infer: {len(samples)} samples in {target}, on {len(devices)} devices")
    return proof


def dealt(samples: Sequence[Sample], count: int) -> list[list[Sample]]:
    """The samples dealt to ``count`` devices in the order of their ids, so that the same ids go to
    the same devices whatever the list's order.

    >>> [[s.id for s in part] for part in dealt([Sample(i, ()) for i in "cab"], 2)]
    [['a', 'c'], ['b']]
    """
    ordered = sorted(samples, key=lambda s: s.id)
    if len(ordered) < count:
        raise InputError(
            f"there are {len(ordered)} samples for {count} devices; name fewer --devices"
        )
    return [ordered[k::count] for k in range(count)]


class Shard:
    """One device's part: its info list and its result folder."""

    def __init__(self, folder: Path, device: int) -> None:
        self.folder, self.device = folder, device
        self.result = folder / "result"

    def prepare(self, samples: Sequence[Sample]) -> None:
        """Write the info list, unless it is there already: a new file would make a finished part
        run again.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        fresh = self.folder / "new.info"
        write_info(fresh, samples)
        listed = self.folder / "part.info"
        if listed.is_file() and listed.read_bytes() == fresh.read_bytes():
            fresh.unlink()
        else:
            os.replace(fresh, listed)

    def command(self, model: str, options: Sequence[str]) -> list[str]:
        """The run of this part."""
        return [
            sys.executable,
            "-m",
            "portproof",
            "infer",
            model,
            "--info",
            str(self.folder / "part.info"),
            "--out",
            str(self.result),
            "--device",
            f"npu:{self.device}",
            *options,
        ]


def _run_all(commands: Sequence[Sequence[str]], names: Sequence[str]) -> None:
    """Run all at the same time; the first that fails ends the others."""
    processes: list[subprocess.Popen[str]] = []
    with contextlib.ExitStack() as stack:
        stack.enter_context(interrupted_by_sigterm())
        logs = [
            stack.enter_context(
                open(Path(c[c.index("--out") + 1]).with_name("log"), "w+", encoding="utf-8")
            )
            for c in commands
        ]
        try:
            for command, log in zip(commands, logs, strict=True):
                processes.append(
                    start_program(
                        command,
                        env=own_environment(),
                        stdin=subprocess.DEVNULL,
                        stdout=log,
                        stderr=log,
                        text=True,
                    )
                )
            while any(p.poll() is None for p in processes) and not any(
                p.returncode for p in processes
            ):
                time.sleep(0.05)
        finally:
            stop_like_ctrl_c([p for p in processes if p.poll() is None])
        for process, log, name in zip(processes, logs, names, strict=True):
            if process.returncode not in (0, -signal.SIGINT, 130):
                _refuse(process.returncode, log.name, name)


def _refuse(code: int, log: str, name: str) -> None:
    lines = Path(log).read_text(encoding="utf-8", errors="replace").splitlines()
    reason = next(
        (line.partition("error: ")[2] for line in reversed(lines) if "portproof: error: " in line),
        f"it ended with exit code {code}",
    )
    if code == EXIT_BAD_INPUT:
        raise InputError(f"{name}: {reason}")
    raise ToolError(f"{name}: {reason}", "\n".join(lines[-_TAIL_LINES:]))


def _packed(
    work: Work, shards: Sequence[Shard], proofs: Sequence[Proof], samples: Sequence[Sample]
) -> list[FileRecord]:
    """The rows of all parts in the order of the info list, as one run has them."""
    names = [str(output["name"]) for output in proofs[0].facts["outputs"]]
    rows = of_parts([shard.result for shard in shards])
    return write_rows(work, names, [sample.id for sample in samples], rows)


def _published(
    journal: Journal, work: Work, shards: Sequence[Shard], proofs: Sequence[Proof]
) -> list[FileRecord]:
    """The files of all parts, under their names."""
    for shard, proof in zip(shards, proofs, strict=True):
        for record in proof.outputs:
            file = shard.result / Path(record.path).name
            journal.publish(_joined(file, work.artefact, record, work.root))
    return list(journal.finished.values())


def _joined(part: Path, target: Path, record: FileRecord, root: Path) -> FileRecord:
    """A result of a part under its pending name; the part keeps it too until all is done, so that a
    kill loses nothing.
    """
    final = target / part.name
    temporary = pending(final)
    try:
        os.link(part, temporary)
    except OSError:  # a file system without hard links
        shutil.copyfile(part, temporary)
    return msgspec.structs.replace(
        record_of(temporary, root, record.sha256), path=stored_path(final, root)
    )


def _facts(
    devices: Sequence[int], proofs: Sequence[Proof], samples: int, wall_s: float, is_whole: bool
) -> dict[str, Any]:
    """Facts for the sidecar. A device's rate covers its shard only, from file to result, while the
    others ran too. ``is_whole``: no shard was finished before this run began.
    """
    parts = [p.facts.get("end_to_end") or p.facts.get("rate") or {} for p in proofs]
    each = [
        {
            "device": f"npu:{d}",
            "samples": p.facts.get("samples"),
            "boundary": part.get("boundary"),
            "images_per_second": part.get("images_per_second"),
        }
        for d, p, part in zip(devices, proofs, parts, strict=True)
    ]
    first = proofs[0].facts
    kept: dict[str, Any] = {
        name: first[name]
        for name in ("outputs", "precision", "provider", "runner")
        if name in first
    }
    whole = {
        "samples": samples,
        "device": ", ".join(f"npu:{d}" for d in devices),
        "devices": each,
        "wall_s": round(wall_s, 3),
    }
    new = [p.facts.get("end_to_end") or {} for p in proofs]
    if is_whole and all(
        part.get("samples") == p.facts.get("samples") for part, p in zip(new, proofs, strict=True)
    ):
        # From the start of the devices' processes to the last result; not known where a part, or
        # some of one, was finished before.
        whole["end_to_end"] = {
            "boundary": "end_to_end",
            "images_per_second": samples / wall_s,
            "samples": samples,
            "seconds": wall_s,
        }
    return kept | whole
