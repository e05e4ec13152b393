"""ais_bench: the console of every generation, summary files whole and in pieces, several devices,
failures.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from portproof.core.errors import InputError
from portproof.logs.logged import Run
from portproof.logs.read import read

SPREAD = (
    "NPU_compute_time (ms): min = 3.9, max = 4.2, mean = 4.0, median = 4.0, percentile(99%) = 4.19"
)
CONSOLE = f"""[INFO] try get model batchsize:16
[INFO] output path:out/bs16
[INFO] get filesperbatch files0 size:602112 tensor0size:9633792 filesperbatch:16 runcount:4
[INFO] warm up 1 done
\rInference array Processing: 100%|####| 4/4 [00:00<00:00,  1.3it/s]
[INFO] -----------------Performance Summary------------------
[INFO] H2D_latency (ms): min = 0.5, max = 0.6, mean = 0.55, median = 0.55, percentile(99%) = 0.6
[INFO] {SPREAD}
[INFO] D2H_latency (ms): min = 0.0, max = 0.0, mean = 0.0, median = 0.0, percentile(99%) = 0.0
[INFO] throughput 1000*batchsize.mean(16)/NPU_compute_time.mean(4.0): 4000.0
[INFO] ------------------------------------------------------
"""


def runs(tmp_path: Path, text: str, name: str = "console.txt") -> list[Run]:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return read(path)


def test_every_figure_of_the_console(tmp_path: Path) -> None:
    (run,) = runs(tmp_path, CONSOLE)
    assert (run.family, run.status, run.batch, run.batch_source, run.warnings) == (
        "ais_bench",
        "ok",
        16,
        "throughput line",
        [],
    )
    figures = {f.name: (f.value, f.boundary, f.line) for f in run.figures}
    assert figures["throughput"] == (4000.0, "device", 10) and run.figures[0].per == "chip"
    assert figures["compute_mean"] == (pytest.approx(0.004), "device", 8)
    assert figures["compute_p99"][0] == pytest.approx(0.00419)
    assert figures["h2d_median"] == (pytest.approx(0.00055), None, 7)
    assert figures["d2h_max"] == (
        0.0,
        None,
        9,
    )  # a copy that took no time is a printed zero, not a missing figure


@pytest.mark.parametrize(
    ("wording", "batch"),
    [
        ("throughput (1000*batchsize/NPU_compute_time): 4000.0", 16),
        ("throughput 1000*batchsize(16)/NPU_compute_time.mean(4.0): 4000.0", 16),
        ("throughput 1000*batchsize.mean(16.0)/NPU_compute_time.mean(4.0): 4000.0", 16),
        ("throughput (1000*batchsize/NPU_compute_time): 250.0", 1),
    ],
)
def test_generations_of_the_throughput_line(tmp_path: Path, wording: str, batch: int) -> None:
    (run,) = runs(tmp_path, f"{SPREAD}\n{wording}\n")
    assert run.figures[0].value == float(wording.rpartition(": ")[2])
    assert (run.batch, run.status, run.warnings) == (batch, "ok", [])


def test_the_version_that_divided_by_the_batch(tmp_path: Path) -> None:
    text = (
        f"python3 main.py ais_infer.py --model m.om --batchsize 16\n{SPREAD}\nthroughput"
        " (1000/NPU_compute_time/batchsize): 15.625\n"
    )
    (run,) = runs(tmp_path, text)
    head = run.figures[0]
    assert (head.value, head.recovered) == (None, pytest.approx(4000)) and head.derived
    assert any("15.625" in w and "4000" in w for w in run.warnings)
    (same,) = runs(
        tmp_path, f"{SPREAD}\nthroughput (1000/NPU_compute_time/batchsize): 250.0\n", "bs1.txt"
    )
    assert (same.batch, same.figures[0].value, same.warnings) == (1, 250.0, [])


def test_a_throughput_that_does_not_follow_is_reported(tmp_path: Path) -> None:
    (run,) = runs(
        tmp_path, f"{SPREAD}\nthroughput 1000*batchsize(16)/NPU_compute_time.mean(4.0): 112.5\n"
    )
    assert run.figures[0].value == 112.5 and any("112.5" in w and "4000" in w for w in run.warnings)


def test_a_forgotten_batchsize_is_reported(tmp_path: Path) -> None:
    (run,) = runs(tmp_path, CONSOLE.replace("mean(16)", "mean(1)").replace(": 4000.0", ": 250.0"))
    assert any("batch 1" in w and "16 files" in w for w in run.warnings)


def test_without_its_throughput_the_run_is_incomplete(tmp_path: Path) -> None:
    (run,) = runs(tmp_path, CONSOLE[: CONSOLE.index("[INFO] throughput")])
    assert (
        run.status == "incomplete"
        and run.figure("throughput") is None
        and run.figure("compute_mean") is not None
    )


def test_no_cut_invents_a_figure(tmp_path: Path) -> None:
    whole = {(f.name, f.value) for f in runs(tmp_path, CONSOLE)[0].figures}
    for cut in range(CONSOLE.index("H2D"), len(CONSOLE)):
        found = runs(tmp_path, CONSOLE[:cut], "cut.txt")
        assert {(f.name, f.value) for r in found for f in r.figures} <= whole, CONSOLE[:cut][-60:]


@pytest.mark.parametrize(
    ("line", "value"),
    [
        ("throughput 1000*batchsize.mean(1)/NPU_compute_time.mean(0.66): 1512.85", 1512.85),
        (
            (
                "throughput 1000*batchsize.mean(1)/NPU_compute_time.mean(225.57000732421875):"
                " 4.4332134926194735"
            ),
            4.4332134926194735,
        ),
        (
            "throughput 1000*batchsize.mean(1)/NPU_compute_time.mean(225.57000732421875): 4.43321",
            None,
        ),
        ("throughput 1000*batchsize.mean(1)/NPU_compute_time.mean(0.66): 151", None),
    ],
)
def test_a_throughput_that_ends_the_file_counts_if_it_is_whole(
    tmp_path: Path, line: str, value: float | None
) -> None:
    (run,) = runs(tmp_path, line)
    figure = run.figure("throughput")
    assert (figure.value if figure else None) == value and run.status == (
        "ok" if value else "incomplete"
    )


def test_two_devices_interleaved(tmp_path: Path) -> None:
    other = SPREAD.replace("mean = 4.0", "mean = 4.1")
    text = (
        f"[INFO] {SPREAD}\n[INFO] {other}\n"
        "[INFO] throughput 1000*batchsize.mean(1)/NPU_compute_time.mean(4.0): 250.0\n"
        "[INFO] throughput 1000*batchsize.mean(1)/NPU_compute_time.mean(4.1): 243.90243902439025\n"
        "i:0 device_0 throughput:250.0 start_time:1.5 end_time:2.5\n"
        "i:1 device_1 throughput:243.90243902439025 start_time:1.5 end_time:2.5\n"
        "[INFO] summary throughput:493.90243902439025\n"
    )
    first, second, total = runs(tmp_path, text)
    assert [(r.figures[0].value, r.facts["device_id"]) for r in (first, second)] == [
        (250.0, 0),
        (243.90243902439025, 1),
    ]
    assert (total.figures[0].name, total.figures[0].per, total.warnings) == (
        "throughput_total",
        None,
        [],
    )
    wrong = runs(
        tmp_path, text.replace("summary throughput:493.9", "summary throughput:593.9"), "wrong.txt"
    )[-1]
    assert any("493.9" in w and "593.9" in w for w in wrong.warnings)


def summary(**changes: object) -> dict[str, object]:
    times = {
        "min": 3.9,
        "max": 4.2,
        "mean": 4.0,
        "median": 4.0,
        "percentile(99%)": 4.19,
        "count": 2,
    }
    data: dict[str, object] = {
        "filesinfo": {str(i): {"infiles": [], "outfiles": []} for i in range(20)},
        "args": ["ais_bench", "--model", "m.om", "--batchsize", "16"],
        "NPU_compute_time": times,
        "H2D_latency": times,
        "D2H_latency": times,
        "throughput": 4000.0,
        "npu_compute_time_list": [3.9, 4.1],
    }
    return data | changes


def test_summary_file(tmp_path: Path) -> None:
    (run,) = runs(tmp_path, json.dumps(summary(), indent=1), "x_summary.json")
    assert (run.family, run.status, run.batch, run.batch_source, run.warnings) == (
        "ais_bench",
        "ok",
        16,
        "command line",
        [],
    )
    text = json.dumps(summary(), indent=1).splitlines()
    assert run.figures[0].value == 4000.0 and '"throughput"' in text[run.figures[0].line - 1]
    samples = run.figure("samples")
    assert samples is not None and samples.value == 20


def test_old_summary_file_without_arguments(tmp_path: Path) -> None:
    data = {
        k: v
        for k, v in summary().items()
        if k not in ("args", "npu_compute_time_list", "filesinfo")
    }
    (run,) = runs(tmp_path, json.dumps(data), "sumary.json")
    assert (run.batch, run.batch_source) == (16, "throughput x mean compute time")


def test_summary_file_against_its_own_list(tmp_path: Path) -> None:
    (run,) = runs(tmp_path, json.dumps(summary(npu_compute_time_list=[3.9, 5.1])), "x_summary.json")
    assert any("0.004 s" in w and "0.0045" in w for w in run.warnings)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), "fast", None, True, 10**400])
def test_a_summary_whose_throughput_is_no_number(tmp_path: Path, value: object) -> None:
    (run,) = runs(tmp_path, json.dumps(summary(throughput=value)), "x_summary.json")
    assert run.status == "incomplete" and run.figure("throughput") is None


def test_a_damaged_summary_keeps_what_is_whole_or_says_so(tmp_path: Path) -> None:
    text = json.dumps(summary())
    (run,) = runs(tmp_path, text[: text.index('"throughput"')], "cut_summary.json")
    assert run.status == "incomplete" and run.figure("compute_mean") is not None
    with pytest.raises(InputError, match="damaged"):
        runs(tmp_path, text[:200], "stump_summary.json")


def test_a_failed_run_has_no_result_and_says_why(tmp_path: Path) -> None:
    (run,) = runs(
        tmp_path,
        "[INFO] try get model batchsize:1\n[ERROR] load model from file failed, model file is"
        " x.om\n",
    )
    assert (run.status, run.figures) == (
        "failed",
        [],
    ) and "load model from file failed" in run.warnings[0]


@pytest.mark.parametrize(
    "text",
    [
        (
            "python3 -m ais_bench --model m.om --batchsize 32\n#观察 throughput"
            " 1000*batchsize(32)/NPU_compute_time.mean(xx.xxx): xxx.xxx\n"
        ),
        "usage: ais_bench [-h] --model MODEL [--batchsize BATCHSIZE]\n",
    ],
)
def test_commands_and_help_are_not_logs(tmp_path: Path, text: str) -> None:
    with pytest.raises(InputError, match="holds no run"):
        runs(tmp_path, text)


def test_real_samples(shared: Path) -> None:
    folder = shared / "samples" / "ais_bench"
    for console in sorted(folder.glob("*/console*.txt")):
        code = (console.parent / "exit_code.txt").read_text().strip()
        if console.parent.name == "help":
            continue
        found = read(console)
        assert {r.status for r in found} == ({"ok"} if code == "0" else {"failed"}), console
        for run in found:
            mean, rate = run.figure("compute_mean"), run.figure("throughput")
            if mean and rate and run.batch:
                assert rate.value == pytest.approx(run.batch / (mean.value or 0), rel=1e-6)
    for path in sorted(folder.glob("*/*_summary.json")):
        (run,) = read(path)
        assert (
            run.figures[0].value == json.loads(path.read_text())["throughput"]
            and run.warnings == []
        )


def test_real_excerpts(shared: Path) -> None:
    rates = {
        "01": 112.53087529912726,
        "03": 16.73500966300553,
        "05": 171.5691219234638,
        "07": 62.17950873049252,
        "09": 1281.4860983806905,
        "13": 171.5691219234638,
        "17": 3438.7935677393734,
        "19": 148.1286544184991,
    }
    batches = {"01": 16, "03": 1, "05": 1, "07": 1, "09": 1, "13": 1, "17": 16, "19": 64}
    for number, rate in rates.items():
        (run,) = read(shared / "samples" / "logs" / f"ais_bench_{number}.log")
        assert (run.figures[0].value, run.batch) == (rate, batches[number])
    devices = read(shared / "samples/logs/ais_bench_15.log")
    assert [r.figures[0].value for r in devices] == [
        226.43004497955928,
        222.76300429514114,
        449.19304927470046,
    ]


def test_the_times_of_a_summary_and_the_files_of_an_execution_are_kept(tmp_path: Path) -> None:
    (run,) = runs(tmp_path, json.dumps(summary()), "x_summary.json")
    assert run.times == pytest.approx([0.0039, 0.0041])
    line = "[INFO] get filesperbatch files0 size:192 tensor0size:768 filesperbatch:4 runcount:2\n"
    assert [
        r.facts["files_per_batch"]
        for r in runs(tmp_path, line + CONSOLE.replace("get filesperbatch", "get fpb"))
    ] == [4]
