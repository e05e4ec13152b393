"""The cross-device comparison table, built from logs: images per second per card, by batch and
device, with ratios.

Nothing is rounded here. A ratio is formed only between figures of one timing boundary, and
simulated figures never stand beside measured ones. Every cell keeps the file and line that it comes
from.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from portproof.core.errors import InputError
from portproof.core.text import listed
from portproof.logs.checks import across
from portproof.logs.runs import DEVICE, END_TO_END, Figure, Run
from portproof.rundir.layout import match_side


@dataclass(frozen=True, slots=True)
class Cell:
    """A rate. ``value``: images per second per card; ``printed``: what the log gives for
    ``chips_timed`` chips; ``how``: the working.
    """

    value: float
    printed: float
    batch: int
    boundary: str
    source: str
    line: int
    how: str
    simulated: bool


@dataclass(frozen=True, slots=True)
class Column:
    """A device. ``chips``: how many a card has; ``chips_from``: how that is known. ``cells``: by
    batch.
    """

    label: str
    chips: int
    chips_from: str
    cells: Mapping[int, Cell]

    @property
    def best(self) -> Cell | None:
        """The cell of the greatest rate; of the smaller batch on a tie."""
        return max(self.cells.values(), key=lambda cell: (cell.value, -cell.batch), default=None)


@dataclass(frozen=True, slots=True)
class Table:
    """The whole table. ``ratios``: pairs of labels, subject first. ``notes``: what a reader must
    know; ``left_out``: runs not shown and why.
    """

    columns: tuple[Column, ...]
    ratios: tuple[tuple[str, str], ...]
    notes: tuple[str, ...] = ()
    left_out: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()

    @property
    def batches(self) -> list[int]:
        """Every batch that any column has, ascending."""
        return sorted({batch for column in self.columns for batch in column.cells})

    @property
    def boundaries(self) -> set[str]:
        """The timing boundaries in the table; more than one is a mixture."""
        return {cell.boundary for column in self.columns for cell in column.cells.values()}

    @property
    def simulated(self) -> bool:
        """Whether the figures are a rehearsal's."""
        return any(cell.simulated for column in self.columns for cell in column.cells.values())

    def column(self, label: str) -> Column:
        """The column of a label."""
        return next(column for column in self.columns if column.label == label)

    def ratio(self, pair: tuple[str, str], batch: int | None) -> float | None:
        """The ratio of two columns at a batch (None: of their best cells); None where a cell is
        empty or their boundaries differ.
        """
        a, b = (
            self.column(label).cells.get(batch) if batch is not None else self.column(label).best
            for label in pair
        )
        return a.value / b.value if a and b and a.boundary == b.boundary else None


@dataclass(slots=True)
class _Draft:
    """A column while it is filled."""

    label: str
    chips: int
    chips_from: str
    cells: dict[int, Cell] = field(default_factory=dict)
    left_out: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def build(
    runs: Mapping[str, Sequence[Run]],
    chips: Mapping[str, int] | None = None,
    allow_mixed: bool = False,
    allow_incomplete: bool = False,
    boundary: str | None = None,
) -> Table:
    """The table of the runs of each label.

    ``chips``: chips on a card, by label; otherwise they come from the target of that name.
    ``boundary``: use the rates of that timing boundary, instead of the rate that each tool reports.
    Raises :class:`InputError` when boundaries or rehearsed and measured figures would stand side by
    side, when a column would be empty, or when two runs claim one cell.
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
        ratios=_pairs(list(runs)),
        notes=tuple(note for d in drafts for note in dict.fromkeys(d.notes)),
        left_out=tuple(sentence for d in drafts for sentence in d.left_out),
        warnings=tuple(_warnings(runs, allow_incomplete)),
    )
    _refuse_rehearsal_beside_measurement(table)
    if len(table.boundaries) > 1 and not allow_mixed:
        raise InputError(_mixture(table, runs))
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
    if not draft.cells:
        why = "; ".join(draft.left_out) or "no run was found"
        raise InputError(f"the column '{label}' would be empty: {why}")
    return draft


def _unusable(run: Run, allow_incomplete: bool) -> str | None:
    """Why a run may not enter a table, or None."""
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
    if other.value != cell.value:
        raise InputError(
            f"the column '{draft.label}' has two runs of batch {batch}: {other.value:.7g}"
            f" ({other.source}:{other.line}) and {cell.value:.7g} ({cell.source}:{cell.line}); name"
            " the one that is meant"
        )
    return None


def headline(run: Run, boundary: str | None = None) -> Figure | None:
    """The rate that a tool reports, or its rate at ``boundary``: in images a second where it can be
    had.

    The device's own rate is also batch / mean compute time, where the tool prints that time and ran
    one stream.
    """
    rates = [
        f
        for f in run.figures
        if f.name == "throughput" and f.boundary and f.best_value and f.per != "card"
    ]
    rates = [f for f in rates if boundary is None or f.boundary == boundary]
    own = [f for f in rates if f.boundary == rates[0].boundary]
    if not own and boundary in (DEVICE, None):
        return _device_rate(run, boundary)
    return next((f for f in own if f.unit == "images/s"), own[0] if own else None)


def _device_rate(run: Run, boundary: str | None) -> Figure | None:
    """Batch / mean compute time, or calls a second where only a hint tells the batch. msame, which
    prints no rate, reports that time.
    """
    mean, batch = run.figure("compute_mean") if boundary else None, run.batch or 1
    if mean is None and run.family == "msame":
        mean = run.figure("latency_mean_without_first") or run.figure("latency_mean")
    if mean is None or not mean.value or run.facts.get("streams", 1) > 1:
        return None
    unit = "images/s" if run.batch else "batches/s"
    return replace(
        mean,
        name="throughput",
        value=batch / mean.value,
        unit=unit,
        derived=f"{batch} / {mean.value * 1000:g} ms",
    )


def _refuse_rehearsal_beside_measurement(table: Table) -> None:
    kinds: dict[bool, list[str]] = {}
    for column in table.columns:
        for cell in column.cells.values():
            kinds.setdefault(cell.simulated, []).append(column.label)
    if len(kinds) > 1:
        raise InputError(
            f"the figures of {listed(sorted(set(kinds[True])))} are a REHEARSAL (simulated), those"
            f" of {listed(sorted(set(kinds[False])))} are measured; they are never shown side by"
            " side: give only one kind"
        )


_WORDS = {
    "device": "the device's own rate",
    "device+copies": "the rate with copies",
    "call": "the host's rate of calls",
    "end_to_end": "the rate from file to result",
}


def _mixture(table: Table, runs: Mapping[str, Sequence[Run]]) -> str:
    """One sentence: which columns are timed at which boundary, and what can be compared instead."""
    kinds = [
        (c.label, "/".join(sorted({cell.boundary for cell in c.cells.values()})))
        for c in table.columns
    ]
    parts = ", ".join(f"{label} is {_WORDS.get(kind, kind)} ({kind})" for label, kind in kinds)
    common = [
        b for b in _WORDS if all(any(headline(run, b) for run in found) for found in runs.values())
    ]
    advice = "--allow-mixed shows them with the boundary under each figure and no ratio"
    if common:
        advice = (
            f"--boundary {common[0]} compares them at one ({_example(table, runs, common[0])}), and"
            f" {advice}"
        )
    return (
        f"the columns are timed at different boundaries, so a ratio would mislead: {parts};"
        f" {advice}"
    )


def _example(table: Table, runs: Mapping[str, Sequence[Run]], boundary: str) -> str:
    """How one figure changes at another boundary: ``T4 bs1 is then 1 / 4.29297 ms = 232.94``."""
    for column in table.columns:
        for run in runs[column.label]:
            figure = headline(run, boundary)
            cell = column.cells.get(run.batch or run.facts.get("batch_hint") or 0)
            if figure and cell and figure.best_value and cell.boundary != boundary:
                per_card = (
                    figure.best_value
                    * column.chips
                    * (cell.batch if figure.unit == "batches/s" else 1)
                )
                return (
                    f"{column.label} bs{cell.batch} is then {figure.derived or 'printed'} ="
                    f" {per_card:.2f}"
                )
    return "every column has it"


def _warnings(runs: Mapping[str, Sequence[Run]], allow_incomplete: bool) -> list[str]:
    """Each log's own warnings, and what does not fit between the logs of one column."""
    found = []
    for label, several in runs.items():
        usable = [run for run in several if _unusable(run, allow_incomplete) is None]
        found += [f"{label}: {run.source}: {warning}" for run in usable for warning in run.warnings]
        found += [f"{label}: {sentence}" for _, sentence in across(usable)]
    return list(dict.fromkeys(found))
