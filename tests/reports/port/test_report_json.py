"""``report.json``, JUnit XML and the plots: schema, figures against references, determinism, text
alternatives.
"""

from __future__ import annotations

import csv
import json
import shutil
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jsonschema
import numpy as np
import pytest
from statsmodels.stats.proportion import proportion_confint

from portproof.commands.schema import schema_of
from portproof.reports.port.data import read_run
from portproof.reports.port.figures import wilson
from portproof.reports.port.junit import junit_xml
from portproof.reports.port.write import write_reports
from portproof.rundir.gates import Gate, Judgement
from portproof.verdict import Verdict


@pytest.fixture(scope="module")
def report(ported: Path) -> dict[str, Any]:
    return dict(json.loads((ported / "report" / "report.json").read_text()))


def test_it_follows_its_published_schema(report: dict[str, Any]) -> None:
    jsonschema.validate(report, schema_of("report"), cls=jsonschema.Draft202012Validator)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(
            report | {"schema": "portproof.report/2"},
            schema_of("report"),
            cls=jsonschema.Draft202012Validator,
        )


def test_every_figure_names_a_file_that_is_there(report: dict[str, Any], ported: Path) -> None:
    assert len(report["figures"]) > 40
    assert len({f["id"] for f in report["figures"]}) == len(report["figures"])
    for figure in report["figures"]:
        assert (ported / figure["file"]).is_file()
        assert figure["how"]


def test_the_figures_are_what_numpy_and_the_files_give(
    report: dict[str, Any], ported: Path
) -> None:
    value = {f["id"]: f["value"] for f in report["figures"]}
    with open(ported / "ort/bs2/outcomes.csv", newline="") as file:
        ranks = [int(row["rank"]) for row in csv.DictReader(file)]
    assert value["ort/bs2/top1"] == np.mean(np.array(ranks) == 1)
    perf = json.loads((ported / "ort/perf.json").read_text())
    for m in perf["measurements"]:
        calls = np.array([s for block in m["blocks"] for s in block])
        prefix = f"ort/perf/{m['label']}/bs{m['batch']}/{m['boundary']}"
        assert value[f"{prefix}/rate"] == pytest.approx(m["batch"] / calls.mean(), rel=1e-9)
        assert value[f"{prefix}/calls"] == len(calls)
        for p, needed in ((50, 20), (90, 100), (99, 1000)):
            expected = np.percentile(calls, p, method="inverted_cdf")
            assert value[f"{prefix}/p{p}"] == (expected if len(calls) >= needed else None)
    rates = {
        m["batch"]: value[f"ort/perf/ort/bs{m['batch']}/call/rate"]
        for m in perf["measurements"]
        if m["label"] == "ort"
    }
    assert value["ort/perf/ort/best_rate"] == max(rates.values())
    assert rates[value["ort/perf/ort/best_batch"]] == max(rates.values())


def test_it_begins_at_the_weights_and_the_images(report: dict[str, Any], ported: Path) -> None:
    origins = {o["role"]: o for o in report["origins"]}
    assert origins["weights"]["path"] == str(ported.parent / "weights.pth")
    assert origins["images"]["files"] == 40
    assert {"labels", "card", "code"} <= set(origins)


@pytest.mark.parametrize(("hits", "n"), [(0, 40), (1, 40), (36, 40), (40, 40), (38925, 50000)])
def test_intervals_are_those_of_statsmodels(hits: int, n: int) -> None:
    assert wilson(hits, n) == pytest.approx(proportion_confint(hits, n, 0.05, "wilson"), abs=1e-12)


def test_writing_again_gives_the_same_bytes(ported: Path, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(ported, tmp_path / "run"))
    before = {
        p.relative_to(copy): p.read_bytes() for p in (copy / "report").rglob("*") if p.is_file()
    }
    write_reports(copy)
    assert before == {
        p.relative_to(copy): p.read_bytes() for p in (copy / "report").rglob("*") if p.is_file()
    }


@pytest.mark.parametrize("name", ["accuracy", "ort-throughput", "ort-latency"])
def test_a_plot_is_an_svg_with_a_text_alternative(ported: Path, name: str) -> None:
    root = ET.parse(ported / "report/plots" / f"{name}.svg").getroot()
    space = "{http://www.w3.org/2000/svg}"
    assert root.tag == f"{space}svg"
    assert root.get("role") == "img"
    title, words = root.find(f"{space}title"), root.find(f"{space}desc")
    assert title is not None and title.text
    assert words is not None and words.text and "ort" in words.text


def test_junit_has_one_case_a_gate(ported: Path) -> None:
    data = read_run(ported)
    suite = ET.parse(ported / "report/junit.xml").getroot()[0]
    cases = suite.findall("testcase")
    assert [(c.get("classname"), c.get("name")) for c in cases] == [
        ("ort", "accuracy"),
        ("ort", "speed"),
    ]
    assert cases[0].find("system-out") is not None
    assert int(suite.get("tests", "0")) == len(data.judgement.gates)


def test_junit_tells_failures_errors_and_skipped_ones_apart(
    ported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    verdicts = [Verdict.PASS, Verdict.FAIL, Verdict.UNDECIDED, Verdict.UNSTABLE, None]
    gates = [
        Gate(f"l{i}", "accuracy", v, "because <&> \x1b[31m\x00") for i, v in enumerate(verdicts)
    ]
    data = read_run(ported)
    object.__setattr__(data, "judgement", Judgement(gates, 1))
    suite = ET.fromstring(junit_xml(data).encode())[0]
    assert {k: suite.get(k) for k in ("tests", "failures", "errors", "skipped")} == {
        "tests": "5",
        "failures": "1",
        "errors": "2",
        "skipped": "1",
    }
    assert [c[0].tag for c in suite] == ["system-out", "failure", "error", "error", "skipped"]
    assert "because <&>" in suite[1][0].get("message", "")


def test_a_port_without_a_measurement_still_gets_its_reports(
    ported: Path, tmp_path: Path, stage: Callable[..., Any]
) -> None:
    """A tool that failed leaves files out; the report says so and invents nothing."""
    copy = Path(shutil.copytree(ported, tmp_path / "run"))
    for name in (
        "ort/perf.json",
        "ort/perf.json.proof.json",
        "compare.json",
        "compare.json.proof.json",
    ):
        (copy / name).unlink()
    shutil.rmtree(copy / "report")
    done = stage("reports/report.py", copy)
    assert done.returncode == 0, done.stderr
    report = json.loads((copy / "report/report.json").read_text())
    assert report["verdict"] == "NOT FINISHED"
    assert [g["verdict"] for g in report["gates"]] == [None, None]
    assert not [f for f in report["figures"] if "/perf/" in f["id"]]
    assert "Not done." in (copy / "report/README.md").read_text()
