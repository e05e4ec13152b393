"""Every figure of a port's report, at full precision, each with the file that it comes from and how
it is worked out.

Nothing is rounded here. The figures are derived from the files that stages wrote (outcomes,
comparisons, measurements, sidecars); :mod:`portproof.reports.evidence.check` derives those files
again from what lies below them.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from statistics import NormalDist

import msgspec

from portproof.measurement import Measurement, Performance, board_rows, calls_needed
from portproof.outcome import read_outcomes
from portproof.reports.port.data import RunData
from portproof.rundir.gates import best_measured
from portproof.rundir.plan import REFERENCE
from portproof.target import match_target

#: Percentiles that are stated, of measurements with enough calls.
PERCENTILES = (50, 90, 99)

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


class Figure(msgspec.Struct, frozen=True, kw_only=True):
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


def figures_of(data: RunData) -> list[Figure]:
    """Every figure of the report, in the report's order."""
    return [
        *_conversion(data),
        *_accuracy(data),
        *_comparisons(data),
        *_end_to_end(data),
        *_performance(data),
        *_cards(data),
    ]


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


def _conversion(data: RunData) -> Iterator[Figure]:
    stage = data.stage("model.onnx")
    for name in ("max_difference", "allowed_difference", "spread") if stage else ():
        value = stage.proof.facts.get(name) if stage else None
        yield Figure(
            id=f"conversion/{name}",
            value=value,
            unit="logits",
            file="model.onnx.proof.json",
            how=f"facts.{name}",
        )


def _accuracy(data: RunData) -> Iterator[Figure]:
    for label, batches in data.results.items():
        for batch in batches:
            folder = f"{label}/bs{batch}"
            if not (data.root / folder / "outcomes.csv").is_file():
                continue
            outcomes = read_outcomes(data.root / folder / "outcomes.csv")
            names = [name for name in batches[batch] if name.startswith("Top")]
            yield Figure(
                id=f"{folder}/samples",
                value=len(outcomes),
                unit="1",
                file=f"{folder}/outcomes.csv",
                how="rows",
            )
            for k, hits in enumerate(outcomes.hits(len(names)), start=1):
                yield Figure(
                    id=f"{folder}/top{k}",
                    value=hits / len(outcomes),
                    unit="1",
                    file=f"{folder}/outcomes.csv",
                    how=f"rows with rank <= {k} / rows; interval: Wilson's score",
                    ci95=wilson(hits, len(outcomes)),
                )


def _comparisons(data: RunData) -> Iterator[Figure]:
    for label, compared in data.comparisons.items():
        for name, unit in _COMPARED.items():
            yield Figure(
                id=f"{label}/compare/{name}",
                value=getattr(compared, name),
                unit=unit,
                file=data.comparison_file(label),
                how=name,
                ci95=compared.ci95_pp if name == "difference_pp" else None,
            )


def _end_to_end(data: RunData) -> Iterator[Figure]:
    for stage in data.stages:
        timed = stage.proof.facts.get("end_to_end")
        if isinstance(timed, dict):
            began = (
                "the start of the devices' processes"
                if "devices" in stage.proof.facts
                else "the first file read"
            )
            yield Figure(
                id=f"{stage.artefact}/end_to_end",
                value=timed.get("images_per_second"),
                unit="images/s",
                file=stage.sidecar,
                how=f"samples / seconds from {began} to the last result written",
            )
        rate = stage.proof.facts.get("rate")
        if isinstance(rate, dict):
            yield Figure(
                id=f"{stage.artefact}/tool_rate",
                value=rate.get("images_per_second"),
                unit="images/s",
                file=stage.sidecar,
                how=f"device time, as {stage.proof.facts.get('runner')} states it",
            )


def _performance(data: RunData) -> Iterator[Figure]:
    for label, performance in data.performances.items():
        file = f"{label}/perf.json"
        for m in performance.measurements:
            yield from _measured(f"{label}/perf/{m.label}/bs{m.batch}/{m.boundary}", m, file)
        for batch, rate, chips in per_card(label, performance):
            yield Figure(
                id=f"{label}/perf/{label}/bs{batch}/device/card_rate",
                value=rate * chips,
                unit="images/s",
                file=file,
                how=f"the device rate of one chip x {chips} chips on a card",
            )
        for r in performance.ratios:
            yield Figure(
                id=f"{label}/perf/{r.a}:{r.b}/bs{r.batch}/{r.boundary}/ratio",
                value=r.ratio,
                unit="1",
                file=file,
                how="quotient of the rates; interval: jackknife over pairs of blocks",
                ci95=r.ci95,
            )
        for name in (label, REFERENCE):
            best = best_measured(performance, name)
            if best is not None:
                yield Figure(
                    id=f"{label}/perf/{name}/best_batch",
                    value=best[0],
                    unit="1",
                    file=file,
                    how="the batch of the highest call rate",
                )
                yield Figure(
                    id=f"{label}/perf/{name}/best_rate",
                    value=best[1],
                    unit="images/s",
                    file=file,
                    how="the highest call rate",
                )


def per_card(label: str, performance: Performance) -> list[tuple[int, float, int]]:
    """Batch, the device rate of the one chip that was timed, and the chips on a card, for a target
    whose cards carry several.
    """
    target = match_target(label)
    if target is None or target.chips_per_card == 1:
        return []
    timed = [
        m
        for m in performance.measurements
        if (m.label, m.boundary, m.chips) == (label, "device", 1)
    ]
    return [
        (m.batch, m.images_per_second, target.chips_per_card) for m in timed if m.images_per_second
    ]


def _cards(data: RunData) -> Iterator[Figure]:
    for label, performance in data.cards.items():
        for row in board_rows(performance):
            prefix, file = f"{label}/card/bs{row.batch}/{row.boundary}", f"{label}/card.json"
            yield Figure(
                id=f"{prefix}/alone",
                value=row.alone,
                unit="images/s",
                file=file,
                how="batch x calls / sum of seconds, of one chip",
            )
            yield Figure(
                id=f"{prefix}/product",
                value=row.product,
                unit="images/s",
                file=file,
                how=f"one chip alone x {row.chips}",
            )
            yield Figure(
                id=f"{prefix}/together",
                value=row.together,
                unit="images/s",
                file=file,
                how=f"{row.chips} chips x batch x calls / sum of seconds, while all work",
            )
            yield Figure(
                id=f"{prefix}/share", value=row.share, unit="1", file=file, how="together / product"
            )


def _measured(prefix: str, m: Measurement, file: str) -> Iterator[Figure]:
    yield Figure(
        id=f"{prefix}/rate",
        value=m.images_per_second,
        unit="images/s",
        file=file,
        how="clients x batch x calls / sum of seconds",
    )
    yield Figure(
        id=f"{prefix}/calls",
        value=len(m.samples),
        unit="1",
        file=file,
        how="counted calls in blocks",
    )
    for p in PERCENTILES:
        yield Figure(
            id=f"{prefix}/p{p}",
            value=m.percentile_s(p),
            unit="s",
            file=file,
            how=f"nearest rank among the counted calls; null under {calls_needed(p)} calls",
        )
    for name in ("load_s", "first_inference_s"):
        yield Figure(id=f"{prefix}/{name}", value=getattr(m, name), unit="s", file=file, how=name)
