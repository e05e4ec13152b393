"""The audit of our own documents: the README of a port in both languages, and that of the project."""

from __future__ import annotations

import math
from pathlib import Path

import pytest

from portproof.reports.claims.agreement import Audit
from portproof.reports.claims.audit import audit_document
from portproof.reports.claims.read.plain_text import parse

TABLES = """\
### 6.1 Top-N accuracy of eager

|  Top1 | Top2 | Top5 |
|---|---|---|
|  90.50% | 95.00% | 99.50% |

{interval}

### 6.4 Comparison

{against}

| | {eager_right} | {eager_wrong} |
|---|---|---|
| **{ort_right}** | 178 | 2 |
| **{ort_wrong}** | 3 | 17 |

{difference}

| {columns} | p99 ms | calls |
|---|---|---|---|---|---|---|---|
| ort | 1 | call | 2000 | 0.4900 | 0.5600 | 0.7000 | 5000 |
| eager | 1 | call | 500.0 | 1.980 | 2.200 | - | 1200 |
| ort | 8 | call | 6250 | 1.270 | 1.300 | - | 900 |
| eager | 8 | call | 1000 | 7.900 | 8.100 | - | 300 |

| ort : eager | {ratio} | {ci} |
|---|---|---|
| bs1 call | 4.000 | 3.900 {to} 4.100 |
| bs8 call | 6.250 | 6.100 {to} 6.400 |

|      | ort             | eager           | ort/eager |
| ---- | --------------- | --------------- | --------- |
| bs1  | 2000.0412       | 500.0031        | 4.0001    |
| bs8  | 6250.1021       | 1000.0110       | 6.2500    |
| best | 6250.1021 (bs8) | 1000.0110 (bs8) | 6.2500    |

{best}
"""
ENGLISH = TABLES.format(
    interval="200 samples; 95 % interval of Top-1 (Wilson): 85.64 % to 93.83 %.",
    against="**ort against eager, sample by sample (`compare.json`, 200 samples)**",
    eager_right="eager right",
    eager_wrong="eager wrong",
    ort_right="ort right",
    ort_wrong="ort wrong",
    difference="Difference -0.500 percentage points (95 % interval -3.100 to +2.000); the loss is under"
    " 2.500 with 95 % confidence, 1.0 is allowed. The same class was predicted for 96.500 % of the"
    " samples. Exact McNemar test: p = 1.",
    columns="of | batch | timing boundary | images/s | median ms | p90 ms",
    ratio="ratio of rates",
    ci="95 % interval",
    to="to",
    best="The best of ort, 6250 images/s at batch 8, is 6.250 times the best of eager.",
)
CHINESE = TABLES.format(
    interval="200 个样本；Top1 的 95 % 置信区间（Wilson）：85.64 % 至 93.83 %。",
    against="**ort 与 eager 逐样本对比（`compare.json`，200 个样本）**",
    eager_right="eager 正确",
    eager_wrong="eager 错误",
    ort_right="ort 正确",
    ort_wrong="ort 错误",
    difference="差值 -0.500 个百分点（95 % 置信区间 -3.100 至 +2.000）；以 95 % 置信度，精度损失小于"
    " 2.500，允许 1.0。两者对 96.500 % 的样本预测相同。McNemar 精确检验：p = 1。",
    columns="对象 | batch | 计时边界 | images/s | 中位数 ms | p90 ms",
    ratio="吞吐率之比",
    ci="95 % 置信区间",
    to="至",
    best="ort 的最优吞吐率为 batch 8 时的 6250 images/s，是 eager 最优吞吐率的 6.250 倍。",
)
FORGED = [
    ("90.50%", "91.50%", "accuracy"),
    ("90.50%", "90.30%", "accuracy"),
    ("95.00%", "89.00%", "accuracy"),
    ("85.64 %", "87.64 %", "accuracy"),
    ("93.83 %", "95.83 %", "accuracy"),
    ("| 178 | 2 |", "| 188 | 2 |", "accuracy"),
    ("-0.500", "+0.500", "accuracy"),
    ("-0.500", "-0.100", "accuracy"),
    ("96.500 %", "99.500 %", "accuracy"),
    ("p = 1", "p = 0.02", "accuracy"),
    ("| call | 2000 |", "| call | 2400 |", "table-vs-log"),
    ("| call | 2000 |", "| call | 9000 |", "unit"),
    ("| 0.5600 |", "| 0.4600 |", "unit"),
    ("2000.0412", "2300.0412", "table-vs-log"),
    ("6250.1021 (bs8)", "6550.1021 (bs8)", "best-row"),
    ("6250.1021 (bs8)", "6250.1021 (bs1)", "best-row"),
    ("4.0001", "4.5001", "ratio"),
    ("| 4.000 |", "| 4.800 |", "ratio"),
    ("| 4.000 |", "| 3.850 |", "ratio"),
    ("1000.0110 (bs8) | 6.2500", "1000.0110 (bs8) | 8.2500", "ratio"),
    ("6250 images/s", "7250 images/s", "best-row"),
    ("batch 8", "batch 1", "best-row"),
    (" 6.250 ", " 7.250 ", "ratio"),
]


def audited(text: str) -> Audit:
    return audit_document(parse(text.encode()), "README.md")


@pytest.mark.parametrize("text", [ENGLISH, CHINESE], ids=["en", "zh"])
def test_a_true_report_is_not_accused(text: str) -> None:
    result = audited(text)
    assert [*result.contradictions, *result.ambiguous] == []
    assert result.checked > 30 and result.tables_not_read == 0


@pytest.mark.parametrize("text", [ENGLISH, CHINESE], ids=["en", "zh"])
@pytest.mark.parametrize(("right", "wrong", "kind"), FORGED)
def test_each_forged_figure_is_found(text: str, right: str, wrong: str, kind: str) -> None:
    assert right in text
    forged = audited(text.replace(right, wrong, 1)).contradictions
    assert kind in {finding.kind for finding in forged}


@pytest.mark.parametrize(
    ("title", "row", "is_true"),
    [
        ("median of paired ratios", "3.920 | 3.900 to 4.100", True),
        ("成对之比的中位数", "3.920 | 3.900 to 4.100", True),
        ("median of paired ratios", "4.200 | 4.150 to 4.300", False),
        ("ratio of rates", "3.900 | 3.850 to 4.100", False),
    ],
)
def test_a_ratio_of_pairs_may_differ_from_the_medians_within_its_interval(
    title: str, row: str, is_true: bool
) -> None:
    """Of the medians 4.041 follows, of the rates 4.000. It is no contradiction, but shown."""
    text = ENGLISH.replace("ratio of rates", title)
    text = text.replace("4.000 | 3.900 to 4.100", row)
    result = audited(text)
    assert {f.kind for f in result.contradictions} == (set() if is_true else {"ratio"})
    assert {f.kind for f in result.ambiguous} == ({"ratio"} if is_true else set())


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("reference 98.28 %", "reference 99.28 %"),
        ("port 98.28 %", "port 97.28 %"),
        ("of 697 samples", "of 687 samples"),
        ("+0.000 points", "+0.143 points"),
        ("agreement 100.00 %", "agreement 96.00 %"),
        ("right          685", "right          675"),
        ("| 6.9417 ", "| 7.9417 "),
        ("| 8.1126 ", "| 9.1126 "),
        ("19631.7239 (bs32) |", "29631.7239 (bs32) |"),
    ],
)
def test_the_readme_of_the_project(root: Path, right: str, wrong: str) -> None:
    text = (root / "README.md").read_text(encoding="utf-8")
    clean = audited(text)
    assert [*clean.contradictions, *clean.ambiguous] == []
    if right not in text:
        pytest.skip(f"the README shows other figures than '{right}' now")
    assert audited(text.replace(right, wrong, 1)).contradictions


def test_wilsons_interval_is_scipys() -> None:
    stats = pytest.importorskip("scipy.stats")
    interval = stats.binomtest(181, 200).proportion_ci(method="wilson")
    assert math.isclose(interval.low, 0.8564, abs_tol=5e-5)
    assert math.isclose(interval.high, 0.9383, abs_tol=5e-5)
    assert stats.binomtest(2, 5).pvalue == 1
