"""What ``reports/table.py`` does: reads the columns, builds the table, judges it, writes it."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path

from portproof.core.errors import EXIT_DONE, InputError
from portproof.core.files import write_text
from portproof.core.text import listed
from portproof.logs.logged import Run
from portproof.logs.read import logs_in, read
from portproof.policy import (
    PolicyJudgement,
    Requirement,
    judge_accuracy,
    judge_speed,
    level_text,
)
from portproof.reports.cross_device.formats import (
    as_csv,
    as_html,
    as_json,
    as_markdown,
    as_text,
)
from portproof.reports.cross_device.populate import build
from portproof.reports.cross_device.table import Table
from portproof.target import match_target
from portproof.verdict import Verdict

Writer = Callable[[Table, list[PolicyJudgement]], str]
FORMATS: dict[str, Writer] = {
    "md": as_markdown,
    "csv": lambda table, _: as_csv(table),
    "json": as_json,
    "html": as_html,
}


def run(options: argparse.Namespace) -> int:
    """Build, print and write the table; the exit code is the worst verdict's."""
    table = build(
        columns(options.column),
        _chips(options.chips),
        options.allow_mixed,
        options.allow_incomplete,
        options.boundary,
        over=options.over,
    )
    speed = [judge(table, policy) for policy in options.policy]
    accuracy = _accuracy(options.accuracy) if options.accuracy else None
    judgements = [*speed, *([accuracy] if accuracy else [])]
    print((FORMATS | {"text": as_text})[options.format](table, judgements), end="")
    if options.out:
        _write(Path(options.out), table, judgements)
    if options.level_file:
        _write_level(options.level_file, table, speed, accuracy)
    return max((j.verdict.exit_code for j in judgements), default=EXIT_DONE)


def columns(arguments: list[str]) -> dict[str, list[Run]]:
    """The runs of each label, in the order given. A bare ``perf.json`` brings a column for each of
    its labels.
    """
    found: dict[str, list[Run]] = {}
    for argument in arguments:
        label, separator, paths = argument.partition("=")
        if not separator or os.path.exists(argument):
            for run in _of_bare_file(argument):
                found.setdefault(str(run.facts["label"]), []).append(run)
            continue
        if not label.strip() or not paths.strip(","):
            raise InputError(
                f"'{argument}' is not LABEL=PERF_OR_LOGS, for example 310P=logs/ or T4=a.log,b.log"
            )
        for path in filter(None, [paths] if os.path.exists(paths) else paths.split(",")):
            found.setdefault(label.strip(), []).extend(_of_label(label.strip(), path))
    return found


def _of_bare_file(path: str) -> list[Run]:
    runs = read(path)
    if any(run.facts.get("label") is None for run in runs):
        raise InputError(f"'{path}' does not say whose figures it holds; give it as LABEL={path}")
    return runs


def _of_label(label: str, path: str) -> list[Run]:
    """The runs of a file or folder; of a ``perf.json`` with several labels, those of this label."""
    runs = _of_folder(Path(path)) if os.path.isdir(path) else read(path)
    labels = {str(run.facts["label"]) for run in runs if run.facts.get("label") is not None}
    if len(labels) > 1 or label in labels:
        chosen = [run for run in runs if run.facts.get("label") == label]
        if not chosen:
            raise InputError(
                f"'{path}' has no measurement of '{label}', it has {listed(sorted(labels))}"
            )
        return chosen
    return runs


def _of_folder(folder: Path) -> list[Run]:
    """The runs in a folder: of its ``perf.json``, else of every file in it that is a log."""
    if (folder / "perf.json").is_file():
        return read(folder / "perf.json")
    runs: list[Run] = []
    for path in logs_in(folder):
        try:
            runs += read(path)
        except InputError:
            # a folder may hold other files than logs; that none is a log is an error below
            continue
    if not runs:
        raise InputError(f"the folder '{folder}' holds no log of a known tool")
    return runs


def _chips(pairs: list[str]) -> dict[str, int]:
    counts = {}
    for pair in pairs:
        label, separator, count = pair.rpartition("=")
        if not separator or not count.isdecimal() or int(count) < 1:
            raise InputError(
                f"--chips '{pair}' is not LABEL=N with N of at least 1, for example --chips 310=4"
            )
        counts[label] = int(count)
    return counts


def judge(table: Table, policy: str) -> PolicyJudgement:
    """Judge the best row; :class:`InputError` for mixed boundaries or a rehearsal."""
    if len(table.boundaries) > 1:
        raise InputError(
            f"policy '{policy}' compares rates within one timing boundary; give --boundary instead"
            " of --allow-mixed"
        )
    if table.simulated:
        raise InputError(f"policy '{policy}' judges measured rates; these are a REHEARSAL")
    best: dict[str, tuple[float, str]] = {}
    for column in table.columns:
        target, cell = match_target(column.label), column.best
        if target is not None and cell is not None:
            if target.name in best:
                raise InputError(
                    f"policy '{policy}': {best[target.name][1]} and {column.label} are both the"
                    f" target {target.name}; give one of them"
                )
            best[target.name] = (cell.value, f"{column.label} (bs{cell.batch})")
    rateless = [c.label for c in table.columns if c.best is None and match_target(c.label)]
    if rateless:
        # Only wrong answers leave a column empty.
        said = f"{listed(rateless)} answered wrongly at every batch and has no rate"
        return PolicyJudgement(
            policy, Verdict.FAIL, (Requirement("answers", 0.0, 1.0, "1", False, said),)
        )
    return judge_speed(policy, best)


def _accuracy(text: str) -> PolicyJudgement:
    measured, separator, published = text.replace("%", "").partition("/")
    try:
        figures = float(measured), float(published)
    except ValueError:
        figures = (-1.0, -1.0)
    if not separator or not all(0 <= figure <= 100 for figure in figures):
        raise InputError(
            f"--accuracy '{text}' is not MEASURED/PUBLISHED in percent, for example 77.85/77.862"
        )
    if 0 < max(figures) <= 1:
        raise InputError(
            f"--accuracy '{text}' looks like fractions; percent was expected, for example"
            " 77.85/77.862"
        )
    return judge_accuracy(*figures)


def _write(path: Path, table: Table, judgements: list[PolicyJudgement]) -> None:
    ending = path.suffix.lstrip(".").lower()
    if path.suffix and ending not in FORMATS:
        raise InputError(
            f"--out '{path}': the ending is not one of .md, .csv, .json, .html; without an ending"
            " all four are written"
        )
    for name in [ending] if ending else FORMATS:
        write_text(
            path if ending else path.with_suffix(f".{name}"), FORMATS[name](table, judgements)
        )


def _write_level(
    path: str, table: Table, speed: list[PolicyJudgement], accuracy: PolicyJudgement | None
) -> None:
    if len(speed) > 1:
        raise InputError("--level-file holds one PerfStatus; give one --policy")
    if table.simulated:
        raise InputError("--level-file states what was measured; these figures are a REHEARSAL")
    write_text(path, level_text(speed[0] if speed else None, accuracy))
