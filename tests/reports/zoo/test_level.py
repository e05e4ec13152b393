"""ModelZoo's statuses follow from what was measured, and from nothing else."""

from __future__ import annotations

from types import SimpleNamespace

import pytest

from portproof.reports.zoo import level
from portproof.reports.zoo.level import Status, level_text

#: Of a port of one model.
ONE = SimpleNamespace(parts=())


def test_a_line_a_status_that_was_measured() -> None:
    found = [Status("FuncStatus", "OK", "x"), Status("PerfStatus", None, "y")]
    assert level_text(found) == "FuncStatus:OK\n"


@pytest.mark.parametrize(
    ("own", "status", "simulated", "wanted"),
    [
        (130.0, "ok", False, "PERFECT"),
        (120.0, "ok", False, "PERFECT"),
        (119.0, "ok", False, "OK"),
        (100.0, "ok", False, "OK"),
        (99.0, "ok", False, "POK"),
        (50.0, "ok", False, "POK"),
        (49.0, "ok", False, "NOK"),
        (130.0, "unstable", False, None),
        (130.0, "ok", True, "NOK"),
    ],
)
def test_perf_status(monkeypatch, own, status, simulated, wanted) -> None:
    rates = {"ort": own, "eager": 100.0}
    monkeypatch.setattr(level, "_best", lambda data, label: rates[label])
    monkeypatch.setattr(level, "_performance", lambda data, label: SimpleNamespace(status=status))
    side = SimpleNamespace(label="ort", name="ort", is_in_alternation=True)
    data = SimpleNamespace(
        simulated=simulated, files=SimpleNamespace(compared=(side,)), settings=ONE
    )
    assert level._perf(data, side).value == wanted


def test_a_device_that_was_timed_alone_has_no_perf_status(monkeypatch) -> None:
    monkeypatch.setattr(level, "_best", lambda data, label: 10.0)
    side = SimpleNamespace(label="310p", name="310p", is_in_alternation=False)
    data = SimpleNamespace(simulated=False, files=SimpleNamespace(compared=(side,)), settings=ONE)
    found = level._perf(data, side)
    assert found.value is None
    assert "add its target" in found.why


@pytest.mark.parametrize(
    ("verdict", "low", "status", "wanted"),
    [
        ("PASS", 1.1, "ok", "OK"),
        ("PASS", 0.9, "ok", "NOK"),
        ("FAIL", 1.1, "ok", "NOK"),
        ("UNDECIDED", 1.1, "ok", "NOK"),
        ("PASS", 1.1, "unstable", None),
    ],
)
def test_quant_status(monkeypatch, verdict, low, status, wanted) -> None:
    ratio = SimpleNamespace(a="ort_int8", b="ort", ci95=(low, 2.0))
    performance = SimpleNamespace(status=status, ratios=[ratio])
    monkeypatch.setattr(level, "_performance", lambda data, label: performance)
    monkeypatch.setattr(level, "_verdict", lambda data, label: level.Verdict(verdict))
    side = SimpleNamespace(label="ort_int8", target=SimpleNamespace(precision="int8"))
    data = SimpleNamespace(files=SimpleNamespace(compared=(side,)), settings=ONE)
    assert level._quant(data).value == wanted
