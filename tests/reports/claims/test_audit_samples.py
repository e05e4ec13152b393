"""The audit on real READMEs, against what careful readers found in them."""

from __future__ import annotations

import csv
from collections import defaultdict
from functools import cache
from pathlib import Path

from portproof.reports.claims.agreement import Audit
from portproof.reports.claims.audit import audit


@cache
def _audited(path: Path) -> Audit:
    return audit(path)


def _truth(shared: Path) -> list[dict[str, str]]:
    with open(shared / "samples/readmes/truth.tsv", encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))


def test_nine_in_ten_sure_contradictions_are_found(shared: Path) -> None:
    sure = [
        r for r in _truth(shared) if r["verdict"] == "contradiction" and r["confidence"] == "high"
    ]
    hits = 0
    for row in sure:
        result = _audited(shared / "samples/readmes" / row["file"])
        hits += any(f.line == int(row["line"]) for f in result.contradictions)
    assert len(sure) == 65
    assert hits >= 0.9 * len(sure)


def test_at_most_one_document_in_twenty_is_accused_falsely(shared: Path) -> None:
    lines: dict[str, set[int]] = defaultdict(set)
    for row in _truth(shared):
        lines[row["file"]] |= {int(row["line"])} if row["verdict"] == "contradiction" else set()
    accused = [
        name
        for name, known in lines.items()
        if {f.line for f in _audited(shared / "samples/readmes" / name).contradictions} - known
    ]
    assert len(lines) == 59
    assert len(accused) <= len(lines) // 20


def test_eleven_of_fifteen_cells_of_the_source_documents_table(shared: Path) -> None:
    found = _audited(shared / "sources/regnety_ascend.md").contradictions
    assert {f.kind for f in found} == {"table-vs-log"}
    assert [f.stated for f in sorted(found, key=lambda f: f.line)] == [
        *("1132.564", "634.528", "280.845"),
        *("2404.912", "777.088"),
        *("2751.4", "1183.992"),
        *("2917.84", "1569.184"),
        *("2783.564", "1793.392"),
    ]


def test_latency_columns_in_seconds_under_ms(shared: Path) -> None:
    found = _audited(shared / "sources/blade_perf_run.md").contradictions
    assert [(f.kind, f.stated) for f in found] == [
        ("unit", "Median-Latency(ms)"),
        ("unit", "Mean-Latency(ms)"),
    ] * 2


def test_documents_with_nothing_wrong(shared: Path) -> None:
    for name in ("poros_benchmark.md", "torchpipe_throughput.md", "pytorch_onnx_tensorrt.md"):
        assert _audited(shared / "sources" / name).contradictions == []
