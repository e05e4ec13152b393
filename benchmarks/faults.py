"""Plant faults in ports of two small networks and see whether ``metrics/diagnose.py`` finds and
names them.

Each fault is planted alone, some in pairs, and sound ports stand between them. A fault counts only
if it changes the outputs beyond the rounding of fp16, or the labels; of two, each counts only if it
does so beside the other, since nothing tells what changes no answer. ``detected``: the diagnosis
says that something is wrong. ``named``: one of the fault's names is what was found, or stands among
those that it cannot tell apart from it. ``wrong``: only other names. Of a pair, each is counted.

Example: ``python benchmarks/faults.py --work runs/faults --out benchmarks/results/faults.md``
"""

from __future__ import annotations

import argparse
import contextlib
import io
import platform
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

sys.path.insert(1, str(Path(__file__).resolve().parent))

import faults_model  # noqa: F401 - its faults are in the lists then
from faults_planted import CONTROLS, FAULTS, Fault, planted
from faults_world import KINDS, Array, World, sound

from portproof.core.errors import InputError
from portproof.metrics.diagnosis.explain import Diagnosis, diagnose

#: Outputs that differ by less, as a part of their size, differ by the rounding of fp16.
ROUNDING = 2e-3

_CHANGES: dict[tuple[str, str], bool] = {}


@dataclass(frozen=True)
class Outcome:
    """What became of one port."""

    network: str
    faults: tuple[Fault, ...]
    changes: bool
    said: tuple[str, ...]
    named: tuple[bool, ...]
    detected: bool
    wrong: bool
    seconds: float
    processor: float
    text: str

    @property
    def title(self) -> str:
        """The names of the faults."""
        return " and ".join(f.name for f in self.faults)


def main() -> None:
    """Run what was asked for; print and write the table."""
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("--work", type=Path, default=Path("runs/faults"), help="networks are kept here")
    p.add_argument("--network", choices=[*KINDS, "both"], default="both")
    p.add_argument("--only", default="", help="faults whose name or step holds this")
    p.add_argument("--pairs", type=int, default=40, help="so many pairs of each network")
    p.add_argument("--seed", type=int, default=1, help="which pairs")
    p.add_argument("--images", type=int, metavar="N", help="so many pictures, some with noise")
    p.add_argument("--reference", choices=("model.onnx", "weights.pth"), default="model.onnx")
    p.add_argument("--what", default="controls,single,pairs")
    p.add_argument("--out", type=Path, help="write the table here")
    options = p.parse_args()
    outcomes = []
    for kind in KINDS.values() if options.network == "both" else [KINDS[options.network]]:
        world = World(kind, options.work / kind.name, options.images)
        for faults in chosen(options):
            if any(f.names and not _changes(world, f) for f in faults):
                continue
            outcome = judge(world, faults, options.work, options.reference)
            outcomes.append(outcome)
            print(line(outcome), flush=True)
    text = report(outcomes)
    print(text)
    if options.out:
        options.out.write_text(text)


def chosen(options: argparse.Namespace) -> Iterator[tuple[Fault, ...]]:
    """Controls, faults alone, pairs."""
    what = options.what.split(",")
    if "controls" in what:
        yield from ((c,) for c in CONTROLS if options.only in c.name)
    faults = [f for f in FAULTS if options.only in f.name or options.only == f.step]
    if "single" in what:
        yield from ((f,) for f in faults)
    if "pairs" in what:
        generator = np.random.default_rng(options.seed)
        for _ in range(options.pairs):
            first, second = (FAULTS[i] for i in generator.choice(len(FAULTS), 2, replace=False))
            if first.step != second.step:
                yield first, second


def judge(world: World, faults: tuple[Fault, ...], work: Path, reference: str) -> Outcome:
    """Make the port, diagnose it, compare with what was planted."""
    folder = work / "port"
    world.port(planted(sound(world.kind), world.kind, faults), folder)
    began, at_work = time.monotonic(), time.process_time()
    found: Diagnosis | InputError
    with contextlib.redirect_stderr(io.StringIO()):
        try:
            found = diagnose(
                str(world.card),
                world.folder / reference,
                world.images,
                folder / "labels.txt",
                folder / "result",
            )
        except InputError as error:
            found = error
    took = time.monotonic() - began
    processor = time.process_time() - at_work
    counted = [f for f in faults if f.names and _shows(world, f, faults)]
    names, text = _said(found)
    named = tuple(any(n in f.names for n in names) for f in counted)
    vague = {"unexplained", "model-changed", "refused"}
    wrong = bool(names) and not any(named) and not vague & set(names)
    if not counted:  # a sound port, or two faults of which each hides the other
        wrong = bool(names) and not any(f.names for f in faults)
    return Outcome(
        world.kind.name,
        faults,
        bool(counted),
        names,
        named,
        bool(names),
        wrong,
        took,
        processor,
        text,
    )


def _changes(world: World, fault: Fault) -> bool:
    """Whether a fault alone changes outputs beyond rounding, or labels, or the files."""
    if fault.step in ("labels", "write"):
        return True
    known = _CHANGES.get((world.kind.name, fault.name))
    if known is not None:
        return known
    pipeline = planted(sound(world.kind), world.kind, (fault,))
    rows = world.outputs(pipeline)
    return _CHANGES.setdefault((world.kind.name, fault.name), _differ(rows, world.right))


def _shows(world: World, fault: Fault, faults: tuple[Fault, ...]) -> bool:
    """Whether the outputs would be others without one of the faults; alone, it is known to."""
    others = tuple(f for f in faults if f is not fault)
    if not others or fault.step in ("labels", "write"):
        return True
    kind = world.kind
    rows, without = (world.outputs(planted(sound(kind), kind, f)) for f in (faults, others))
    return _differ(rows, without)


def _differ(rows: Array, right: Array) -> bool:
    """Whether outputs are others beyond rounding; what is no number is none on both sides."""
    numbers = np.isfinite(rows)
    if rows.shape != right.shape or (numbers != np.isfinite(right)).any():
        return True
    one, two = np.where(numbers, rows, 0), np.where(numbers, right, 0)
    return bool(np.linalg.norm(one - two) > ROUNDING * np.linalg.norm(two))


def _said(found: Diagnosis | InputError) -> tuple[tuple[str, ...], str]:
    if isinstance(found, InputError):
        return ("refused",), str(found)
    names = [n for f in found.faults for n in (f.fault, *f.alike)]
    return tuple(dict.fromkeys(names)), found.to_text()


def line(outcome: Outcome) -> str:
    """One line for people who wait."""
    state = "----"
    if outcome.changes:
        state = "".join("+" if n else "." for n in outcome.named) if outcome.detected else "MISS"
    state = "WRNG" if outcome.wrong else state
    return (
        f"{state:4} {outcome.network:6} {outcome.seconds:5.1f} s ({outcome.processor:5.1f} of"
        f" processors)  {outcome.title:45}"
        f" {', '.join(outcome.said) or 'none'}"
    )


def report(outcomes: Sequence[Outcome]) -> str:
    """The counts and every port that was not named."""
    controls = [o for o in outcomes if not any(f.names for f in o.faults)]
    single = [o for o in outcomes if len(o.faults) == 1 and o.faults[0].names and o.changes]
    pairs = [o for o in outcomes if len(o.faults) == 2 and o.changes]
    slowest = max((o.seconds for o in outcomes), default=0.0)
    busiest = max((o.processor for o in outcomes), default=0.0)
    lines = [
        "# Planted faults",
        "",
        f"`python benchmarks/faults.py`, {time.strftime('%Y-%m-%d')}, Python"
        f" {platform.python_version()}, {platform.machine()}, numpy {np.__version__}.",
        "A fault counts if it changes outputs by more than 2 parts in 1000, the labels or files; of"
        " two, each that does so beside the other.",
        "",
        "| ports | planted | detected | named | wrong |",
        "|---|---|---|---|---|",
    ]
    for network in dict.fromkeys(o.network for o in outcomes):
        for words, part in (("alone", single), ("in pairs", pairs)):
            own = [o for o in part if o.network == network]
            planted_ = sum(len(o.named) for o in own)
            found = sum(len(o.named) * o.detected for o in own)
            lines.append(
                f"| {network}, {words} | {planted_} | {found} | {sum(sum(o.named) for o in own)} |"
                f" {sum(o.wrong for o in own)} |"
            )
        own = [o for o in controls if o.network == network]
        alarms = sum(o.detected for o in own)
        lines.append(f"| {network}, sound | {len(own)} ports | {alarms} false alarms | | |")
    lines += [
        "",
        f"The slowest diagnosis took {slowest:.0f} s, {busiest:.0f} s of processors at most.",
        "",
        "## Not named, or wrongly",
        "",
    ]
    for o in outcomes:
        if o.wrong or (o.changes and not all(o.named)):
            lines.append(f"- {o.network}: {o.title}: {', '.join(o.said) or 'nothing'}")
    return "\n".join([*lines, ""])


if __name__ == "__main__":
    main()
