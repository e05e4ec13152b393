"""One line a run: what is in it, what is a dash, and that a spreadsheet reads it safely."""

from __future__ import annotations

import csv
import io
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from portproof.logs.logged import Figure, Run, add_card_figures
from portproof.logs.summary import as_csv, as_summary, summarised

Stage = Callable[..., subprocess.CompletedProcess[str]]

PERF = """[e2e] throughputRate: 185.966, latency: 268866
[data read] throughputRate: 197.421, moduleLatency: 5.06532
[preprocess] throughputRate: 196.443, moduleLatency: 5.09054
[infer] throughputRate: 186.579, Interface throughputRate: 263.872, moduleLatency: 4.71504
[post] throughputRate: 186.579, moduleLatency: 5.35966
"""


def run(**changes: object) -> Run:
    rate = ("throughput", 100.0, "batches/s", "call", None, "device", 3)
    figures = [
        Figure(*rate),
        Figure("throughput", 800.0, "images/s", "call", None, "device", 3),
        Figure("latency_mean", 0.0123456, "s", "call", None, "device", 4),
        Figure("latency_mean", 9.0, "s", None, "read", None, 5),
    ]
    one = Run("a.log", "trtexec", 2, status="ok", batch=8, figures=figures)
    for name, value in changes.items():
        setattr(one, name, value)
    return one


def test_batch_images_and_milliseconds() -> None:
    line = summarised(run())
    assert line.cells == [
        *("a.log:2", "trtexec", "", "ok", "8", "800", "device", "call", "12.346", "latency_mean")
    ]


def test_a_card_where_chips_are_given() -> None:
    one = run()
    add_card_figures(one, 4)
    assert (summarised(one).images_per_second, summarised(one).per) == ("3200", "card")


def test_what_is_not_known_is_a_dash_and_empty_in_csv() -> None:
    unknown = run(batch=None, figures=[run().figures[0]], warnings=["no batch", "a; doubt"])
    titles, cells = (row.split() for row in as_summary([unknown]).splitlines())
    assert dict(zip(titles, cells, strict=True)) | {"log": ""} == {
        **dict.fromkeys(("log",), ""),
        **dict.fromkeys(("label", "batch", "images/s", "per", "of", "ms", "time"), "-"),
        **{"tool": "trtexec", "status": "ok", "doubts": "2"},
    }
    (row,) = csv.DictReader(io.StringIO(as_csv([unknown])))
    assert (row["images_per_s"], row["ms"], row["doubts"]) == ("", "", "no batch; a; doubt")


def test_no_cell_is_a_formula() -> None:
    hostile = run(source="=cmd|' /C calc'!A0,", warnings=["+1\x1b[31m"])
    (row,) = csv.reader(io.StringIO(as_csv([hostile]).split("\n", 1)[1]))
    assert row[0].startswith("'=cmd") and row[-1] == "'+1\\x1b[31m"


@pytest.mark.parametrize("form", ["--summary", "--csv"])
def test_the_command_has_a_line_a_log(stage: Stage, tmp_path: Path, form: str) -> None:
    for batch in (1, 16):
        (tmp_path / f"perf_vision_batchsize_{batch}_device_0.txt").write_text(PERF)
    done = stage("metrics/throughput.py", tmp_path, form)
    assert done.returncode == 0 and len(done.stdout.splitlines()) == 3
    assert "263.87" in done.stdout and "1" in done.stdout
    both = stage("metrics/throughput.py", tmp_path, "--summary", "--csv")
    assert both.returncode == 2
