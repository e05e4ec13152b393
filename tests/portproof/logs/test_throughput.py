"""metrics/throughput.py from outside: its JSON, its table for people, its exit codes, what it
refuses.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from portproof.core.errors import InputError
from portproof.logs import read as reading
from portproof.logs.read import families, logs_in, only, read, read_many
from portproof.measurement import Measurement, Performance, write_performance

Stage = Callable[..., CompletedProcess[str]]
PERF = (
    "[infer] throughputRate: 244.435, Interface throughputRate: 382.328, moduleLatency: 3.35758\n"
)
RUN_KEYS = {"source", "family", "tool_version", "status", "batch", "warnings", "figures"}
FIGURE_KEYS = {"name", "value", "unit", "boundary", "stage", "per", "line"}


def measurement(label: str, batch: int = 4, seconds: float = 0.01, **facts: object) -> Measurement:
    plain: dict[str, object] = {
        "label": label,
        "model": "m.onnx",
        "backend": label,
        "batch": batch,
        "boundary": "call",
        "precision": "fp32",
        "clients": 1,
        "inputs": "random",
        "blocks": [[seconds, 2 * seconds], [3 * seconds]],
    }
    return Measurement(**(plain | facts))  # type: ignore[arg-type]


@pytest.fixture
def perf(tmp_path: Path) -> Path:
    path = tmp_path / "perf.json"
    write_performance(
        path, Performance(measurements=[measurement("ort"), measurement("eager", seconds=0.02)])
    )
    return path


def test_json_has_the_published_keys(stage: Stage, perf: Path, tmp_path: Path) -> None:
    log = tmp_path / "perf_vision_batchsize_1_device_0.txt"
    log.write_text(PERF)
    done = stage("metrics/throughput.py", log, perf, "--json")
    assert done.returncode == 0, done.stderr
    data = json.loads(done.stdout)
    assert [r["family"] for r in data] == ["benchmark", "portproof", "portproof"]
    for run in data:
        assert run.keys() >= RUN_KEYS and all(f.keys() >= FIGURE_KEYS for f in run["figures"])


def test_our_own_measurements(perf: Path) -> None:
    first, second = read(perf)
    rate = first.figure("throughput")
    assert (
        rate is not None and rate.value == pytest.approx(4 * 3 / 0.06) and rate.boundary == "call"
    )
    assert {
        n: f.value
        for n in ("latency_mean", "latency_median", "latency_min", "latency_max")
        if (f := first.figure(n))
    } == pytest.approx(
        {"latency_mean": 0.02, "latency_median": 0.02, "latency_min": 0.01, "latency_max": 0.03}
    )
    lines = perf.read_text().splitlines()
    assert (
        '"ort"' in "".join(lines[max(first.line - 12, 0) : first.line]) and second.line > first.line
    )
    assert (first.facts["label"], first.batch, first.status) == ("ort", 4, "ok")


def test_clients_overlap(tmp_path: Path) -> None:
    write_performance(
        tmp_path / "perf.json", Performance(measurements=[measurement("ort", clients=2)])
    )
    rate = read(tmp_path / "perf.json")[0].figure("throughput")
    assert rate is not None and rate.value == pytest.approx(2 * 4 * 3 / 0.06)


def test_rehearsed_unstable_and_empty_measurements_say_so(tmp_path: Path) -> None:
    path = tmp_path / "perf.json"
    some = [measurement("ort", simulated=True), measurement("eager", blocks=[])]
    write_performance(
        path, Performance(measurements=some, status="unstable", reasons=["ratio drifts"])
    )
    rehearsed, empty = read(path)
    assert (
        rehearsed.simulated
        and any("REHEARSAL" in w for w in rehearsed.warnings)
        and any("ratio drifts" in w for w in rehearsed.warnings)
    )
    assert (empty.status, empty.figures) == ("incomplete", [])


def test_a_perf_file_of_another_version_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "perf.json"
    path.write_text('{"schema": "portproof.perf/2", "measurements": []}')
    with pytest.raises(InputError, match=r"portproof\.perf/2"):
        read(path)
    path.write_text('{"schema": "portproof.perf/1", "measurements": [{"label": 3}]}')
    with pytest.raises(InputError, match=r"performance file .* is damaged"):
        read(path)


def test_chips_add_card_figures_and_change_none(stage: Stage, tmp_path: Path) -> None:
    log = tmp_path / "perf.txt"
    log.write_text(PERF)
    plain = json.loads(stage("metrics/throughput.py", log, "--json").stdout)[0]
    with_chips = json.loads(stage("metrics/throughput.py", log, "--json", "--chips", 4).stdout)[0]
    assert with_chips["figures"][: len(plain["figures"])] == plain["figures"]
    (card,) = with_chips["figures"][len(plain["figures"]) :]
    assert (card["per"], card["value"], card["boundary"], card["line"]) == (
        "card",
        382.328 * 4,
        "device",
        1,
    )
    assert with_chips["chips"] == 4


def test_table_for_people(stage: Stage, tmp_path: Path) -> None:
    log = tmp_path / "perf.txt"
    log.write_text(PERF)
    done = stage("metrics/throughput.py", log)
    assert done.returncode == 0
    assert all(
        word in done.stdout
        for word in (
            "benchmark",
            "incomplete",
            "382.328",
            "images/s",
            "device",
            "per chip",
            "line 1",
        )
    )


def test_a_file_that_holds_no_run_is_named_and_the_others_are_read(
    stage: Stage, tmp_path: Path
) -> None:
    log, prose = tmp_path / "perf.txt", tmp_path / "prose.txt"
    log.write_text(PERF)
    prose.write_text("310 performance: 1529 fps\n")
    done = stage("metrics/throughput.py", prose, log, tmp_path / "missing.txt", "--json")
    assert done.returncode == 2
    assert len(json.loads(done.stdout)) == 1
    assert (
        "prose.txt" in done.stderr
        and "missing.txt" in done.stderr
        and "Traceback" not in done.stderr
    )


def test_hostile_names_cannot_repaint_the_terminal(stage: Stage, tmp_path: Path) -> None:
    log = tmp_path / "a\x1b[31mb.txt"
    log.write_text(PERF)
    assert "\x1b" not in stage("metrics/throughput.py", log).stdout


def test_a_mean_that_does_not_grow_with_the_batch_is_reported(stage: Stage, tmp_path: Path) -> None:
    body = (
        "NPU_compute_time (ms): min = 4.0, max = 4.0, mean = 4.0, median = 4.0, percentile(99%) ="
        " 4.0\n"
    )
    for batch, rate in ((1, 250.0), (8, 2000.0)):
        folder = tmp_path / f"bs{batch}"
        folder.mkdir()
        line = f"throughput 1000*batchsize.mean({batch})/NPU_compute_time.mean(4.0): {rate}\n"
        (folder / "console.txt").write_text(body + line)
    data = json.loads(
        stage("metrics/throughput.py", *sorted(tmp_path.glob("bs*/console.txt")), "--json").stdout
    )
    (warning,) = [w for run in data for w in run["warnings"]]
    assert "0.004 s at batch 1" in warning and "0.004 s at batch 8" in warning


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"\0\1\2" * 5000,
        b"{}",
        b"[]",
        b'{"a": ',
        b"[" * 100000,
        b"\xff\xfe",
        bytes(range(256)) * 40,
    ],
)
def test_what_is_no_log_is_refused_in_one_sentence(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "x"
    path.write_bytes(content)
    with pytest.raises(InputError) as refusal:
        read(path)
    assert "\n" not in str(refusal.value)


def test_a_document_is_left_to_the_audit(tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    path.write_text(f"# Model\n\n## 1 Performance\n\n```\n{PERF}```\n")
    with pytest.raises(InputError, match=r"audit\.py"):
        read(path)


def test_hints_of_names_are_never_the_batch(tmp_path: Path) -> None:
    (tmp_path / "bs16").mkdir()
    for path in (tmp_path / "t4_bs16.log", tmp_path / "bs16" / "trt.log"):
        path.write_text("Throughput: 40.5 qps\n")
        (run,) = read(path)
        assert (run.batch, run.facts["batch_hint"]) == (None, 16)


def test_folders_are_walked_past_results(tmp_path: Path) -> None:
    for name in (
        "a.log",
        "result/1.txt",
        "result/dumpOutput_device0/2.txt",
        ".hidden.log",
        "x.proof.json",
        "img.png",
        "sub/b.txt",
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(PERF)
    assert [p.relative_to(tmp_path).as_posix() for p in logs_in(tmp_path)] == ["a.log", "sub/b.txt"]


def test_many_files_are_read_in_order_by_several_processes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "MANY", 10)
    monkeypatch.setattr(reading, "CHUNK", 3)
    paths = []
    for i in range(20):
        paths.append(tmp_path / f"{i:02}.txt")
        paths[-1].write_text(PERF.replace("382.328", f"{100 + i}.5") if i != 7 else "prose\n")
    runs, problems = read_many(paths)
    assert [r.figures[0].value for r in runs] == [100.5 + i for i in range(20) if i != 7]
    assert len(problems) == 1 and "07.txt" in problems[0]


def test_every_family_is_found_by_its_file() -> None:
    assert {m.FAMILY for m in families()} == {
        "benchmark",
        "pureinfer",
        "ais_bench",
        "msame",
        "trtexec",
        "loadgen",
        "portproof",
        "onnxruntime_perf_test",
        "benchmark_app",
        "perf_analyzer",
        "polygraphy",
        "torch_tensorrt",
    }


def test_real_texts_that_are_not_logs(shared: Path) -> None:
    samples = shared / "samples"
    names = [
        p
        for kind in ("accuracy", "npu_smi", "atc", "perf_stmt")
        for p in samples.glob(f"logs/{kind}_*.log")
    ]
    names += [
        *samples.glob("readmes/*.md"),
        *shared.glob("sources/*.md"),
        samples / "logs/trtexec_07.log",
        samples / "logs/index.tsv",
    ]
    assert len(names) > 90
    for path in names:
        with pytest.raises(InputError):
            read(path)


def test_only_one_run_of_the_family_that_was_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "log.txt"
    one = "Inference average time : 93.14 ms\n[INFO] Execute sample success\n"
    path.write_text(one)
    assert only(path, "msame").value("latency_mean") == pytest.approx(0.09314)
    with pytest.raises(InputError, match="holds 0 runs of ais_bench, 1 was expected"):
        only(path, "ais_bench")
    path.write_text(one * 2)
    with pytest.raises(InputError, match="holds 2 runs of msame"):
        only(path, "msame")


@pytest.mark.parametrize("command", ["metrics/throughput.py", "reports/audit.py"])
def test_only_regular_files_are_read(
    stage: Callable[..., CompletedProcess[str]], tmp_path: Path, command: str
) -> None:
    """A pipe would wait for its writer, and a device never ends."""
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", "/dev/zero"):
        done = stage(command, path)
        assert (done.returncode, done.stderr.count("only regular files are read")) == (2, 1)
