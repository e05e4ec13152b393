"""Kill every stage at random moments, by SIGKILL and SIGINT in turns, and let it go on.

A stage is started, killed somewhere between its first write and its end, started again, killed
again, until it ends by itself: a chain. After every kill, a file under a final name must hold what
an undisturbed run writes; at the end of a chain the folder must be, byte for byte and name for
name, that of an undisturbed run. What differs between two undisturbed runs (times) is compared by
name alone. ``--load N`` keeps so many processors busy meanwhile.

Example: ``python benchmarks/kills.py --moments 50 --out benchmarks/results/kills.md``
"""

from __future__ import annotations

import argparse
import contextlib
import math
import os
import platform
import random
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(1, str(Path(__file__).resolve().parent))

from kills_world import Known, contents, copied, learnt, make_world

SIGNALS = (signal.SIGKILL, signal.SIGINT)
#: What a stage that was interrupted from the keyboard ends with, where it was not over already.
INTERRUPTED = 130
#: A stage that ended before its kill is killed so much earlier the next time, and later again.
_EARLIER, _LATER = 0.85, 1.05


@dataclass
class Killed:
    """What became of a stage: kills by signal, and what was wrong."""

    stage: str
    kills: Counter[str] = field(default_factory=Counter)
    chains: int = 0
    problems: list[str] = field(default_factory=list)
    pace: float = 1.0


def main() -> None:
    """Run the stages that were asked for; print and write the table."""
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--moments", type=int, default=50, help="kills a stage (default: 50)")
    p.add_argument("--samples", type=int, default=200, help="images (default: 200)")
    p.add_argument(
        "--seconds",
        type=float,
        default=math.inf,
        help="a stage's kills take at most (default: all)",
    )
    p.add_argument("--stage", default="", help="only these stages, with commas between")
    p.add_argument("--load", type=int, default=0, help="busy processes meanwhile (default: 0)")
    p.add_argument("--seed", type=int, default=1, help="which moments (default: 1)")
    p.add_argument("--out", type=Path, help="write the page here")
    options = p.parse_args()
    # Where a shell started us in the background, this signal is ignored, also by what we start.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    rng = random.Random(options.seed)  # nosec B311 - moments, no secrets
    rows = []
    with tempfile.TemporaryDirectory() as place, busy(options.load):
        world = Path(place, "world")
        make_world(world, options.samples)
        for known in learnt(options.stage, world, Path(place)):
            until = time.monotonic() + options.seconds
            rows.append(torment(known, options.moments, rng, Path(place, "tormented"), until))
            print(line(rows[-1]), flush=True)
    text = page(rows, options)
    print(text)
    if options.out:
        options.out.write_text(text)
    raise SystemExit(any(row.problems for row in rows))


@contextlib.contextmanager
def busy(count: int) -> Iterator[None]:
    """So many processes that do nothing but work."""
    workers = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
    try:
        yield
    finally:
        for worker in workers:
            worker.kill()
            worker.wait()


def torment(
    known: Known, moments: int, rng: random.Random, folder: Path, until: float = math.inf
) -> Killed:
    """Chains of kills of one stage until there were enough, or the clock stands at ``until``."""
    row = Killed(known.stage.name)

    def wanted() -> bool:
        return sum(row.kills.values()) < moments and time.monotonic() < until

    while wanted() and not row.problems:
        shutil.rmtree(folder, ignore_errors=True)
        copied(known.before, folder)
        row.chains += 1
        while wanted():
            number = SIGNALS[sum(row.kills.values()) % len(SIGNALS)]
            if not kill_once(known, number, rng, folder, row):
                break
        else:
            finish(known, folder, row)
        row.problems += different(known, folder)
    return row


def kill_once(
    known: Known, number: signal.Signals, rng: random.Random, folder: Path, row: Killed
) -> bool:
    """Start the stage and kill it at a random moment; False when it ended before."""
    moment = row.pace * rng.uniform(0.8 * known.writes_s, known.ends_s)
    process = known.stage.start(folder)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(timeout=moment)
    if process.returncode is None:
        # The keyboard's signal reaches everything of the command, as a terminal sends it.
        os.killpg(process.pid, number)
    errors = process.communicate(timeout=120)[1]
    if known.stage.ended(process.returncode, errors):
        row.pace *= _EARLIER
        return False
    row.pace = min(1.0, row.pace * _LATER)
    row.kills[number.name] += 1
    ended = -number if number == signal.SIGKILL else INTERRUPTED
    # While Python still imports, a signal ends it as it ends every program.
    unborn = process.returncode == -number and "in run_stage" not in errors
    if process.returncode != ended and not unborn:
        row.problems.append(f"{number.name}: exit code {process.returncode}: {errors[-500:]}")
    elif number == signal.SIGINT and "Traceback" in errors and not unborn:
        row.problems.append(f"{number.name}: it ended with a traceback: {errors[-500:]}")
    row.problems += half_written(known, folder)
    return not row.problems


def finish(known: Known, folder: Path, row: Killed) -> None:
    """Let the stage end by itself."""
    process = known.stage.start(folder)
    errors = process.communicate(timeout=600)[1]
    if not known.stage.ended(process.returncode, errors):
        row.problems.append(f"started again: exit code {process.returncode}: {errors[-500:]}")


def half_written(known: Known, folder: Path) -> list[str]:
    """Files under final names that no undisturbed run writes so. The log of a program that runs is
    read while it grows, so it may end anywhere.
    """
    found, before = [], contents(known.before)
    for name, data in contents(folder).items():
        hidden = any(part.startswith(".") for part in Path(name).parts)
        if hidden or name.endswith(".log") or before.get(name) == data:
            continue
        if name not in known.made:
            found.append(f"'{name}' is there and belongs to nothing")
        elif known.made[name] not in (None, data):
            found.append(f"'{name}' is half written ({len(data)} bytes)")
    return found


def different(known: Known, folder: Path) -> list[str]:
    """What is not as an undisturbed run leaves it."""
    expected, found = contents(known.before) | dict(known.made), contents(folder)
    wrong = [f"'{n}' is left behind" for n in found.keys() - expected.keys()]
    wrong += [f"'{n}' is missing" for n in expected.keys() - found.keys()]
    return wrong + [
        f"'{name}' has other bytes"
        for name, data in expected.items()
        if data is not None and found.get(name, data) != data
    ]


def line(row: Killed) -> str:
    """One line for people who wait."""
    kills = ", ".join(f"{count} {name}" for name, count in row.kills.items())
    return f"{row.stage}: {kills}, {row.chains} chains; " + ("; ".join(row.problems[:3]) or "whole")


def page(rows: list[Killed], options: argparse.Namespace) -> str:
    """The table of all stages."""
    lines = [
        "# Stages that are killed",
        "",
        f"`python benchmarks/kills.py {shlex.join(sys.argv[1:])}`, {time.strftime('%Y-%m-%d')},"
        f" Python {platform.python_version()}, {os.cpu_count()} processors;"
        f" {os.getloadavg()[2]:.0f} processes at work on average over the last 15 minutes.",
        "",
        "After every kill no final name held half a file, but for logs of programs that were"
        " running; at the end of every chain names and bytes were those of a run that nobody"
        " disturbed, where nothing else is said.",
        "",
        "| stage | SIGKILL | SIGINT | chains | what was wrong |",
        "|---|---|---|---|---|",
    ]
    for row in rows:
        kills = " | ".join(str(row.kills[s.name]) for s in SIGNALS)
        problems = "; ".join(row.problems) or "nothing"
        lines.append(f"| {row.stage} | {kills} | {row.chains} | {problems} |")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()
