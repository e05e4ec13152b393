"""A port whose subject answers wrongly at a batch: the report says so, and has no rate of it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from portproof.measurement import Answers, read_performance, write_performance, wrong_answers
from portproof.reports.page.html_page import html_page
from portproof.reports.port.data import RunData, read_run
from portproof.reports.port.document import render, zoo_rows
from portproof.reports.port.figures import figures_of
from portproof.reports.port.junit import junit_xml
from portproof.reports.port.plots import plots_of

WHY = "output 'class' is not a number (NaN) in 2 of 2 rows of a batch"


@pytest.fixture
def data(ported: Path, tmp_path: Path) -> RunData:
    """The run of the small port, in which ort is wrong at batch 2."""
    copy = Path(shutil.copytree(ported, tmp_path / "run"))
    path = copy / "ort/perf.json"
    performance = read_performance(path)
    for m in performance.measurements:
        if (m.label, m.batch) == ("ort", 2):
            m.answers = Answers(ok=False, reason=WHY)
    performance.wrong = wrong_answers(performance.measurements)
    performance.ratios = [r for r in performance.ratios if r.batch != 2]
    write_performance(path, performance)
    return read_run(copy)


def test_no_figure_is_a_speed_of_wrong_answers(data: RunData) -> None:
    found = {f.id: f.value for f in figures_of(data)}
    of_it = {k: v for k, v in found.items() if k.startswith("ort/perf/ort/bs2/")}
    assert of_it.pop("ort/perf/ort/bs2/call/calls")
    assert of_it
    assert set(of_it.values()) == {None}
    assert not any("bs2" in k and k.endswith("ratio") for k in found)
    assert found["ort/perf/ort/best_batch"] == 1
    assert found["ort/perf/eager/bs2/call/rate"]
    rates = {(row["label"], row["batch"]): row["rate"] for row in zoo_rows(data)}
    assert rates["ort", 2] is None
    assert rates["ort", 1]
    for plot in plots_of(data):
        assert "ort batch 2" not in plot.text


def test_the_reports_say_which_answers_were_wrong(data: RunData) -> None:
    for language in ("en", "zh"):
        text = render(data, language).replace("\\", "")
        assert f"ort, batch 2: {WHY}" in text
        assert "| ort | 2 | call | - | - | - | - |" in text
    assert "WRONG ANSWERS, which have no rate: ort, batch 2" in html_page(data)
    assert "wrong answers have no speed: ort, batch 2" in junit_xml(data)
