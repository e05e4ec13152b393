"""Cells of a table compared with the logs and worked figures of the same device and batch."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace

from portproof.reports.claims.agreement import Agreement, Answer, Checked, Unchecked, graded
from portproof.reports.claims.facts.document_facts import DocumentFacts
from portproof.reports.claims.facts.rate_sources import (
    RateSource,
    all_sources,
    log_times,
    only_npu,
    sources_of,
)
from portproof.reports.claims.read.context import TUNED
from portproof.reports.claims.read.printed import OTHER_RUN, same, shown
from portproof.reports.claims.read.rate_cells import RateCell
from portproof.reports.claims.read.rate_tables import RateColumn, RateTable

KIND = "table-vs-log"


def check(facts: DocumentFacts) -> Iterator[Answer]:
    """Every throughput cell whose device and batch are sure."""
    for run in facts.runs if facts.tables else ():
        if run.device is None:
            yield Unchecked(
                run.log.first + 1,
                "nothing in the document says which device this log is from: no table was held"
                " against it",
            )
    for table in facts.tables:
        without = []
        for column in table.rates:
            for value in column.values:
                if value.best or column.latency or value.figure.text in facts.once(log_times):
                    continue
                sources = _sources(facts, table, column, value)
                if sources:
                    yield _with_doubt(facts, table, _compare(column, value, sources))
                else:
                    without.append(value)
        if without:
            why = (
                f"{len(without)} throughputs of this table have no log or worked figure of their"
                " device and batch in the document"
            )
            yield Unchecked(table.line + 1, why)


def _with_doubt(facts: DocumentFacts, table: RateTable, finding: Checked) -> Checked:
    """Where the source or the table's title names tuning, the two may be of different
    models.
    """
    titles = facts.document.lines[max(0, table.line - 3) : table.line]
    source = facts.document.lines[finding.from_line - 1] if finding.from_line else ""
    if finding.verdict is Agreement.CONTRADICTION and any(
        TUNED.search(text) for text in [source, *titles]
    ):
        why = f"{finding.derived}; before or after tuning is not told apart"
        return replace(finding, verdict=Agreement.AMBIGUOUS, derived=why)
    return finding


def _sources(
    facts: DocumentFacts, table: RateTable, column: RateColumn, value: RateCell
) -> list[RateSource]:
    """What the cell can be compared with; nothing if it is not sure which run it shows."""
    if column.device is None or column.variant or len(table.of(column.device)) > 1:
        return []
    rows = Counter(v.batch for v in column.values if not v.best)
    if rows[value.batch] > 1:
        return []
    device = facts.once(only_npu) if column.device == "NPU" else column.device
    if device is None:
        return []
    if value.batch is not None:
        return sources_of(facts, device, value.batch)
    sources = list(all_sources(facts, device))
    batches = {batch for batch, _ in sources}
    return [source for _, source in sources] if len(batches) == 1 else []


def _compare(column: RateColumn, value: RateCell, sources: list[RateSource]) -> Checked:
    nearest = min(sources, key=lambda source: source.distance(value.figure))
    mean = sum(source.value for source in sources) / len(sources)
    verdict = graded(
        any(source.gives(value.figure) for source in sources) or same(value.figure, mean),
        nearest.distance(value.figure) <= OTHER_RUN,
    )
    ranked = sorted(sources, key=lambda source: source.distance(value.figure))
    derived = "; or ".join(dict.fromkeys(_term(source) for source in ranked[:3]))
    follows = f"{derived} ({column.device})"
    return Checked(verdict, KIND, value.line + 1, value.figure.text, follows, nearest.line + 1)


def _term(source: RateSource) -> str:
    value = shown(source.value)
    return value if value == source.text else f"{value} = {source.text}"
