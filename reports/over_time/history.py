"""Runs of one port over time: accuracy, speed and what changed, as a table and plots."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec

from portproof.core.errors import InputError
from portproof.core.files import write_bytes, write_text
from portproof.core.text import listed, markdown, printable
from portproof.measurement import Performance, Ratio
from portproof.metrics.tasks import Figure
from portproof.reports.over_time.against import changes_between, performance_of
from portproof.reports.port.data import RunData, read_run
from portproof.reports.port.plots import COLOURS, Plot, svg_of
from portproof.rundir.gates import best_measured
from portproof.rundir.layout import REFERENCE


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One label of one run. ``accuracy`` in ``unit`` (``1``: a fraction), of ``metric``; ``rate``:
    the highest, in images per second, at ``batch``, None where the clock was unstable; ``ratio``:
    over the reference at that batch. ``changes``: versions that were others in the run before.
    """

    folder: str
    made: str
    label: str
    metric: str
    accuracy: float | None
    unit: str
    verdict: str | None
    batch: int | None
    rate: float | None
    ratio: Ratio | None
    unstable: bool
    simulated: bool
    changes: list[str]


#: An entry, its value, and the interval of that.
_Point = tuple[Entry, float, tuple[float, float] | None]


class History(msgspec.Struct, frozen=True, kw_only=True):
    """Entries from the oldest run to the newest."""

    schema: str = "portproof.history/1"
    model: str
    entries: list[Entry]


def history_of(folders: Sequence[Path]) -> History:
    """The history of run directories and baselines of one model; :class:`InputError` for several
    models.
    """
    runs = [(folder, read_run(folder)) for folder in folders]
    empty = [str(folder) for folder, data in runs if not data.stages]
    if empty:
        raise InputError(f"'{empty[0]}' holds no finished stage: give runs that are finished")
    models = sorted({data.model_name for _, data in runs})
    if len(models) > 1:
        raise InputError(
            f"the folders are of {len(models)} models ({listed(models)}): give those of one"
        )
    runs.sort(key=lambda run: made(run[1]))
    entries: list[Entry] = []
    for at, (folder, data) in enumerate(runs):
        changes = [c.text for c in changes_between(runs[at - 1][1], data)] if at else []
        entries += _entries(folder, data, changes)
    return History(model=models[0], entries=entries)


def made(data: RunData) -> str:
    """When a run's last stage began, by its host's clock."""
    return data.stages[-1].proof.started


def _entries(folder: Path, data: RunData, changes: list[str]) -> Iterator[Entry]:
    verdicts = {g.label: g.verdict for g in data.judgement.gates if g.name == "accuracy"}
    for side in data.files.compared:
        performance, label = performance_of(data, side), side.label
        best = performance and (
            best_measured(performance, label) or best_measured(performance, label, "device")
        )
        metric, accuracy, unit = _accuracy(data, label)
        verdict = verdicts.get(label)
        yield Entry(
            folder=str(folder),
            made=made(data),
            label=label,
            metric=metric,
            accuracy=accuracy,
            unit=unit,
            verdict=str(verdict) if verdict else None,
            batch=best[0] if best else None,
            rate=best[1] if best else None,
            ratio=_ratio_at(performance, label, best[0]) if performance and best else None,
            unstable=performance is not None and performance.status == "unstable",
            simulated=data.simulated,
            changes=changes,
        )


def _ratio_at(performance: Performance, label: str, batch: int) -> Ratio | None:
    """The label's ratio over the reference at a batch."""
    place = label, REFERENCE, batch
    return next((r for r in performance.ratios if (r.a, r.b, r.batch) == place), None)


def _accuracy(data: RunData, label: str) -> tuple[str, float | None, str]:
    if label in data.comparisons:
        return "Top-1", data.comparisons[label].port_accuracy, "1"
    found = data.task_comparisons.get(label)
    return (found.metric, found.port_value, found.unit) if found else ("accuracy", None, "1")


def as_markdown(history: History) -> str:
    """The table. A rate or ratio of an unstable clock is in brackets."""
    rows = [
        "| made | label | accuracy | verdict | batch | images/s | over the reference | changed |",
        "|---|---|---:|---|---:|---:|---:|---|",
    ]
    for e in history.entries:
        mark = "REHEARSAL " if e.simulated else ""
        cells = [
            mark + e.made[:16],
            e.label,
            f"{e.metric} {Figure(e.metric, e.unit).text(e.accuracy)}",
            e.verdict or "not judged",
            "" if e.batch is None else str(e.batch),
            _doubted(e, "" if e.rate is None else f"{e.rate:.1f}"),
            _doubted(e, _ratio(e.ratio)),
            listed(e.changes),
        ]
        rows.append("| " + " | ".join(markdown(cell) for cell in cells) + " |")
    notes = (
        ["", "In brackets: the clock was unstable."]
        if any(e.unstable for e in history.entries)
        else []
    )
    return "\n".join([f"# {markdown(history.model)} over time", "", *rows, *notes]) + "\n"


def _doubted(entry: Entry, text: str) -> str:
    return f"({text})" if text and entry.unstable else text


def _ratio(ratio: Ratio | None) -> str:
    if ratio is None:
        return ""
    interval = "" if ratio.ci95 is None else f" ({ratio.ci95[0]:.2f} to {ratio.ci95[1]:.2f})"
    return f"{ratio.ratio:.2f}{interval}"


def write_history(history: History, out: Path) -> None:
    """Write ``history.json``, ``history.md``, and a plot of accuracy and of speed where there are
    figures, into a folder.
    """
    write_bytes(out / "history.json", msgspec.json.format(msgspec.json.encode(history)) + b"\n")
    text = as_markdown(history)
    simulated = any(e.simulated for e in history.entries)
    for plot in _plots(history):
        write_bytes(out / f"{plot.name}.svg", svg_of(plot, simulated))
        text += f"\n![{markdown(plot.text)}]({plot.name}.svg)\n"
    write_text(out / "history.md", text)


def _plots(history: History) -> Iterator[Plot]:
    accuracies: list[_Point] = [
        (e, e.accuracy, None) for e in history.entries if e.accuracy is not None
    ]
    ratios: list[_Point] = [(e, e.ratio.ratio, e.ratio.ci95) for e in history.entries if e.ratio]
    dates = list(dict.fromkeys(e.made for e in history.entries))
    for name, title, points in (
        ("accuracy", "Accuracy over time", accuracies),
        ("speed", "Times as fast as the reference, over time", ratios),
    ):
        if points:
            values = "; ".join(f"{e.made[:16]} {e.label} {v:.4g}" for e, v, _ in points)
            yield Plot(name, title, f"{title}: {values}.", partial(_draw, points, dates))


def _draw(points: Sequence[_Point], dates: Sequence[str], axes: Any) -> None:
    """A line a label, with intervals where they are known."""
    for at, label in enumerate(dict.fromkeys(e.label for e, _, _ in points)):
        mine = [(dates.index(e.made), v, ci or (v, v)) for e, v, ci in points if e.label == label]
        below = [max(0.0, v - ci[0]) for _, v, ci in mine]
        above = [max(0.0, ci[1] - v) for _, v, ci in mine]
        axes.errorbar(
            [x for x, _, _ in mine],
            [v for _, v, _ in mine],
            yerr=[below, above],
            fmt="o-",
            capsize=4,
            color=COLOURS[at % len(COLOURS)],
            label=printable(label),
        )
    axes.set_xticks(range(len(dates)), [date[:10] for date in dates], rotation=30)
    axes.legend()
