"""Fill the comparison table from runs: chips, boundaries, ratios, and what is left out and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from portproof.core.arguments import pairs_of
from portproof.core.errors import InputError
from portproof.core.text import listed
from portproof.logs.consistency import across
from portproof.logs.logged import END_TO_END, Run
from portproof.measurement import WIDENED
from portproof.reports.cross_device.headline import headline
from portproof.reports.cross_device.mixture import mixture, refuse_rehearsal_beside_measurement
from portproof.reports.cross_device.table import Cell, Column, Table
from portproof.rundir.layout import match_side


@dataclass(slots=True)
class _Draft:
    """A column while it is filled."""

    label: str
    chips: int
    chips_from: str
    cells: dict[int, Cell] = field(default_factory=dict)
    runs: dict[int, Run] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def build(
    runs: Mapping[str, Sequence[Run]],
    chips: Mapping[str, int] | None = None,
    allow_mixed: bool = False,
    allow_incomplete: bool = False,
    boundary: str | None = None,
    *,
    over: Sequence[str] = (),
) -> Table:
    """The table of the runs of each label.

    ``chips``: chips on a card, by label; otherwise they come from the target of that name.
    ``boundary``: use the rates of that timing boundary, instead of the rate that each tool reports.
    ``over``: the columns that the ratios are over.
    Raises :class:`InputError` when boundaries or rehearsed and measured figures would stand side by
    side, when a column would be empty (for another reason than wrong answers), or when two runs
    claim one cell.
    """
    given = {label.lower(): count for label, count in (chips or {}).items()}
    unknown = sorted(set(given) - {label.lower() for label in runs})
    if unknown:
        raise InputError(
            f"--chips names {listed(unknown)}, which is not a column; the columns are"
            f" {listed(list(runs))}"
        )
    drafts = [
        _fill(label, found, given.get(label.lower()), allow_incomplete, boundary)
        for label, found in runs.items()
    ]
    table = Table(
        columns=tuple(Column(d.label, d.chips, d.chips_from, d.cells) for d in drafts),
        ratios=pairs_of(list(runs), over) if over else _pairs(list(runs)),
        notes=tuple(note for d in drafts for note in dict.fromkeys(d.notes)),
        left_out=tuple(sentence for d in drafts for sentence in d.left_out),
        warnings=tuple(_warnings(runs, allow_incomplete)),
    )
    refuse_rehearsal_beside_measurement(table)
    if len(table.boundaries) > 1 and not allow_mixed:
        raise InputError(mixture(table, runs))
    return table


def _pairs(labels: list[str]) -> tuple[tuple[str, str], ...]:
    """Ratio columns: the 310P over each other column, as ModelZoo's tables have it, or rather its
    tuned model; without one, the first column over each other.
    """
    sides = {label: match_side(label) for label in labels}
    tuned = next((label for label, side in sides.items() if side and side.tuned), None)
    newest = (label for label, side in sides.items() if side and side.name == "310p")
    subject = tuned or next(newest, labels[0])
    return tuple((subject, other) for other in labels if other != subject)


def _fill(
    label: str, runs: Sequence[Run], chips: int | None, allow_incomplete: bool, boundary: str | None
) -> _Draft:
    side = match_side(label)
    target = side.target if side else None
    if chips is not None:
        draft = _Draft(label, chips, "--chips")
    elif target is not None:
        draft = _Draft(label, target.chips_per_card, f"target {target.name}")
    else:
        measured = {run.facts.get("measured_chips") for run in runs}
        known = measured.pop() if len(measured) == 1 else None
        draft = _Draft(
            label, known or 1, "as measured" if known else f"not given: --chips {label}=N"
        )
    elsewhere: list[tuple[int | None, str]] = []
    for run in runs:
        reason = _unusable(run, allow_incomplete)
        if reason is None and boundary and headline(run, boundary) is None:
            elsewhere.append(
                (
                    run.batch,
                    (
                        f"{label}: {run.source}:{run.line}: it has no rate at the boundary"
                        f" '{boundary}'"
                    ),
                )
            )
            continue
        if reason is None:
            reason = _place(draft, run, boundary)
        if reason is not None:
            draft.left_out.append(f"{label}: {run.source}:{run.line}: {reason}")
    # One bench gives a run a boundary: those of the others are not missed where the one that is
    # asked for is there.
    draft.left_out += [sentence for batch, sentence in elsewhere if batch not in draft.cells]
    if not draft.cells and not all(run.facts.get("answers") == "wrong" for run in runs):
        why = "; ".join(draft.left_out) or "no run was found"
        raise InputError(f"the column '{label}' would be empty: {why}")
    return draft


def _unusable(run: Run, allow_incomplete: bool) -> str | None:
    """Why a run may not enter a table, or None."""
    if run.facts.get("answers") == "wrong":
        return run.warnings[-1]
    if run.status == "failed":
        return "the run failed"
    if run.status == "incomplete" and not allow_incomplete:
        return "the log is incomplete (--allow-incomplete takes it)"
    return None


def _place(draft: _Draft, run: Run, boundary: str | None) -> str | None:
    """Put a run's rate into its cell; the reason when there is none to put."""
    figure = headline(run, boundary)
    if figure is None or figure.boundary is None or figure.best_value is None:
        return "it has no rate"
    batch, hinted = run.batch or run.facts.get("batch_hint"), run.batch is None
    if not batch:
        return "its batch size is not known"
    printed, how = figure.best_value, []
    if figure.unit == "batches/s":
        printed *= batch
        how.append(f"{figure.derived or f'{figure.best_value:.10g} batches/s'} x {batch}")
    else:
        how.append(figure.derived or f"{printed:.10g}")
    if hinted or (run.batch_source or "").endswith("(a hint)"):
        draft.notes.append(f"{draft.label}: the batch of {run.source} is known from the name only")
    if run.facts.get("answers") == "not checked":
        draft.notes.append(
            f"{draft.label}: answers not checked, its tool gives none when it is timed"
        )
    if run.facts.get("widened"):
        draft.notes.append(f"{draft.label}: {WIDENED}, so its rate shows no float16 arithmetic")
    if run.status == "incomplete":
        draft.notes.append(f"{draft.label} bs{batch}: the log of this figure is incomplete")
    if figure.recovered is not None:
        draft.notes.append(
            f"{draft.label} bs{batch}: the tool printed no rate; it is recovered from its times"
        )
    timed = run.facts.get("measured_chips", 1)
    factor = draft.chips / timed
    if factor != 1 and figure.boundary == END_TO_END:
        return (
            f"a rate from file to result is the host's and does not multiply by chips: {timed}"
            f" timed, {draft.chips} on a card"
        )
    if factor != 1:
        how.append(f"x {draft.chips} chips" if timed == 1 else f"x {draft.chips} / {timed} chips")
    cell = Cell(
        printed * factor,
        printed,
        batch,
        figure.boundary,
        run.source,
        figure.line,
        " ".join(how),
        run.simulated,
    )
    other = draft.cells.setdefault(batch, cell)
    first = draft.runs.setdefault(batch, run)
    if other.value != cell.value:
        raise InputError(
            f"the column '{draft.label}' has two runs of batch {batch}: {other.value:.7g}"
            f" ({other.source}:{other.line}) and {cell.value:.7g} ({cell.source}:{cell.line})"
            f"{_misnamed(first, run)}; name the one that is meant"
        )
    return None


def _misnamed(*runs: Run) -> str:
    """What the logs say of files whose names give another batch than they hold."""
    return "".join(
        f"; {run.source}: {warning}"
        for run in runs
        for warning in run.warnings
        if warning.startswith("the name says batch")
    )


def _warnings(runs: Mapping[str, Sequence[Run]], allow_incomplete: bool) -> list[str]:
    """Each log's own warnings, and what does not fit between the logs of one column."""
    found = []
    for label, several in runs.items():
        usable = [run for run in several if _unusable(run, allow_incomplete) is None]
        found += [f"{label}: {run.source}: {warning}" for run in usable for warning in run.warnings]
        found += [f"{label}: {sentence}" for _, sentence in across(usable)]
    return list(dict.fromkeys(found))
