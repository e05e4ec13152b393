"""Run every stage where something is wrong with the host, then where it is not any more.

A stage may succeed all the same, or it must end with one sentence and exit code 2 or 3; it must not
end with an internal error, a traceback or half a file under a final name. Started again without the
hazard it must end with the files, byte for byte, of a run that nobody disturbed. A full disk and a
read-only folder are file systems in memory, and limits of threads are a control group (version 1):
both take root on Linux.

Example: ``python benchmarks/hazards.py --out benchmarks/results/hazards.md``
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(1, str(Path(__file__).resolve().parent))

from kills import different, half_written
from kills_world import Known, learnt, make_world

_MIB = 1 << 20
_PIDS = Path("/sys/fs/cgroup/pids")
#: Seconds that a stage may take under a hazard: one that hangs is one that fails.
_PATIENCE_S = 300.0

#: Goes back by an hour with every tenth reading, as a clock that is being set does.
_CLOCK = """
import time
_now, _ns, _count = time.time, time.time_ns, [0]
def _back(read, hour):
    def clock():
        _count[0] += 1
        return read() - hour * (_count[0] // 10)
    return clock
time.time, time.time_ns = _back(_now, 3600), _back(_ns, 3600 * 10**9)
"""


@dataclass
class Host:
    """What the process of a stage does first, and a folder that Python looks into first."""

    limits: Callable[[], object] | None = None
    before: str = ""


#: A hazard makes its host around the folder, and takes it away at the end.
Hazard = Callable[[Path], contextlib.AbstractContextManager[Host]]


def limited(kind: int, value: int) -> Hazard:
    """A resource limit of the process and its children."""

    @contextlib.contextmanager
    def hazard(folder: Path) -> Iterator[Host]:
        yield Host(lambda: resource.setrlimit(kind, (value, value)))

    return hazard


def few_threads(count: int) -> Hazard:
    """So many threads and processes at most, by a control group: a limit of users spares root."""

    @contextlib.contextmanager
    def hazard(folder: Path) -> Iterator[Host]:
        group = _PIDS / f"portproof-{os.getpid()}"
        group.mkdir()
        (group / "pids.max").write_text(str(count))
        try:
            yield Host(lambda: (group / "cgroup.procs").write_text(str(os.getpid())))
        finally:
            group.rmdir()

    return hazard


def in_memory(room: int) -> Hazard:
    """The folder on a file system that has so many bytes left; fewer than none: it is read-only."""

    @contextlib.contextmanager
    def hazard(folder: Path) -> Iterator[Host]:
        kept = folder.with_name(f"{folder.name}-kept")
        folder.rename(kept)
        folder.mkdir()
        size = sum(-(-p.stat().st_size // 4096) * 4096 + 1024 for p in kept.rglob("*"))
        _as_root("mount", "-t", "tmpfs", "-o", f"size={size + max(room, _MIB)}", "tmpfs", folder)
        shutil.copytree(kept, folder, dirs_exist_ok=True)
        shutil.rmtree(kept)
        if room >= 0:
            left = shutil.disk_usage(folder).free - room
            (folder / ".filled").write_bytes(bytes(max(left, 0)))
        else:
            _as_root("mount", "-o", "remount,ro", folder)
        try:
            yield Host()
        finally:
            if room >= 0:
                (folder / ".filled").unlink()
            shutil.copytree(folder, kept)
            _as_root("umount", folder)
            folder.rmdir()
            kept.rename(folder)

    return hazard


def _as_root(program: str, *words: str | Path) -> None:
    subprocess.run([shutil.which(program) or program, *words], check=True)


@contextlib.contextmanager
def clock_back(folder: Path) -> Iterator[Host]:
    """Inputs from tomorrow, and a clock that jumps back while the stage runs."""
    tomorrow = time.time() + 86400
    with tempfile.TemporaryDirectory() as place:
        Path(place, "sitecustomize.py").write_text(_CLOCK)
        for path in (folder / "given").rglob("*"):
            os.utime(path, (tomorrow, tomorrow))
        yield Host(before=place)


@contextlib.contextmanager
def stale_locks(folder: Path) -> Iterator[Host]:
    """Locks of a process that ended without removing them."""
    ended = {"host": os.uname().nodename, "pid": 4194303, "started": "2026-01-01T00:00:00Z"}
    words = json.dumps(ended)
    names = ("prep", "packed", "eager", "text", "frozen", "run.tar.zst", "model.onnx")
    locks = [folder / f".{name}.lock" for name in names]
    locks += [f / ".lock" for f in (folder / "run", folder / "run-REHEARSAL") if f.is_dir()]
    before = {lock: lock.read_text() if lock.exists() else None for lock in locks}
    for lock in locks:
        lock.write_text(words)
    yield Host()
    for lock, text in before.items():  # what no stage took is as it was
        if lock.exists() and lock.read_text() == words:
            lock.unlink() if text is None else lock.write_text(text)


HAZARDS: dict[str, Hazard] = {
    **{f"{n} descriptors": limited(resource.RLIMIT_NOFILE, n) for n in (6, 9, 14)},
    **{f"{n} MiB of memory": limited(resource.RLIMIT_AS, n * _MIB) for n in (300, 700, 1500)},
    **{f"{n} threads": few_threads(n) for n in (1, 3)},
    "files of 4 KiB at most": limited(resource.RLIMIT_FSIZE, 4096),
    "a full disk": in_memory(0),
    "64 KiB left on the disk": in_memory(64 << 10),
    "a read-only folder": in_memory(-1),
    "a clock that goes back": clock_back,
    "stale locks": stale_locks,
}


@dataclass(frozen=True)
class Outcome:
    """What a stage did under a hazard, and what was wrong with that."""

    stage: str
    hazard: str
    code: int | None
    said: str
    problems: list[str]


def main() -> None:
    """Run what was asked for; print and write the table."""
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--samples", type=int, default=60, help="images (default: 60)")
    p.add_argument("--stage", default="", help="only these stages, with commas between")
    p.add_argument("--hazard", default="", help="only hazards whose name holds this")
    p.add_argument("--out", type=Path, help="write the page here")
    options = p.parse_args()
    rows = []
    with tempfile.TemporaryDirectory() as place:
        world = Path(place, "world")
        make_world(world, options.samples)
        for known in learnt(options.stage, world, Path(place)):
            for name, hazard in HAZARDS.items():
                if options.hazard in name:
                    rows.append(endure(known, name, hazard, Path(place, "endured")))
                    print(line(rows[-1]), flush=True)
            if options.hazard in "two at once":
                rows.append(two_at_once(known, Path(place, "endured")))
                print(line(rows[-1]), flush=True)
    text = page(rows, options)
    print(text)
    if options.out:
        options.out.write_text(text)
    raise SystemExit(any(row.problems for row in rows))


def endure(known: Known, name: str, hazard: Hazard, folder: Path) -> Outcome:
    """Run a stage under a hazard, look at what it left, and run it again without."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(known.before, folder)
    with hazard(folder) as host:
        code, said = _run(known, folder, host)
    problems = _problems(known, code, said) + half_written(known, folder)
    code_after, said_after = _run(known, folder, Host())
    if code_after is None or not known.stage.ended(code_after, said_after):
        problems.append(f"without the hazard: exit code {code_after}: {said_after[-300:]}")
    else:
        problems += different(known, folder)
    return Outcome(known.stage.name, name, code, said, problems)


def _run(known: Known, folder: Path, host: Host) -> tuple[int | None, str]:
    process = known.stage.start(folder, host.before, host.limits)
    try:
        errors = process.communicate(timeout=_PATIENCE_S)[1]
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, 9)
        return None, process.communicate()[1]
    return process.returncode, errors


def _problems(known: Known, code: int | None, said: str) -> list[str]:
    """What is wrong with how a stage ended under a hazard."""
    if code is None:
        return ["it hangs"]
    if code in known.stage.codes:
        return []
    lines, wrong = said.strip().splitlines(), []
    # A port goes on to its reports when a step has ended so.
    looked_at = lines if known.stage.name.startswith("port") else lines[-1:]
    if code not in (2, 3):
        wrong.append(f"exit code {code}: {said[-300:]}")
    elif not any(line.startswith("portproof: error: ") for line in looked_at):
        wrong.append(f"the last line is no sentence of ours: {said[-300:]}")
    if "Traceback" in said:
        wrong.append("it ended with a traceback")
    return wrong


def two_at_once(known: Known, folder: Path) -> Outcome:
    """Start a stage twice in one folder: one refuses or waits, and the files are right."""
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(known.before, folder)
    both = [known.stage.start(folder) for _ in range(2)]
    said = [p.communicate(timeout=_PATIENCE_S)[1] for p in both]
    problems = []
    for process, words in zip(both, said, strict=True):
        problems += _problems(known, process.returncode, words)
    if not any(p.returncode in known.stage.codes for p in both):
        problems.append("neither of the two ended")
    problems += different(known, folder)
    worst = max(p.returncode for p in both)
    refused = [w for p, w in zip(both, said, strict=True) if p.returncode == worst]
    return Outcome(known.stage.name, "two at once", worst, refused[0], problems)


def line(row: Outcome) -> str:
    """One line for people who wait."""
    last = (row.said.strip().splitlines() or [""])[-1]
    said = last.removeprefix("portproof: error: ") if row.code not in (0, None) else "done"
    return (
        f"{row.stage}, {row.hazard}: {row.code}: {'; '.join(row.problems) or 'OK'} [{said[:160]}]"
    )


def page(rows: list[Outcome], options: argparse.Namespace) -> str:
    """How every stage ended under every hazard."""
    hazards = list(dict.fromkeys(r.hazard for r in rows))
    lines = [
        "# Stages on a host where something is wrong",
        "",
        f"`python benchmarks/hazards.py --samples {options.samples}`, {time.strftime('%Y-%m-%d')},"
        f" Python {platform.python_version()}, {platform.system()}.",
        "",
        "`done`: it succeeded all the same; a number: the exit code, with one sentence. Without the"
        " hazard every stage then ended with the bytes of an undisturbed run, where nothing else is"
        " said.",
        "",
        "| stage | " + " | ".join(hazards) + " |",
        "|---|" + "---|" * len(hazards),
    ]
    for stage in dict.fromkeys(r.stage for r in rows):
        own = {r.hazard: r for r in rows if r.stage == stage}
        cells = [
            "**wrong**" if r.problems else "done" if r.code in (0, 1, 4) else str(r.code)
            for r in (own[h] for h in hazards)
        ]
        lines.append(f"| {stage} | " + " | ".join(cells) + " |")
    wrong = [f"- {r.stage}, {r.hazard}: {'; '.join(r.problems)}" for r in rows if r.problems]
    return "\n".join([*lines, "", *(["## Wrong", "", *wrong, ""] if wrong else [])])


if __name__ == "__main__":
    main()
