"""The comparison table: the source document's logs come out as they say, and nothing can
mislead.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable
from html.parser import HTMLParser
from pathlib import Path
from subprocess import CompletedProcess

import pytest

from portproof.core.errors import InputError
from portproof.logs.logged import Figure, Run
from portproof.measurement import Measurement, Performance, write_performance
from portproof.reports.cross_device.formats import as_csv, as_data, as_html, as_markdown
from portproof.reports.cross_device.populate import build

Stage = Callable[..., CompletedProcess[str]]
DATA = Path(__file__).resolve().parents[2] / "data" / "regnety"
COLUMNS = (f"310={DATA / '310'}", f"310P={DATA / '310p'}", f"T4={DATA / 't4'}")


def table(stage: Stage, *arguments: object) -> dict:  # type: ignore[type-arg]
    done = stage("reports/table.py", *arguments, "--format", "json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def cell(data: dict, label: str, batch: int) -> dict:  # type: ignore[type-arg]
    (row,) = (row for row in data["rows"] if row["batch"] == batch)
    return row["cells"][label]  # type: ignore[no-any-return]


def test_the_logs_of_the_source_document(stage: Stage) -> None:
    data = table(stage, *COLUMNS, "--allow-mixed")
    for label, batch, value in (
        ("310", 1, 1055.488),
        ("310", 4, 2320.02),
        ("310", 8, 2692.828),
        ("310", 16, 2858.056),
        ("310", 32, 2732.352),
        ("310P", 1, 624.486),
        ("T4", 1, 231.086),
        ("T4", 4, 736.148),
        ("T4", 32, 1889.4176),
    ):
        assert cell(data, label, batch)["value"] == pytest.approx(value, rel=1e-12), (label, batch)
    assert [(c["label"], c["chips"], c["chips_from"]) for c in data["columns"]] == [
        ("310", 4, "target 310"),
        ("310P", 1, "target 310p"),
        ("T4", 1, "target t4"),
    ]
    assert cell(data, "310P", 16) is None, "a batch that was not run is empty, not zero"
    assert (data["best"]["cells"]["310"]["batch"], data["best"]["cells"]["T4"]["batch"]) == (16, 32)
    assert cell(data, "310", 1)["printed"] == 263.872 and cell(data, "310", 1)["line"] == 4
    assert cell(data, "310", 1)["source"].endswith("perf_vision_batchsize_1_device_0.txt")


def test_mixed_boundaries_are_refused_in_one_sentence_that_says_why(stage: Stage) -> None:
    done = stage("reports/table.py", *COLUMNS)
    assert (done.returncode, done.stdout) == (2, "")
    (sentence,) = done.stderr.splitlines()
    for word in (
        "310 is the device's own rate",
        "T4 is the host's rate",
        "--allow-mixed",
        "--boundary device",
        "1 / 4.29297 ms = 232.94",
    ):
        assert word in sentence


def test_allowed_mixture_shows_the_boundary_under_each_figure_and_no_ratio_across(
    stage: Stage,
) -> None:
    done = stage("reports/table.py", *COLUMNS, "--allow-mixed")
    row = next(line for line in done.stdout.splitlines() if line.startswith("| bs1 "))
    assert [c.strip() for c in row.strip("|").split("|")] == [
        "bs1",
        "1055.488<br>device",
        "624.486<br>device",
        "231.086<br>call",
        "0.591656",
        "",
    ]
    data = table(stage, *COLUMNS, "--allow-mixed")
    assert data["boundary"] is None and data["best"]["ratios"]["310P/T4"] is None


def test_at_one_boundary_the_t4_is_one_over_its_compute_time(stage: Stage) -> None:
    data = table(stage, *COLUMNS, "--boundary", "device")
    assert cell(data, "T4", 1)["value"] == pytest.approx(1 / 4.29297e-3)
    assert data["rows"][0]["ratios"]["310P/T4"] == pytest.approx(624.486 * 4.29297e-3)
    assert data["boundary"] == "device" and any(
        "t4_bs32" in sentence for sentence in data["left_out"]
    )


def test_chips_given_win_over_the_target(stage: Stage) -> None:
    data = table(stage, COLUMNS[0], "--chips", "310=2")
    assert (
        cell(data, "310", 1)["value"] == pytest.approx(527.744)
        and data["columns"][0]["chips_from"] == "--chips"
    )
    assert "310 2 (--chips)" in stage("reports/table.py", COLUMNS[0], "--chips", "310=2").stdout


def test_policies_judge_the_best_row_and_set_the_exit_code(stage: Stage, tmp_path: Path) -> None:
    level = tmp_path / "modelzoo_level.txt"
    done = stage(
        "reports/table.py",
        *COLUMNS,
        "--boundary",
        "device",
        "--policy",
        "modelzoo-310p",
        "--accuracy",
        "77.85/77.862",
        "--level-file",
        level,
    )
    assert done.returncode == 1  # these logs hold only batch 1 of the 310P
    assert (
        "624.4860" in done.stdout
        and "3429.6672 is required" in done.stdout
        and "372.7023" in done.stdout
    )
    assert level.read_text().splitlines() == [
        "ModelConvert:OK",
        "FuncStatus:OK",
        "PrecisionStatus:OK",
        "PerfStatus:NOK",
    ]
    assert (
        stage(
            "reports/table.py", *COLUMNS, "--boundary", "device", "--policy", "modelzoo-310"
        ).returncode
        == 0
    )
    assert (
        stage("reports/table.py", *COLUMNS, "--allow-mixed", "--policy", "modelzoo-310").returncode
        == 2
    )
    assert stage("reports/table.py", COLUMNS[0], "--policy", "modelzoo-310").returncode == 2


def test_all_formats_at_once_agree(stage: Stage, tmp_path: Path) -> None:
    done = stage("reports/table.py", *COLUMNS[:2], "--out", tmp_path / "report" / "table")
    assert done.returncode == 0
    files = {p.suffix: p.read_text() for p in (tmp_path / "report").iterdir()}
    assert set(files) == {".md", ".csv", ".json", ".html"} and files[".md"] == done.stdout
    rows = list(csv.DictReader(io.StringIO(files[".csv"])))
    data = json.loads(files[".json"])
    assert (
        float(rows[0]["310"]) == data["rows"][0]["cells"]["310"]["value"] and rows[1]["310P"] == ""
    )
    assert (
        rows[-1]["batch"] == "best"
        and rows[-1]["310 batch"] == "16"
        and "2858.056 (bs16)" in files[".html"]
    )


def perf(path: Path, simulated: bool = False, **rates: float) -> Path:
    measurements = [
        Measurement(
            label=label,
            model="m",
            backend=label,
            batch=b,
            boundary="call",
            precision="fp32",
            clients=1,
            inputs="random",
            blocks=[[b / rate / 1.0] * 3],
            simulated=simulated,
        )
        for label, rate in rates.items()
        for b in (1, 4)
    ]
    write_performance(path, Performance(measurements=measurements))
    return path


def test_our_own_measurements_by_label(stage: Stage, tmp_path: Path) -> None:
    path = perf(tmp_path / "perf.json", ort=500.0, eager=250.0)
    data = table(stage, f"ort={path}", f"eager={path}")
    assert cell(data, "ort", 4)["value"] == pytest.approx(500) and data["best"]["ratios"] == {
        "ort/eager": pytest.approx(2.0)
    }
    assert [c["label"] for c in table(stage, path)["columns"]] == ["ort", "eager"]
    assert table(stage, f"ort={tmp_path}")["best"]["cells"]["ort"]["value"] == pytest.approx(500)
    missing = stage("reports/table.py", f"trt={path}")
    assert missing.returncode == 2 and "'trt'" in missing.stderr and "ort" in missing.stderr


def test_a_rehearsal_never_stands_beside_a_measurement(stage: Stage, tmp_path: Path) -> None:
    real, simulated = (
        perf(tmp_path / "a.json", ort=500.0),
        perf(tmp_path / "b.json", simulated=True, t4=900.0),
    )
    done = stage("reports/table.py", f"ort={real}", f"t4={simulated}", "--allow-mixed")
    assert done.returncode == 2 and "REHEARSAL" in done.stderr
    for form in ("md", "csv", "html"):
        assert "REHEARSAL" in stage("reports/table.py", f"t4={simulated}", "--format", form).stdout
    assert table(stage, f"t4={simulated}")["simulated"] is True


def run(batch: int | None, rate: float, source: str = "a.log", **facts: object) -> Run:
    figure = Figure("throughput", rate, "images/s", "device", "infer", "chip", 3)
    return Run(
        source,
        "benchmark",
        1,
        status=facts.pop("status", "ok"),
        batch=batch,
        figures=[figure],
        facts=facts,
    )  # type: ignore[arg-type]


def test_incomplete_runs_enter_only_when_asked_for_and_failed_ones_never() -> None:
    runs = {"310": [run(1, 10.0), run(4, 30.0, status="incomplete"), run(8, 50.0, status="failed")]}
    shown = build(runs)
    assert (
        shown.batches == [1]
        and "--allow-incomplete" in shown.left_out[0]
        and "failed" in shown.left_out[1]
    )
    taken = build(runs, allow_incomplete=True)
    assert taken.batches == [1, 4] and taken.notes == (
        "310 bs4: the log of this figure is incomplete",
    )


def test_msame_prints_no_rate_and_has_one_all_the_same() -> None:
    times = [
        Figure(name, 0.01, "s", "device", "infer", "chip", 3)
        for name in ("latency_mean", "latency_mean_without_first")
    ]
    hinted = Run("bs16/msame.log", "msame", 1, status="ok", figures=times, facts={"batch_hint": 16})
    cell = build({"310": [hinted]}).columns[0].cells[16]
    assert (cell.value, cell.boundary, cell.how) == (
        pytest.approx(4 * 1600),
        "device",
        "1 / 10 ms x 16 x 4 chips",
    )


def test_the_hosts_rate_from_file_to_result_is_not_multiplied_by_chips() -> None:
    rate = Figure("throughput", 200.0, "images/s", "end_to_end", None, "chip", 1)
    log = Run("a.log", "benchmark", 1, status="ok", batch=1, figures=[rate])
    assert build({"310P": [log]}, boundary="end_to_end").columns[0].cells[1].value == 200.0
    with pytest.raises(InputError, match="1 timed, 4 on a card"):
        build({"310": [log]}, boundary="end_to_end")


def test_two_runs_for_one_cell_are_refused_unless_they_agree() -> None:
    with pytest.raises(InputError, match=r"a\.log:3.*b\.log:3"):
        build({"310": [run(1, 10.0), run(1, 11.0, "b.log")]})
    assert build({"310": [run(1, 10.0), run(1, 10.0, "b.log")]}).columns[0].cells[1].value == 40.0


def test_a_batch_known_from_a_name_only_is_said_to_be() -> None:
    shown = build({"T4": [run(None, 10.0, "t4_bs4.log", batch_hint=4)]})
    assert shown.batches == [4] and "name only" in shown.notes[0]
    with pytest.raises(InputError, match="batch size is not known"):
        build({"T4": [run(None, 10.0)]})


def test_chips_of_an_unknown_label_are_said_not_to_be_given() -> None:
    assert "not given: --chips foo=N" in as_markdown(build({"foo": [run(1, 10.0)]}))
    with pytest.raises(InputError, match="bar"):
        build({"foo": [run(1, 10.0)]}, chips={"bar": 4})


def test_contradictions_between_the_logs_of_a_column_are_shown() -> None:
    shown = as_markdown(build({"310": [run(1, 100.0), run(8, 900.0, "b.log")]}))
    assert "does not grow with the batch" in shown


class Cells(HTMLParser):
    """The tags and texts of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


@pytest.mark.parametrize(
    "label",
    [
        "=cmd|' /C calc'!A0",
        "<script>alert(1)</script>",
        "a|b",
        "[x](http://e)",
        "@SUM(A1)",
        "+1",
        "\x1b[31mred",
        "a\nb",
    ],
)
def test_hostile_labels_do_nothing_in_any_format(label: str) -> None:
    shown = build({label: [run(1, 10.0, "<b>|=1+1.log")], "310": [run(1, 5.0)]})
    fields = next(csv.reader(io.StringIO(as_csv(shown))))
    assert not any(field.startswith(("=", "+", "-", "@", "\t")) for field in fields)
    page = Cells()
    page.feed(as_html(shown))
    assert set(page.tags) <= {
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "table",
        "tr",
        "th",
        "td",
        "ul",
        "li",
        "p",
        "strong",
        "br",
    }
    lines = [line for line in as_markdown(shown).splitlines() if line.startswith("|")]
    assert len({line.replace("\\|", "").count("|") for line in lines}) == 1
    assert "<script" not in as_markdown(shown) and "\x1b" not in as_markdown(shown) + as_csv(
        shown
    ) + as_html(shown)
    assert as_data(shown)["columns"][0]["label"] == label


@pytest.mark.parametrize(
    "arguments",
    [
        ["310=/no/such/file"],
        ["=x"],
        ["310="],
        [COLUMNS[0], "--chips", "310=four"],
        [COLUMNS[0], "--chips", "310=0"],
        [COLUMNS[0], "--out", "table.xlsx"],
        [COLUMNS[0], "--accuracy", "high"],
        [COLUMNS[0], "--accuracy", "0.61/0.78"],
        [COLUMNS[0], COLUMNS[1], f"710={DATA / '310p'}", "--policy", "modelzoo-310p"],
        [COLUMNS[0], "--policy", "none"],
        [f"310={DATA / 'README.txt'}"],
    ],
)
def test_wrong_usage_is_one_sentence(stage: Stage, tmp_path: Path, arguments: list[str]) -> None:
    done = stage("reports/table.py", *arguments, cwd=tmp_path)
    assert (
        done.returncode == 2
        and len(done.stderr.splitlines()) == 1
        and "Traceback" not in done.stderr
    )


def test_logs_separated_by_commas(stage: Stage) -> None:
    names = ",".join(str(DATA / "310" / f"perf_vision_batchsize_{b}_device_0.txt") for b in (1, 16))
    assert [row["batch"] for row in table(stage, f"310={names}")["rows"]] == [1, 16]


def test_a_tuned_model_is_the_subject_of_the_ratios(stage: Stage) -> None:
    data = table(
        stage, COLUMNS[0], COLUMNS[1], f"310P_aoe={DATA / '310p'}", "--chips", "310P_aoe=1"
    )
    assert all(set(row["ratios"]) == {"310P_aoe/310", "310P_aoe/310P"} for row in data["rows"])


def test_what_a_column_has_at_the_boundary_asked_for_is_not_missed_at_another(
    stage: Stage, tmp_path: Path
) -> None:
    common = {"model": "m", "backend": "om", "precision": "fp16", "clients": 1, "inputs": "random"}
    found = [
        Measurement(label="310p", batch=batch, boundary=boundary, blocks=[[0.01] * 20], **common)  # type: ignore[arg-type]
        for batch, boundary in ((1, "call"), (1, "device"), (4, "call"))
    ]
    write_performance(tmp_path / "perf.json", Performance(measurements=found))
    data = table(stage, f"310p={tmp_path / 'perf.json'}", "--boundary", "device")
    assert [row["batch"] for row in data["rows"] if row["batch"]] == [1]
    (missed,) = data["left_out"]
    assert "it has no rate at the boundary 'device'" in missed


def test_a_log_that_contradicts_its_name_is_named_where_two_runs_claim_a_cell(
    stage: Stage, tmp_path: Path
) -> None:
    text = (
        "[e2e] throughputRate: 185.966, latency: 268866\n"
        "[data read] throughputRate: 197.421, moduleLatency: 5.06532\n"
        "[preprocess] throughputRate: 196.443, moduleLatency: 5.09054\n"
        "[infer] throughputRate: 186.579, Interface throughputRate: {}, moduleLatency: 4.71504\n"
        "[post] throughputRate: 186.579, moduleLatency: 5.35966\n"
    )
    for batch, rate in ((1, "263.872"), (16, "714.514")):
        path = tmp_path / f"perf_vision_batchsize_{batch}_device_0.txt"
        path.write_text(text.format(rate))
    done = stage("reports/table.py", f"310={tmp_path}")
    assert done.returncode == 2 and "two runs of batch 1" in done.stderr
    assert "the name says batch 16" in done.stderr
