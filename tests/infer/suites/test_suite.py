"""infer/suite.py: several models, one page in its form, and one that fails keeps nobody back."""

from __future__ import annotations

import errno
import json
import os
import statistics
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from portproof.core import plugins
from portproof.core.errors import InputError, ToolError
from portproof.core.yamlfile import names_in
from portproof.infer.suites.first_five import TopN
from portproof.infer.suites.isolation import in_own_process
from portproof.infer.suites.page import Found, Left, Row, from_page
from portproof.infer.suites.suite_file import Suite, SuiteModel, SuiteSubject, read_suite
from portproof.measurement import Answers, Measurement, Performance, Ratio, wrong_answers

SUITE = """\
about: a test
models: [card.yaml, bad.yaml]
subjects:
  - {label: eager, backend: eager, threads: 1}
  - {label: ort, backend: ort, threads: 1}
  - {label: chip, backend: om}
batches: [1, 3]
"""


def test_table_of_what_ran_and_exit_code_of_what_did_not(
    tiny: Any, stage: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    (tiny.folder / "suite.yaml").write_text(SUITE)
    card = (tiny.folder / "card.yaml").read_text()
    (tiny.folder / "bad.yaml").write_text(card.replace("tiny.py:build", "tiny.py:absent"))
    arguments = ("infer/suite.py", "suite.yaml", "--out", "out", "--blocks", 4, "--iterations", 4)
    done = stage(*arguments, cwd=tiny.folder)
    assert done.returncode == 3
    assert "absent" in done.stderr
    text = (tiny.folder / "out" / "README.md").read_text()
    assert "### 1. card.yaml" in text
    assert "| Batch size | eager (ms) | ort (ms) | chip (ms) |" in text
    assert "Failed: bad.yaml" in text
    assert "Not run: chip: the Python package 'aclruntime'" in text
    assert "Inputs: random" in text and "Weights: random" in text
    assert "equal to PyTorch at batches 1 and 3" in text
    measured = json.loads((tiny.folder / "out" / "card.yaml" / "perf.json").read_text())[
        "measurements"
    ]
    for m in measured:
        mean = 1e3 * sum(s for b in m["blocks"] for s in b) / 4
        row = next(line for line in text.splitlines() if line.startswith(f"| {m['batch']} |"))
        assert f"{mean:.2f}" in row.split(" | ")[1 if m["label"] == "eager" else 2]
    again = stage(*arguments, "--models", "card.yaml", cwd=tiny.folder)
    assert again.returncode == 0
    assert "bench: out/card.yaml/perf.json is up to date" in again.stderr


def test_a_subject_that_fails_is_left_out_by_its_name(
    tiny: Any, stage: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    lines = [
        "about: x\nmodels: [card.yaml]\nbatches: [1]\nsubjects:",
        *(f"  - {{label: {x}, backend: ort, threads: 1}}" for x in ("first", "second")),
        *(f'  - {{label: {x}, backend: ort, device: "cuda:0"}}' for x in ("odd", "odd too")),
    ]
    (tiny.folder / "s.yaml").write_text("\n".join(lines))
    words = ("infer/suite.py", "s.yaml", "--out", "out", "--blocks", 1, "--iterations", 1)
    done = stage(*words, cwd=tiny.folder)
    assert done.returncode == 3, done.stderr
    assert "tried alone" not in done.stderr  # which would take a call of each
    text = (tiny.folder / "out" / "README.md").read_text()
    assert text.count("Failed: odd: ") == text.count("Failed: odd too: ") == 1
    figures = next(line for line in text.splitlines() if line.startswith("| 1 |")).split("|")
    assert [bool(x.strip()) for x in figures[2:6]] == [True, True, False, False]


@pytest.mark.parametrize("name", names_in("suites"))
def test_shipped_suites_are_readable(name: str) -> None:
    suite = read_suite(name)
    assert suite.entries
    assert suite.form in plugins.names("portproof.infer.suites.forms")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("about: x\nmodels: [a]\nsubjects: [{label: a, backend: nope}]\n", "no backend 'nope'"),
        ("about: x\nmodels: []\nsubjects: []\n", "at least one of each"),
        ("about: x\nform: nope\nmodels: [a]\nsubjects: [{label: a, backend: ort}]\n", "no form"),
        (
            "about: x\nmodels: [a]\nover: [b]\nsubjects: [{label: a, backend: ort}]\n",
            "no subject 'b'",
        ),
        ("about: x\nmodels: [a, a]\nsubjects: [{label: a, backend: ort}]\n", "'a' twice"),
        (
            "about: x\nlabels: l\nmodels: [a]\nsubjects: [{label: a, backend: ort}]\n",
            "which are missing",
        ),
    ],
)
def test_a_wrong_suite_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "s.yaml").write_text(text)
    with pytest.raises(InputError, match=reason):
        read_suite(tmp_path / "s.yaml")


def kill_itself() -> None:
    os.kill(os.getpid(), 9)


def refuse() -> None:
    raise InputError("no such thing")


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        (
            ["poros", "--models", "Nope"],
            "suite 'poros' has no model 'Nope'; it has ResNet50, VGG16",
        ),
        (["poros", "--starts", "5", "--blocks", "2"], "--starts is 5 and --blocks 2"),
        (["poros", "--block-seconds", "nan"], "seconds above 0 were expected"),
        (["torchpipe", "--starts", "3"], "--starts has no meaning for a suite under load"),
        (["poros", "--requests", "3"], "--clients and --requests are for a suite that has them"),
        (["poros", "--out", "full/README.md"], "'full/README.md' is a file, and a suite writes a"),
    ],
)
def test_what_cannot_be_is_refused_before_anything_is_made(
    tmp_path: Path,
    stage: Callable[..., subprocess.CompletedProcess[str]],
    words: list[str],
    reason: str,
) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "README.md").touch()
    before = sorted(tmp_path.rglob("*"))
    done = stage("infer/suite.py", "--out", "out", *words, cwd=tmp_path)
    assert done.returncode == 2, done.stderr
    assert reason in done.stderr and done.stderr.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before


def fill_the_disk() -> None:
    raise OSError(errno.ENOSPC, "No space left on device", "out/model.onnx")


def be_wrong() -> None:
    raise KeyError("a fault of\nour own")


@pytest.mark.parametrize(
    ("function", "words"),
    [
        (fill_the_disk, r"^the disk is full \('out/model.onnx'\): free some space or choose"),
        (be_wrong, r"^KeyError: 'a fault of\\nour own' \(its traceback is on stderr\)$"),
    ],
)
def test_what_fails_in_a_models_process_says_why(function: Any, words: str) -> None:
    with pytest.raises(ToolError, match=words):
        in_own_process(function)


def test_what_kills_a_models_process_is_a_sentence() -> None:
    with pytest.raises(ToolError, match="killed by SIGKILL"):
        in_own_process(kill_itself)
    with pytest.raises(InputError, match="no such thing"):
        in_own_process(refuse)
    assert in_own_process(os.path.join, "a", "b") == os.path.join("a", "b")


DEAD = """\
import torch

class Dead(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.head = torch.nn.Linear(12, 5)

    def forward(self, x):
        return 1e-6 * self.head(x.flatten(1)) + 0.5

def build():
    return Dead()
"""


def test_a_comparison_of_outputs_that_hardly_vary_is_not_called_a_proof(
    tiny: Any, stage: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    (tiny.folder / "tiny.py").write_text(DEAD)
    suite = "about: x\nmodels: [card.yaml]\nsubjects: [{label: ort, backend: ort, threads: 1}]\n"
    (tiny.folder / "s.yaml").write_text(f"{suite}batches: [1]\n")
    words = ("infer/suite.py", "s.yaml", "--out", "out", "--blocks", 1, "--iterations", 1)
    done = stage(*words, cwd=tiny.folder)
    assert done.returncode == 0, done.stderr
    text = (tiny.folder / "out" / "README.md").read_text()
    assert "compared with PyTorch at batches 1 and 3, which proves nothing" in text
    assert "equal to PyTorch" not in text


def test_a_page_says_what_other_programs_took_meanwhile(tmp_path: Path) -> None:
    suite = Suite(about="x", models=("m",), subjects=subjects("a", "b"), batches=(2,))
    measured = [
        measurement(name, [0.004], counters={"other_cpu_fraction": share})
        for name, share in (("a", 0.034), ("b", 0.61))
    ]
    text = page_of("plain", suite, [Row(suite.entries[0], found(measured))], tmp_path)
    assert "| other programs meanwhile | 3 to 61 % of the processors |" in text


def test_a_page_names_files_from_its_own_folder(tmp_path: Path) -> None:
    whole = f"OpenVINO runs '{tmp_path}/m/model.onnx' in bf16; see '/elsewhere/x'"
    assert from_page(whole, tmp_path) == "OpenVINO runs 'm/model.onnx' in bf16; see '/elsewhere/x'"


def measurement(label: str, seconds: list[float], **facts: Any) -> Measurement:
    known = {"model": "m", "backend": "ort", "precision": "fp32", "clients": 1, "batch": 2}
    return Measurement(
        label=label, boundary="call", inputs="random", blocks=[seconds], **(known | facts)
    )


def page_of(form: str, suite: Suite, rows: list[Row], tmp_path: Path) -> str:
    plugins.load("portproof.infer.suites.forms", form, "form").write(suite, rows, tmp_path)
    return (tmp_path / "README.md").read_text()


def found(measurements: list[Measurement], **facts: Any) -> Found:
    performance = Performance(
        measurements=measurements,
        ratios=facts.pop("ratios", []),
        wrong=wrong_answers(measurements),
        versions={"torch": "9"},
    )
    known = {"left": [], "inputs": "random", "weights": "random", "compared": None}
    return Found(performance, **(known | {"parameters": None} | facts))  # type: ignore[arg-type]


def subjects(*labels: str) -> tuple[SuiteSubject, ...]:
    return tuple(SuiteSubject(label=label, backend="ort") for label in labels)


def test_a_subject_that_answers_wrongly_has_an_empty_cell_and_a_reason(tmp_path: Path) -> None:
    measured = [
        measurement("right", [0.004], answers=Answers(ok=True)),
        measurement("wrong", [0.004], answers=Answers(ok=False, reason="NaN")),
    ]
    suite = Suite(about="two", models=("m",), subjects=subjects("right", "wrong"), batches=(2,))
    text = page_of("plain", suite, [Row(suite.entries[0], found(measured))], tmp_path)
    assert "| 2 | 4.00 |  |" in text
    assert "Wrong answers: wrong, batch 2: NaN." in text


def test_poros_has_the_sources_header_and_the_speed_up_with_its_interval(tmp_path: Path) -> None:
    measured = [measurement("PyTorch", [0.004, 0.006]), measurement("compiled", [0.002])]
    ratio = Ratio(a="compiled", b="PyTorch", batch=2, boundary="call", ratio=2.5, ci95=(2.25, 2.75))
    suite = Suite(
        about="p",
        form="poros",
        models=(SuiteModel(model="resnet18", title="R"), SuiteModel(model="x", title="X")),
        subjects=subjects("PyTorch", "compiled"),
        batches=(2,),
    )
    rows = [
        Row(suite.entries[0], found(measured, ratios=[ratio])),
        Row(suite.entries[1], why="a | b", absent=True),
    ]
    lines = page_of("poros", suite, rows, tmp_path).splitlines()
    at = lines.index("### 1. R")
    assert lines[at + 1] == "Input shape: bx3x224x224"
    assert lines[at + 3] == "| Batch size | PyTorch (ms) | compiled (ms) | speed-up |"
    assert lines[at + 5] == "| 2 | 5.00 | 2.00 | 2.50 (2.25 to 2.75) |"
    assert "| torch | 9 |" in lines
    row = next(line for line in lines if "not run" in line)
    assert row == r"| not run: a \| b | | | |"


def test_blade_has_milliseconds_under_its_header_and_a_reason_a_row(tmp_path: Path) -> None:
    calls = [0.001 * k for k in range(1, 12)]
    suite = Suite(
        about="b",
        form="blade",
        models=("vgg16",),
        subjects=(
            SuiteSubject(label="a", backend="eager"),
            SuiteSubject(label="h", backend="ort", precision="fp16"),
            SuiteSubject(label="t", backend="trt"),
        ),
        batches=(2,),
    )
    left = [Left("t", "no tensorrt", True)]
    measured = [measurement("a", calls), measurement("h", calls)]
    text = page_of("blade", suite, [Row(suite.entries[0], found(measured, left=left))], tmp_path)
    table = [line for line in text.splitlines() if line.startswith("|")]
    header = next(line for line in table if line.startswith("| Model |"))
    assert header == (
        "| Model | Backend | precision | Median(FPS) | Mean(FPS) | Median-Latency(ms) |"
        " Mean-Latency(ms) | 99th_p | std_dev |"
    )
    first, absent, half = table[table.index(header) + 2 :]
    cells = [cell.strip() for cell in first.strip("|").split("|")]
    assert cells[:3] == ["vgg16", "Torch", "fp32"]
    assert [float(c) for c in cells[3:7]] == pytest.approx([2000 / 6, 2000 / 6, 6, 6], rel=1e-5)
    assert cells[7] == "too few calls"
    assert float(cells[8]) == pytest.approx(1e3 * statistics.stdev(calls), rel=1e-5)
    assert "TensorRT | fp32 | not run: no tensorrt |" in absent
    assert "| ONNX Runtime | fp16 (computed in fp32) |" in half


BLADE = """\
backend: [torch, ort, tensorrt]
input:
  input0: [3, 224, 224]
  num_inputs: 1
model:
  filename: model.plan
  name: vgg16
runtime:
  device: cpu
  precision: [fp32, half]
"""


def test_blades_fields_are_a_suite(tmp_path: Path) -> None:
    pytest.importorskip("torchvision")
    (tmp_path / "vgg16.yml").write_text(BLADE)
    suite = read_suite(tmp_path / "vgg16.yml")
    assert suite.form == "blade"
    assert [(e.model, e.name) for e in suite.entries] == [("torchvision:vgg16", "vgg16")]
    assert [(s.backend, s.precision, s.device, s.file) for s in suite.subjects] == [
        (backend, precision, device, file)
        for precision in ("fp32", "fp16")
        for backend, device, file in (
            ("eager", "cpu", None),
            ("ort", None, None),
            ("trt", None, str(tmp_path / "model.plan")),
        )
    ]


@pytest.mark.parametrize(
    ("old", "new", "reason"),
    [
        ("[torch, ort, tensorrt]", "[torch, glow]", "'glow' is not known"),
        ("[torch, ort, tensorrt]", "torch_blade", "no backend for Torch-Blade"),
        ("[fp32, half]", "int8", "PyTorch has no int8"),
        ("  precision: [fp32, half]", "  calibration_cache: c", "calibration cache is read by"),
        ("[3, 224, 224]", "[3, 225, 224]", "takes \\[\\(3, 224, 224\\)\\] a sample"),
        ("num_inputs: 1", "num_inputs: 2", "num_inputs 2"),
        ("model.plan", "model.jit.pt", "a TorchScript module"),
        ("device: cpu", "devices: cpu", "unknown field `devices`"),
    ],
)
def test_wrong_fields_of_blade_are_refused(tmp_path: Path, old: str, new: str, reason: str) -> None:
    pytest.importorskip("torchvision")
    assert old in BLADE
    (tmp_path / "s.yml").write_text(BLADE.replace(old, new))
    with pytest.raises(InputError, match=reason):
        read_suite(tmp_path / "s.yml")


def test_all_of_blade_is_no_int8(tmp_path: Path) -> None:
    pytest.importorskip("torchvision")
    text = BLADE.replace("[torch, ort, tensorrt]", "all").replace("[fp32, half]", "int8")
    (tmp_path / "s.yml").write_text(text)
    with pytest.raises(InputError, match="int8 cannot be used with the backend 'all'"):
        read_suite(tmp_path / "s.yml")


def test_regnetys_table_is_of_median_calls_with_the_best_batch_below(tmp_path: Path) -> None:
    measured = [
        measurement("310", [0.02, 0.04, 0.06], batch=4),
        measurement("310P", [0.02, 0.02, 0.08], batch=4),
        measurement("310", [0.4], batch=16),
        measurement("310P", [0.1], batch=16),
    ]
    line = '{"title": "Overall statistical evaluation"}'
    counted = {
        (label, batch): TopN(8, (top1, 0.9, 0.9, 0.9, 1.0), line, "the answers of 310")
        for label, top1 in (("310", 0.5), ("310P", 0.625))
        for batch in (4, 16)
    }
    suite = Suite(
        about="r",
        form="regnety",
        models=(SuiteModel(model="regnety_016"),),
        subjects=subjects("310", "310P"),
        batches=(4, 16),
    )
    row = Row(suite.entries[0], found(measured, top_n=counted, parameters=11_200_000))
    lines = page_of("regnety", suite, [row], tmp_path).splitlines()
    at = lines.index("| | 310 | 310P | 310P/310 |")
    assert lines[at + 2 : at + 5] == [
        "| bs4 | 100.000 | 200.000 | 2.00000000 |",
        "| bs16 | 40.000 | 160.000 | 4.00000000 |",
        "| 最优batch | 100.000 | 200.000 | 2.00000000 |",
    ]
    assert "最优的310P性能达到了最优的310性能的2.000倍。" in lines
    assert "### 6.1 310离线推理TopN精度统计" in lines and lines.count(line) == 4
    published = "| regnety_016 | 77.862 | 22.138 | 93.720 | 6.280 | 11.20 | 224 | 0.875 | bicubic |"
    assert published in lines
    assert any("by 12.50 percentage points" in x for x in lines)


def test_accuracy_is_counted_against_the_first_subject_where_there_are_no_labels(
    tiny: Any, stage: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    """The first agrees with itself; the other must as well, since it is the same model."""
    suite = SUITE.replace("[card.yaml, bad.yaml]", "[card.yaml]").replace("[1, 3]", "[3]")
    suite = suite.replace("  - {label: chip, backend: om}\n", "")
    (tiny.folder / "suite.yaml").write_text(f"form: regnety\ntop_n: 12\n{suite}")
    arguments = ("suite.yaml", "--out", "out", "--blocks", 1, "--iterations", 1)
    done = stage("infer/suite.py", *arguments, cwd=tiny.folder)
    assert done.returncode == 0, done.stderr
    text = (tiny.folder / "out" / "README.md").read_text()
    counts = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
    assert len(counts) == 2
    for count in counts:
        values = {row["key"]: row["value"] for row in count["value"]}
        assert values["Number of images"] == "12" and values["Top1 accuracy"] == "100.0%"
    assert "different classes in 12 samples (the suite states no labels)" in text
