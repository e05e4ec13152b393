"""Every figure of a port's report, at full precision, each with the file that it comes from and how
it is worked out.

Nothing is rounded here. The figures are derived from the files that stages wrote (outcomes,
comparisons, measurements, sidecars); :mod:`portproof.reports.evidence.run_dir` derives those files
again from what lies below them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from statistics import NormalDist

import msgspec

from portproof.measurement import Measurement, board_rows, calls_needed
from portproof.reports.port.data import RunData
from portproof.reports.port.rounding import stated
from portproof.rundir.gates import best_measured
from portproof.rundir.layout import PartDir
from portproof.rundir.parts.sums import part_rows

#: Percentiles that are stated, of measurements with enough calls.
PERCENTILES = (50, 90, 99)

RATE = "images/s"

#: The numbers of ``compare.json`` and their units.
_COMPARED = {
    "reference_accuracy": "1",
    "port_accuracy": "1",
    "difference_pp": "pp",
    "gate_bound_pp": "pp",
    "loss_lower_bound_pp": "pp",
    "margin_pp": "pp",
    "samples": "1",
    "both_right": "1",
    "both_wrong": "1",
    "fixed": "1",
    "broken": "1",
    "mcnemar_p": "1",
    "agreement": "1",
}


#: The numbers of a task's ``compare.json`` in the figure's unit, and its counts.
_COMPARED_VALUES = (
    "reference_value",
    "port_value",
    "difference",
    "gate_bound",
    "loss_lower_bound",
    "margin",
)
_COMPARED_COUNTS = ("samples", "better", "worse", "equal")


class ReportFigure(msgspec.Struct, frozen=True, kw_only=True):
    """One number of the report. ``value`` is in ``unit`` (``1``: a fraction or a count; ``pp``:
    percentage points), null when it was not measured; ``ci95``: its two-sided 95 % interval, where
    there is one; ``file``: relative to the run directory; ``how``: the formula.
    """

    id: str
    value: float | int | None
    unit: str
    file: str
    how: str
    ci95: tuple[float, float] | None = None


def figures_of(data: RunData) -> list[ReportFigure]:
    """Every figure of the report, in the report's order; worked out once."""
    accuracy = (_accuracy, _comparisons, _evaluations, _task_comparisons)
    parts = (_conversion, *accuracy, _end_to_end, _performance, _boards, _parts)
    return data.once(figures_of, lambda: [figure for part in parts for figure in part(data)])


def wilson(hits: int, samples: int) -> tuple[float, float]:
    """The two-sided 95 % interval of a proportion by Wilson's score method (JASA 22, 209-212,
    1927), as fractions.

    >>> [round(bound, 4) for bound in wilson(36, 40)]
    [0.7695, 0.9604]
    """
    z, p = NormalDist().inv_cdf(0.975), hits / samples
    centre = p + z * z / (2 * samples)
    half = z * math.sqrt(p * (1 - p) / samples + z * z / (4 * samples * samples))
    scale = 1 + z * z / samples
    return max(0.0, (centre - half) / scale), min(1.0, (centre + half) / scale)


def _conversion(data: RunData) -> Iterator[ReportFigure]:
    stage = data.stage(data.files.onnx)
    for name in ("max_difference", "allowed_difference", "spread") if stage else ():
        assert stage is not None
        value = stage.proof.facts.get(name)
        yield _figure(f"conversion/{name}", value, "logits", stage.sidecar, f"facts.{name}")


def _accuracy(data: RunData) -> Iterator[ReportFigure]:
    for label, batches in data.results.items():
        for batch, rows in batches.items():
            outcomes, side = data.outcomes(label, batch), data.files.side(label)
            if outcomes is None:
                continue
            prefix, file = data.files.folder(side, batch), data.files.outcomes(side, batch)
            samples = len(outcomes)
            yield _figure(f"{prefix}/samples", samples, "1", file, "rows")
            tops = sum(name.startswith("Top") for name in rows)
            for k, hits in enumerate(outcomes.hits(tops), start=1):
                how = f"rows with rank <= {k} / rows; interval: Wilson's score"
                interval = wilson(hits, samples)
                yield _figure(f"{prefix}/top{k}", hits / samples, "1", file, how, interval)


def _comparisons(data: RunData) -> Iterator[ReportFigure]:
    for label, compared in data.comparisons.items():
        file = data.comparison_file(label)
        for name, unit in _COMPARED.items():
            interval = compared.ci95_pp if name == "difference_pp" else None
            value = getattr(compared, name)
            yield _figure(f"{label}/compare/{name}", value, unit, file, name, interval)


def _evaluations(data: RunData) -> Iterator[ReportFigure]:
    for label, batches in data.evaluations.items():
        for batch, found in batches.items():
            prefix = data.files.folder(data.files.side(label), batch)
            file = data.accuracy_file(label, batch)
            yield _figure(f"{prefix}/samples", found.samples, "1", file, "samples of the truth")
            for value in found.figures:
                how = f"{value.name} of {found.task}, from what every sample adds"
                yield _figure(f"{prefix}/{value.name}", value.value, value.unit, file, how)


def _task_comparisons(data: RunData) -> Iterator[ReportFigure]:
    for label, compared in data.task_comparisons.items():
        file = data.comparison_file(label)
        for name in (*_COMPARED_VALUES, *_COMPARED_COUNTS):
            unit = compared.unit if name in _COMPARED_VALUES else "1"
            interval = compared.ci95 if name == "difference" else None
            value = getattr(compared, name)
            yield _figure(f"{label}/compare/{name}", value, unit, file, name, interval)


def accuracy_texts(data: RunData) -> dict[tuple[str, int], str]:
    """The accuracy of each label and batch on one line: Top-1 and Top-5, or a task's figures."""
    tops = {
        (label, batch): [
            f"top-{k}: {rows[name]}" for k in (1, 5) if (name := f"Top{k} accuracy") in rows
        ]
        for label, batches in data.results.items()
        for batch, rows in batches.items()
    }
    own = {
        (label, batch): [f"{v.name}: {stated(v.value, v.unit)}" for v in found.figures]
        for label, batches in data.evaluations.items()
        for batch, found in batches.items()
    }
    return {key: ", ".join(parts) for key, parts in (tops | own).items()}


def _end_to_end(data: RunData) -> Iterator[ReportFigure]:
    for stage in data.stages:
        facts = stage.proof.facts
        timed, rate = facts.get("end_to_end"), facts.get("rate")
        several = "devices" in facts
        began = "the start of the devices' processes" if several else "the first file read"
        if isinstance(timed, dict):
            how = f"samples / seconds from {began} to the last result written"
            value = timed.get("images_per_second")
            yield _figure(f"{stage.artefact}/end_to_end", value, RATE, stage.sidecar, how)
        if isinstance(rate, dict):
            how = f"device time, as {facts.get('runner')} states it"
            value = rate.get("images_per_second")
            yield _figure(f"{stage.artefact}/tool_rate", value, RATE, stage.sidecar, how)


def _performance(data: RunData) -> Iterator[ReportFigure]:
    for label, performance in data.performances.items():
        file = data.perf_file(label)
        prefix = f"{label}/perf"
        for m in performance.measurements:
            yield from _measured(f"{prefix}/{m.label}/bs{m.batch}/{m.boundary}", m, file)
        for batch, rate, chips in per_board(data, label):
            how = f"the device rate of one chip x {chips} chips on a card"
            yield _figure(
                f"{prefix}/{label}/bs{batch}/device/card_rate", rate * chips, RATE, file, how
            )
        for r in performance.ratios:
            name = f"{prefix}/{r.a}:{r.b}/bs{r.batch}/{r.boundary}/ratio"
            how = "median quotient of paired blocks' medians; interval: signed ranks over starts"
            yield _figure(name, r.ratio, "1", file, how, r.ci95)
        for name in dict.fromkeys(m.label for m in performance.measurements):
            best = best_measured(performance, name)
            if best is not None:
                how = "the batch of the highest call rate"
                yield _figure(f"{prefix}/{name}/best_batch", best[0], "1", file, how)
                how = "the highest call rate"
                yield _figure(f"{prefix}/{name}/best_rate", best[1], RATE, file, how)


def per_board(data: RunData, label: str) -> list[tuple[int, float, int]]:
    """Batch, the device rate of the one chip that was timed, and the chips on a board, for a target
    whose boards carry several.
    """
    target = data.files.side(label).target
    if target is None or target.chips_per_card == 1:
        return []
    timed = [
        (m.batch, m.images_per_second, target.chips_per_card)
        for m in data.performances[label].measurements
        if (m.label, m.boundary, m.chips) == (label, "device", 1)
    ]
    return [(batch, rate, chips) for batch, rate, chips in timed if rate]


def _boards(data: RunData) -> Iterator[ReportFigure]:
    for label, performance in data.boards.items():
        file = data.files.board(data.files.side(label))
        for row in board_rows(performance):
            prefix = f"{label}/card/bs{row.batch}/{row.boundary}"
            how = "batch x calls / sum of seconds, of one chip"
            yield _figure(f"{prefix}/alone", row.alone, RATE, file, how)
            how = f"one chip alone x {row.chips}"
            yield _figure(f"{prefix}/product", row.product, RATE, file, how)
            how = f"{row.chips} chips x batch x calls / sum of seconds, while all work"
            yield _figure(f"{prefix}/together", row.together, RATE, file, how)
            yield _figure(f"{prefix}/share", row.share, "1", file, "together / product")


def _parts(data: RunData) -> Iterator[ReportFigure]:
    for row in part_rows(data.files):
        part = row.part or data.settings.parts[0]
        file = PartDir(data.root, data.settings, part).perf(data.files.side(row.label))
        prefix = f"{row.label}/parts/{row.part or 'sum'}"
        how = f"calls for a sample of the data / the rate at batch {row.batch}"
        yield _figure(f"{prefix}/seconds", row.seconds, "s", file, how if row.part else "the sum")
        yield _figure(f"{prefix}/calls", row.calls, "1", file, "calls for a sample of the data")
        if row.ratio:
            how = "of times; the sum's interval holds if the parts' do"
            yield _figure(f"{prefix}/ratio", row.ratio[0], "1", file, how, row.ratio[1:])


def _measured(prefix: str, m: Measurement, file: str) -> Iterator[ReportFigure]:
    how = "clients x batch x calls / sum of seconds; null where the answers are wrong"
    yield _figure(f"{prefix}/rate", m.images_per_second, RATE, file, how)
    yield _figure(f"{prefix}/calls", len(m.samples), "1", file, "counted calls in blocks")
    for p in PERCENTILES:
        how = f"nearest rank among the counted calls; null under {calls_needed(p)} calls"
        yield _figure(f"{prefix}/p{p}", m.percentile_s(p), "s", file, how)
    for name in ("load_s", "first_inference_s"):
        seconds = None if m.is_wrong else getattr(m, name)
        yield _figure(f"{prefix}/{name}", seconds, "s", file, name)


def _figure(  # noqa: PLR0917 - a row of a table, in the order of its columns
    name: str,
    value: float | int | None,
    unit: str,
    file: str,
    how: str,
    ci95: tuple[float, float] | None = None,
) -> ReportFigure:
    return ReportFigure(id=name, value=value, unit=unit, file=file, how=how, ci95=ci95)
