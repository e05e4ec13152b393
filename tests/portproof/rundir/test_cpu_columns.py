"""Several columns of one CPU port: lower precisions and another runtime, timed in one alternation."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from portproof.core.errors import MissingPackageError
from portproof.rundir.layout import RunDir
from portproof.rundir.options import check_host
from portproof.rundir.settings import Settings
from portproof.rundir.vendors import cpu
from portproof.target import find_target

Command = Callable[..., subprocess.CompletedProcess[str]]
ROOT = Path(__file__).parents[3]
COLUMNS = ["ort", "ort_fp16", "ort_int8"]


def run_of(*targets: str) -> RunDir:
    settings = Settings(
        targets=targets, model="m", weights="w", images="i", labels="l", batches=(1, 4)
    )
    return RunDir(Path("run"), settings)


def portproof(*words: object) -> subprocess.CompletedProcess[str]:
    """One thread: with more, a loaded machine makes a bench of microseconds take minutes."""
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-m", "portproof", *map(str, words)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=600,
        check=False,
    )


@pytest.fixture(scope="module")
def columns(
    tmp_path_factory: pytest.TempPathFactory,
    small_port: Callable[[Path], list[str]],
) -> tuple[Path, subprocess.CompletedProcess[str]]:
    folder = tmp_path_factory.mktemp("columns")
    words = ("--target", "cpu", "cpu_fp16", "cpu_int8", "--batch", "1,4", "--starts", "4")
    done = portproof("port", *words, *small_port(folder), "--run-dir", folder / "run")
    return folder / "run", done


@pytest.mark.slow
def test_every_column_has_its_comparison_and_its_place_in_one_bench(
    columns: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    run, done = columns
    assert done.returncode == 0, done.stdout + done.stderr
    for label in COLUMNS:
        name = "compare.json" if label == "ort" else f"{label}/compare.json"
        assert json.loads((run / name).read_text())["verdict"] == "PASS"
    perf = json.loads((run / "ort/perf.json").read_text())
    assert {m["label"] for m in perf["measurements"]} == {*COLUMNS, "eager"}
    assert {m["inputs"] for m in perf["measurements"]} == {"real"}
    assert perf["wrong"] == []
    pairs = {(r["a"], r["b"]) for r in perf["ratios"]}
    over = {(label, "eager") for label in COLUMNS}
    assert pairs == over | {("ort_fp16", "ort"), ("ort_int8", "ort")}
    assert [str(p.relative_to(run)) for p in run.glob("*/perf.json")] == ["ort/perf.json"]


@pytest.mark.slow
def test_the_reports_have_all_columns_and_say_what_their_figures_are(
    columns: tuple[Path, subprocess.CompletedProcess[str]],
) -> None:
    run, _ = columns
    report = (run / "report/README.md").read_text()
    page = (run / "report/report.html").read_text()
    table = json.loads((run / "report/table.json").read_text())
    assert [c["label"] for c in table["columns"]] == [*COLUMNS, "eager"]
    assert {"ort_int8/ort", "ort_int8/eager", "ort/eager"} <= table["best"]["ratios"].keys()
    assert any("float16 computed in float32" in note for note in table["notes"])
    for text in (report.replace("\\_", "_"), page):
        assert "ort_fp16 is a float16 file; this processor computes it in float32" in text
        assert "ort_int8 : ort" in text
    assert "on 40 samples of this port, which are among those that judge it" in report
    assert report.count("times the best of eager") == len(COLUMNS)


@pytest.mark.slow
def test_the_verifiers_agree_with_all_columns(
    columns: tuple[Path, subprocess.CompletedProcess[str]], stage: Command
) -> None:
    run, _ = columns
    assert portproof("verify", run).returncode == 0
    assert "all that is stated agrees" in stage("tools/reprove.py", run).stdout
    why = portproof("why", run).stdout
    assert "would run" not in why and "may run" not in why
    audited = portproof("audit", *run.glob("report/README*.md"))
    assert audited.returncode == 0, audited.stdout


def test_the_columns_that_ratios_are_over() -> None:
    assert run_of("cpu").bases == ["eager"]
    assert run_of("cpu", "cpu_int8", "openvino").bases == ["eager", "ort"]
    assert run_of("openvino_int8", "openvino").bases == ["eager", "openvino"]
    assert run_of("cpu_int8", "openvino").bases == ["eager"]


def test_a_port_of_one_column_is_timed_as_before() -> None:
    run = run_of("cpu")
    (bench,) = cpu.benches(run, run.targets[0])
    assert bench.words[:2] == ("ort=ort:model.onnx", "eager=eager:w")
    assert "--over" not in bench.words and "--info" not in bench.words


def test_the_file_of_a_precision_is_shared_by_the_backends() -> None:
    run = run_of("cpu_int8", "openvino_int8")
    (bench,) = (step for target in run.targets for step in cpu.benches(run, target))
    assert bench.words[0] == "ort_int8=ort:model_int8.onnx"
    assert bench.words[1] == "openvino_int8=openvino:model_int8.onnx"
    assert bench.makes == ("ort_int8/perf.json",)


def test_a_missing_package_is_one_sentence_before_anything_runs(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(cpu, "versions_of", lambda names: {})
    with pytest.raises(
        MissingPackageError, match="'openvino' is not installed here and the target"
    ):
        check_host(find_target("openvino"))
    check_host(find_target("310p"))
