"""Every rule of the audit on small documents: a contradiction and its clean twin."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from portproof.core.errors import InputError
from portproof.reports.claims.agreement import Audit
from portproof.reports.claims.audit import audit, audit_document
from portproof.reports.claims.read.plain_text import parse

LOG = """\
[e2e] throughputRate: 185.966, latency: 268866
[data read] throughputRate: 197.421, moduleLatency: 5.06532
[preprocess] throughputRate: 196.443, moduleLatency: 5.09054
[infer] throughputRate: 186.579, Interface throughputRate: 263.872, moduleLatency: 4.71504
[post] throughputRate: 186.579, moduleLatency: 5.35966
"""
LOG_16 = """\
[e2e] throughputRate: 255.635, latency: 195592
[data read] throughputRate: 271.167, moduleLatency: 3.68776
[preprocess] throughputRate: 270.679, moduleLatency: 3.69441
[infer] throughputRate: 256.689, Interface throughputRate: 714.514, moduleLatency: 2.86055
[post] throughputRate: 16.0426, moduleLatency: 62.3341
"""
GPU = """\
[I] GPU Compute
[I] min: 15.829 ms
[I] max: 20.5302 ms
[I] mean: 16.2649 ms
[I] median: 16.0951 ms
"""
AIS = (
    "[INFO] NPU_compute_time (ms): min = 0.60, max = 0.70, mean = 0.661, median = 0.66,"
    " percentile(99%) = 0.70\n"
)
HEADER = "| bs | 310 | 310P | T4 | 310P/310 | 310P/T4 |\n|---|---|---|---|---|---|\n"


def audited(text: str) -> Audit:
    return audit_document(parse(text.encode()), "README.md")


def found(text: str) -> list[tuple[str, int, str]]:
    return [(f.kind, f.line, f.stated) for f in audited(text).contradictions]


def kinds(text: str) -> set[str]:
    return {f.kind for f in audited(text).contradictions}


def fenced(log: str) -> str:
    return f"```\n{log}```\n"


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        (
            "batch1 310单卡吞吐率：263.872x4=1055.488fps",
            "batch1 310单卡吞吐率：263.872x4=1155.488fps",
        ),
        ("２６３.８７２×４＝１０５５.４８８", "２６３.８７２×４＝１１５５.４８８"),
        ("263.872乘以4=1055.488", "263.872乘以4=1015.488"),
        (
            "batch16 t4单卡吞吐率：1000/(16.2649/16)=983.713fps",
            "batch16 t4单卡吞吐率：1000/(16.2649/16)=883.713fps",
        ),
        ("fps = 4*1000/223.21 = 17.92", "fps = 4*1000/223.21 = 18.92"),
        ("1000x1/( 0.534034 /1)=1872.539fps", "1000x1/( 0.534034 /1)=1672.539fps"),
        ("17.9fps > 1.2 * 14.5fps", "17.9fps > 1.2 * 15.5fps"),
        ("batch16：29.3584x4 < 1000/(128.206/16)", "batch16：29.3584x4 < 000/(128.206/16)"),
    ],
)
def test_products_follow(right: str, wrong: str) -> None:
    assert found(right) == []
    assert kinds(wrong) == {"product"}


def test_a_product_may_be_truncated_or_slip_in_its_last_digits() -> None:
    assert audited("37.1687x4=148.674").ambiguous == []
    slip = audited("416.653x4=1666.708")
    assert slip.contradictions == []
    assert [f.kind for f in slip.ambiguous] == ["product"]


@pytest.mark.parametrize(
    "text",
    [
        "输入 16x3x224x224，版本 7.2.3.4，日期 05/17/2022-15:33:49",
        "trtexec --shapes=image:16x3x224x224 2>1",
        "batch4,8,32的npu性能也都大于T4，共 1080x1920=2M 像素",
        "> 310 性能达标，1.2 * batch = x",
        "50000/64=781 步",
    ],
)
def test_what_is_no_worked_figure_is_not_accused(text: str) -> None:
    assert found(text) == []


def test_a_conclusion_must_use_its_logs_figure() -> None:
    clean = (
        fenced(LOG)
        + "Interface throughputRate: 263.872，263.872x4=1055.488既是batch1 310单卡吞吐率\n"
    )
    assert found(clean) == []
    wrong = (
        fenced(LOG)
        + "Interface throughputRate: 186.579，186.579x4=746.316既是batch1 310单卡吞吐率\n"
    )
    assert [(kind, line) for kind, line, _ in found(wrong)] == [("table-vs-log", 8)]
    assert audited(wrong).contradictions[0].from_line == 5
    assert "1055.488" in audited(wrong).contradictions[0].derived


def test_a_digit_slip_below_the_tolerance_is_not_accused() -> None:
    result = audited(
        fenced(LOG)
        + "Interface throughputRate: 263.771，263.771x4=1055.084既是batch1 310单卡吞吐率\n"
    )
    assert result.contradictions == []
    assert len(result.ambiguous) == 1


def test_median_taken_for_mean_is_ambiguous() -> None:
    result = audited(fenced(GPU) + "\nbatch1 t4单卡吞吐率：1000/(16.0951/1)=62.1307fps\n")
    assert result.contradictions == []
    assert [f.kind for f in result.ambiguous] == ["table-vs-log"]


def test_the_operand_of_a_time_must_be_the_logs_mean() -> None:
    assert found(fenced(GPU) + "\nbatch1 t4单卡吞吐率：1000/(16.2649/1)=61.4821fps\n") == []
    assert kinds(fenced(GPU) + "\nbatch1 t4单卡吞吐率：1000/(17.2649/1)=57.921fps\n") == {
        "table-vs-log"
    }


TWO_LOGS = (
    "## 7.1 310性能数据\nbatch1的性能：\n"
    + fenced(LOG)
    + "263.872x4=1055.488既是batch1 310单卡吞吐率\n\nbatch16的性能：\n"
    + fenced(LOG_16)
    + "714.514x4=2858.056既是batch16 310单卡吞吐率\n\n## 7.4 性能对比\n"
)


def test_logs_are_read_as_the_readers_of_logs_read_them() -> None:
    """trtexec 7.x prints 0 qps before its statistics; a decimal comma makes no whole number."""
    wrong = "batch1 T4: 1000/(12.2649/1)=81.534fps\n"
    assert found(fenced("[I] throughput: 0 qps\n" + GPU) + wrong) == [
        ("table-vs-log", 9, "1000/(12.2649/1)=81.534")
    ]
    with_comma = GPU.replace("16.2649", "16,2649")
    assert found(fenced(with_comma) + "batch1 T4: 1000/(16/1)=62.5fps\n") == []
    assert audited(fenced(with_comma)).checked == audited("").checked == 0


def test_figures_further_apart_than_a_log_is_long_are_two_logs() -> None:
    """[infer] of one run over [post] of another would be a batch that neither has."""
    own, other = LOG.splitlines()[4], LOG_16.splitlines()[4]
    conclusion = "batch1 310: 263.872x4=1055.488fps\n"
    for lines_between, doubts in ((0, 1), (9, 0)):
        text = fenced(LOG.replace(own, "\n" * lines_between + other)) + conclusion
        assert len(list(audited(text).in_order())) == doubts


def test_cells_are_compared_with_the_log_of_their_device_and_batch() -> None:
    table = HEADER + "| bs1 | {} | 624.486 | | | |\n| bs16 | 2858.056 | 3907.39 | | | |\n"
    assert found(TWO_LOGS + table.format("1055.488")) == []
    assert found(TWO_LOGS + table.format("1055.49fps")) == []
    [contradiction] = audited(TWO_LOGS + table.format("**1132.564**")).contradictions
    assert (contradiction.kind, contradiction.stated) == ("table-vs-log", "1132.564")
    assert contradiction.derived.startswith("1055.488 = 263.872*4")


def test_whether_times_four_was_applied_is_not_inferred_from_a_number() -> None:
    table = HEADER + "| bs1 | 263.872 | | | | |\n| bs16 | 714.514 | | | | |\n"
    assert found(TWO_LOGS + table) == []


def test_a_transposed_table_an_html_table_and_a_list_are_read_too() -> None:
    across = (
        "| batchsize | 1 | 16 |\n|--|--|--|\n| 310 | 1055.488 | {} |\n| 310P | 624.486 |"
        " 3907.39 |\n"
    )
    html = "<table><tr><th>bs</th><th>310</th></tr><tr><td>1</td><td>1055.488</td></tr><tr>\n<td>16</td><td>{}</td></tr></table>\n"
    listed = (
        "| 芯片型号 | Batch Size | 数据集 | 精度 | 性能 |\n|-|-|-|-|-|\n| 310 | 16 | ImageNet |"
        " 77.85% | {} fps |\n"
    )
    for table in (across, html, listed):
        assert found(TWO_LOGS + table.format("2858.056")) == []
        assert kinds(TWO_LOGS + table.format("2958.056")) == {"table-vs-log"}, table


@pytest.mark.parametrize(
    "table",
    [
        "| bs | 310 优化前 |\n|-|-|\n| bs1 | 900.1 |\n",
        "| 模型 | 310精度 |\n|-|-|\n| bs1 | 76.1 |\n",
        "精度对比\n\n| | 310 | 310P |\n|-|-|-|\n| Top1 | 77.85 | 77.9 |\n| Top5 | 93.7 | 93.7 |\n",
        "| 时延(ms) | 310 |\n|-|-|\n| bs1 | 3.79 |\n",
        "| | 310B1 | A100 |\n|-|-|-|\n| bs1 | 75.42 | 900 |\n",
        "| 模型 | 310 性能 |\n|-|-|\n| A bs1 | 500 |\n| B bs1 | 600 |\n",
        "| bs | 310 |\n|-|-|\n| bs1 | - |\n| bs4 | 显存不足 |\n| bs8 | 5.1 / 7.3 |\n",
    ],
)
def test_cells_whose_run_is_not_sure_are_not_accused(table: str) -> None:
    assert found(TWO_LOGS + table) == []


def test_two_runs_of_one_batch_are_both_legitimate() -> None:
    pure = (
        "batch1性能：\n[INFO] ave_throughputRate: 270.5samples/s, ave_latency: 3.7ms\nbatch1"
        " 310单卡吞吐率：270.5x4=1082fps\n"
    )
    text = TWO_LOGS.replace("## 7.4", pure + "## 7.4") + HEADER
    assert found(text + "| bs1 | 1055.488 | | | | |\n") == []
    assert found(text + "| bs1 | 1082 | | | | |\n") == []
    assert (
        found(text + "| bs1 | 1068.7 | | | | |\n") == []
    )  # their mean: 1055.488, 1055.488, 1082 and 1082
    assert kinds(text + "| bs1 | 1182 | | | | |\n") == {"table-vs-log"}


def test_trtexecs_rate_and_its_compute_time_are_both_legitimate() -> None:
    log = (
        "## T4性能\nbatch4性能：\ntrtexec --onnx=m.onnx --shapes=image:4x3x224x224\n[I] Throughput:"
        " 231.086 qps\n[I] Latency: min = 3.3 ms, max = 9.4 ms, mean = 4.41086 ms, median = 4.42"
        " ms, percentile(99%) = 5.4 ms\n[I] GPU Compute Time: min = 3.2 ms, max = 9.3 ms, mean ="
        " 4.29297 ms, median = 4.30 ms, percentile(99%) = 5.3 ms\n\n"
    )
    for rate in ("924.344", "931.756"):
        assert found(log + HEADER + f"| bs4 | | | {rate} | | |\n") == []
    assert kinds(log + HEADER + "| bs4 | | | 1010.4 | | |\n") == {"table-vs-log"}


def test_ratios_follow_from_the_cells_beside_them() -> None:
    rows = (
        "| bs1 | 1132.564 | 634.528 | 280.845 | {} | {} |\n| bs4 | 2404.912 | 2228.9 | 777.088 |"
        " 0.927 | 2.868 |\n"
    )
    assert found(HEADER + rows.format("0.560", "2.25倍")) == []
    assert found(HEADER + rows.format("56.0%", "2.26")) == []
    assert found(HEADER + rows.format("0.660", "2.26")) == [("ratio", 3, "0.660")]


def test_a_ratio_column_that_never_fits_is_doubted_and_not_accused() -> None:
    header = "| bs | 310 | 310P | 310/310P |\n|-|-|-|-|\n"
    result = audited(header + "| bs1 | 100.0 | 150.0 | 1.5 |\n| bs4 | 200.0 | 360.0 | 1.8 |\n")
    assert result.contradictions == []
    assert len(result.ambiguous) == 2


def test_a_best_row_holds_each_columns_best() -> None:
    rows = (
        "| bs1 | 1132.56 | 3634.52 | | | |\n| bs4 | 2404.91 | 2228.9 | | | |\n| 最优batch | {} |"
        " 3634.52 | | | |\n"
    )
    assert found(HEADER + rows.format("2404.91")) == []
    assert found(HEADER + rows.format("4:2404.91")) == []
    assert found(HEADER + rows.format("1132.56")) == []  # the whole row of bs1: best by one device
    assert found(HEADER + rows.format("4")) == []
    assert found(HEADER + rows.format("2304.91")) == [("best-row", 5, "2304.91")]
    assert found(HEADER + rows.format("1:2404.91")) == [("log-self", 5, "bs1 2404.91")]


def test_a_batch_label_is_refuted_by_log_file_name_and_heading() -> None:
    text = (
        "batch{}的性能，生成result/perf_vision_batchsize_{}_device_1.txt：\n"
        + fenced(LOG_16)
        + "714.514x4=2858.056既是batch{} 310单卡吞吐率\n"
    )
    assert found(text.format(16, 16, 16)) == []
    assert [(kind, line) for kind, line, _ in found(text.format(16, 16, 1))] == [("log-self", 9)]
    assert [(kind, line) for kind, line, _ in found(text.format(16, 8, 16))] == [("log-self", 1)]


def test_a_command_of_another_batch_above_is_no_label() -> None:
    command = (
        "./benchmark.x86_64 -model_type=vision -batch_size=1 -om_path=m_bs1.om -device_id=0\n\n"
    )
    assert (
        found(
            command
            + "batch16的性能：\n"
            + fenced(LOG_16)
            + "714.514x4=2858.056既是batch16 310单卡吞吐率\n"
        )
        == []
    )


def test_a_log_is_compared_with_itself() -> None:
    assert found(fenced(LOG)) == []
    edited = LOG.replace("5.06532", "5.56532")
    assert [(kind, line) for kind, line, _ in found(fenced(edited))] == [("log-self", 3)]
    assert found(fenced(GPU)) == []
    assert kinds(fenced(GPU.replace("20.5302", "16.0000"))) == {"log-self"}
    good = AIS + "[INFO] throughput 1000*batchsize(16)/NPU_compute_time.mean(0.661): 24205.7\n"
    assert found(good) == []
    assert kinds(good.replace("24205.7", "23205.7")) == {"log-self"}
    divided = AIS + "[INFO] throughput (1000/NPU_compute_time/batchsize(16)): 94.5\n"
    assert found(divided) == []


def test_a_tools_own_lines_are_no_claims() -> None:
    tail = "[INFO] throughput 1000*batchsize(1)/NPU_compute_time.mean(0.661): 1512.86\n"
    devices = (
        "i:0 device_1 throughput:281.38 start_time:1 end_time:2\n[INFO] summary throughput:557.93\n"
    )
    assert found(AIS + tail + devices) == []


def test_another_data_set_in_one_log_is_ambiguous() -> None:
    other = LOG_16.replace("195592", "95592")
    result = audited(fenced(LOG) + "\n\n" + fenced(other))
    assert result.contradictions == []
    assert any("samples" in f.derived for f in result.ambiguous)


def test_pure_inference_averages_rate_and_latency_apart() -> None:
    assert found("ave_throughputRate = 5769.56samples/s, ave_latency = 0.1913ms\n") == []
    assert kinds("ave_throughputRate = 5769.56samples/s, ave_latency = 0.2913ms\n") == {"log-self"}


def test_a_time_in_seconds_under_ms() -> None:
    table = (
        "| Model | Mean(FPS) | Mean-Latency({}) |\n|-|-|-|\n| a | 116.689 | 0.00857261 |\n| b |"
        " 246.007 | 0.00406507 |\n"
    )
    assert found(table.format("s")) == []
    assert found(table.format("ms")) == [("unit", 1, "Mean-Latency(ms)")]
    milliseconds = (
        table.format("ms").replace("0.00857261", "8.57261").replace("0.00406507", "4.06507")
    )
    assert found(milliseconds) == []


def test_a_time_listed_as_a_rate() -> None:
    text = fenced(GPU) + "| 设备 | 单卡吞吐率 |\n|-|-|\n| gpu | {} |\n"
    assert found(text.format("61.4821")) == []
    assert kinds(text.format("16.2649")) == {"unit"}


def test_accuracy_of_more_classes_cannot_be_lower_and_within_one_percent_must_hold() -> None:
    result = (
        '{{"key": "Top1 accuracy", "value": "{}%"}}, {{"key": "Top5 accuracy", "value":'
        ' "93.72%"}}\n'
    )
    published = (
        "### 6.3 开源TopN精度\n| model | top1 | top5 |\n|-|-|-|\n| m | 77.862 | 93.720"
        " |\n\n精度下降在1%范围之内，故精度达标。\n"
    )
    assert found(result.format("77.85") + published) == []
    assert found(result.format("76.95") + published) == []
    assert kinds(result.format("74.1") + published) == {"accuracy"}
    assert kinds(result.format("95.1")) == {"accuracy"}


RATES = (
    "| bs | 310 | 310P | T4 |\n|-|-|-|-|\n| bs1 | 1000.0 | 1300.0 | 500.0 |\n| 最优 | 1000.0 |"
    " 1300.0 | 500.0 |\n\n"
)


@pytest.mark.parametrize(
    ("right", "wrong", "kind"),
    [
        (
            "最优的310P性能达到了最优的310性能的1.300倍",
            "最优的310P性能达到了最优的310性能的1.339倍",
            "ratio",
        ),
        ("bs1：310P上性能达到了310上的1.2倍", "bs1：310P上性能达到了310上的1.5倍", "policy"),
        (
            "最优bs: 310p大于310的1.2倍；310p大于T4的1.6倍，性能达标。",
            "最优bs: 310p大于310的1.2倍；310p大于T4的3.6倍，性能达标。",
            "policy",
        ),
        (
            "At best batch 310P reaches 2.60 times T4",
            "At best batch 310P reaches 2.90 times T4",
            "ratio",
        ),
        ("bs1 相比T4，310P性能达到2.60倍", "bs1 相比T4，310P性能达到2.90倍", "ratio"),
    ],
)
def test_claims_in_prose_follow_from_the_table(right: str, wrong: str, kind: str) -> None:
    assert found(RATES + right) == []
    assert kinds(RATES + wrong) == {kind}


@pytest.mark.parametrize(
    "text",
    [
        "要求最优bs: 310P性能达到310的1.5倍",
        "当310P最优性能不低于310最优的1.5倍时达标",
        "bs1: 310P性能未达到310的1.5倍",
        "bs1精度比310低0.1%，310P性能提升2.5倍",
    ],
)
def test_rules_and_denials_are_no_claims(text: str) -> None:
    assert found(RATES + text) == []


def test_a_wrong_figure_used_again_is_named_again() -> None:
    text = (
        fenced(LOG)
        + "Interface throughputRate: 281.222，281.222x4=1124.888既是batch1 310单卡吞吐率\n\n"
    )
    later = "对比：281.222x4 > 500.1\n"
    assert [line for _, line, _ in found(text + later)] == [8, 10]


def test_api_and_missing_file(tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    path.write_text("2.5x4=13\n", encoding="utf-8")
    result = audit(path)
    assert (result.document, result.checked, len(result.contradictions)) == (str(path), 1, 1)
    with pytest.raises(InputError, match="does not exist"):
        audit(tmp_path / "none.md")


def test_gbk_and_crlf_are_read(tmp_path: Path) -> None:
    path = tmp_path / "README.md"
    path.write_bytes("batch1性能：\r\n263.872乘以4＝1155.488\r\n".encode("gbk"))
    assert [(f.kind, f.line) for f in audit(path).contradictions] == [("product", 2)]


def test_command_line(tmp_path: Path, stage) -> None:
    clean, wrong = tmp_path / "clean.md", tmp_path / "wrong\x1b[31m.md"
    clean.write_text("263.872x4=1055.488\n", encoding="utf-8")
    wrong.write_text("263.872x4=1155.488\n", encoding="utf-8")
    assert stage("reports/audit.py", clean).returncode == 0
    both = stage("reports/audit.py", clean, wrong)
    assert both.returncode == 1
    assert (
        "CONTRADICTION" in both.stdout and "1155.488" in both.stdout and "\x1b" not in both.stdout
    )
    records = json.loads(stage("reports/audit.py", "--json", clean, wrong).stdout)
    assert [set(r) for r in records] == [
        {"document", "checked", "contradictions", "ambiguous", "unchecked"}
    ] * 2
    assert set(records[1]["contradictions"][0]) == {
        "kind",
        "line",
        "stated",
        "derived",
        "from_line",
    }
    missing = stage("reports/audit.py", tmp_path / "none.md")
    assert missing.returncode == 2
    assert "none.md" in missing.stderr


def test_a_figure_used_under_another_batch_than_its_logs() -> None:
    assert found(TWO_LOGS + "batch1：263.872x4 > 500.5\n") == []
    assert [(kind, line) for kind, line, _ in found(TWO_LOGS + "batch4：263.872x4 > 500.5\n")] == [
        ("log-self", 23)
    ]
