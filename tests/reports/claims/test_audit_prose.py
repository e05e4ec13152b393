"""What authors write around their tables: ratios, bests, comparisons, verdicts, accuracies; each
with its contradicting twin.
"""

from __future__ import annotations

import pytest

from portproof.reports.claims.audit import audit_document
from portproof.reports.claims.read.context import devices_in
from portproof.reports.claims.read.plain_text import parse

TABLE = """\
| bs | 310 | 310P | T4 |
|---|---|---|---|
| 1 | 120.4 | 172.9 | 101.2 |
| 8 | 135.9 | 240.7 | 131.4 |
| 16 | 133.1 | 231.0 | 128.8 |

"""
TUNED = """\
| bs | 310 | 310P | 310P_aoe | 310P_aoe/310 |
|---|---|---|---|---|
| 1 | 511.2 | 290.5 | 480.0 | 0.939 |
| 8 | 861.3 | 714.1 | 1311.0 | 1.522 |

"""
WORKED = """\
batch1 310单卡吞吐率：20.311x4=81.244fps
batch16 310单卡吞吐率：22.87x4=91.48fps
batch1 t4单卡吞吐率：1000/(9.8/1)=102.04fps
batch16 t4单卡吞吐率：1000/(140.21/16)=114.11fps

"""
LOG = """\
```
[e2e] throughputRate: 185.966, latency: 268866
[data read] throughputRate: 197.421, moduleLatency: 5.06532
[preprocess] throughputRate: 196.443, moduleLatency: 5.09054
[infer] throughputRate: 186.579, Interface throughputRate: 263.872, moduleLatency: 4.71504
[post] throughputRate: 186.579, moduleLatency: 5.35966
```
"""
RESULT = (
    '{"key": "Top1 accuracy", "value": "81.03%"}, {"key": "Top5 accuracy", "value": "95.29%"}\n\n'
)
PUBLISHED = "### 开源TopN精度\n```\nModel  Acc@1  Acc@5\nfnet   81.22  95.31\n```\n### 对比\n"
ACCURACY = "| 模型 | Top1 |\n|---|---|\n| 官网 | 81.22 |\n| 310 | 81.03 |\n| 310P | 80.81 |\n\n"
TIMES = """\
| batch | 310P latency (ms) | 310P throughput (fps) | T4 latency (ms) | T4 throughput (fps) |
|---|---|---|---|---|
| 1 | 1.820 | 549.45 | 2.510 | 398.41 |
| 4 | 4.110 | 973.24 | 7.024 | 569.48 |
| 8 | 7.633 | 1048.08 | 13.310 | 601.05 |
"""


def kinds(text: str) -> set[str]:
    return {
        finding.kind for finding in audit_document(parse(text.encode()), "README.md").contradictions
    }


@pytest.mark.parametrize(
    ("right", "wrong", "kind"),
    [
        ("310P性能为T4的1.83倍。", "310P性能为T4的1.38倍。", "ratio"),
        (
            "310P的性能分别达到了310的1.77倍和T4的1.83倍。",
            "310P的性能分别达到了310的1.77倍和T4的1.38倍。",
            "ratio",
        ),
        (
            "在310P上最优batch为8；是310最优性能（bs8，135.9fps）的1.77倍。",
            "在310P上最优batch为8；是310最优性能（bs8，135.9fps）的1.97倍。",
            "ratio",
        ),
        (
            "batch为1时，310P性能是T4的1.71倍；bs8时，310P性能是T4的1.83倍。",
            "batch为1时，310P性能是T4的1.71倍；bs8时，310P性能是T4的1.38倍。",
            "ratio",
        ),
        (
            "310P性能为T4的1.71倍（bs1）和1.83倍（bs8）。",
            "310P性能为T4的1.71倍（bs1）和1.38倍（bs8）。",
            "ratio",
        ),
        (
            "310P最优为310的1.77倍，满足不低于310的1.2倍的要求。",
            "310P最优为310的1.47倍，满足不低于310的1.2倍的要求。",
            "ratio",
        ),
        (
            "At batch 1 the 310P is 1.71 times as fast as the T4.",
            "At batch 1 the 310P is 1.17 times as fast as the T4.",
            "ratio",
        ),
        (
            "The best 310P meets the target (1.2x the 310 and 1.6x the T4).",
            "The target (2.2x the 310 and 1.6x the T4) is met by the best 310P.",
            "policy",
        ),
        ("310P最优batch为8，达240.7fps。", "310P最优batch为16，达231.0fps。", "best-row"),
        ("310P最优batch是8，310最优batch为8。", "310P最优batch是8，310最优batch为16。", "best-row"),
        ("The best batch of the 310P is 8.", "The best batch of the 310P is 16.", "best-row"),
        (
            "batch8：310P 240.7fps > 1.6 * 131.4fps",
            "batch8：310P 270.4fps > 1.6 * 131.4fps",
            "table-vs-log",
        ),
        ("batch8：240.7fps > 131.4fps", "batch8：240.7fps < 131.4fps", "product"),
        ("310P性能高于T4，性能达标。", "310P性能低于T4，性能不达标。", "policy"),
    ],
)
def test_prose_follows_from_the_table(right: str, wrong: str, kind: str) -> None:
    assert kinds(TABLE + right) == set()
    assert kinds(TABLE + wrong) == {kind}


@pytest.mark.parametrize(
    "text",
    [
        "要求310P性能达到310的2.5倍。",
        "310P时延为T4的0.31倍。",
        "同类模型在310P上性能为T4的2.9倍。",
        "输入为512x512时310P bs8吞吐率为101.2fps。",
        "310P最优性能未达到T4的2倍。",
        "310P最优batch性能240.7fps，bs1时为172.9fps。",
    ],
)
def test_other_subjects_and_rules_are_not_compared_with_the_table(text: str) -> None:
    assert kinds(TABLE + text) == set()


def test_a_tuned_column_may_be_the_one_that_is_meant() -> None:
    assert kinds(TUNED + "310P调优后最优性能为310最优性能的1.52倍。") == set()
    assert kinds(TUNED + "310P最优性能为310最优性能的0.829倍。") == set()
    assert kinds(TUNED + "310P调优后最优性能为310最优性能的1.82倍。") == {"ratio"}


def test_worked_figures_carry_verdicts_and_ratios_without_a_table() -> None:
    assert kinds(WORKED + "单卡的吞吐率小，故310性能低于T4性能，约为T4的0.80倍。") == set()
    assert kinds(WORKED + "单卡的吞吐率大，故310性能高于T4性能。") == {"policy"}
    assert kinds(WORKED + "310性能约为T4的0.90倍。") == {"ratio"}
    assert kinds(WORKED + "batch1：20.311x4 < 1000/(9.8/1)") == set()
    assert kinds(WORKED + "batch1：20.311x4 < 1000/(8.9/1)") == {"table-vs-log"}


def test_the_rate_printed_before_its_product_is_the_logs() -> None:
    assert (
        kinds(LOG + "Interface throughputRate: 263.872，263.872x4=1055.488既是batch1 310单卡吞吐率")
        == set()
    )
    assert kinds(
        LOG + "Interface throughputRate: 293.872，263.872x4=1055.488既是batch1 310单卡吞吐率"
    ) == {"table-vs-log"}
    assert (
        kinds("ave_throughputRate = 974.27, 974.27x4=3897.08fps。即是batch4 310单卡吞吐率") == set()
    )
    assert kinds("ave_throughputRate = 974.27, 974.27x4=3297.08fps。即是batch4 310单卡吞吐率") == {
        "product"
    }


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("196.443", "296.443"),
        ("moduleLatency: 5.35966", "moduleLatency: 6.35966"),
        ("185.966", "285.966"),
    ],
)
def test_every_stage_of_a_log_fits_itself(old: str, new: str) -> None:
    assert kinds(LOG) == set()
    assert kinds(LOG.replace(old, new)) == {"log-self"}


def test_products_in_words() -> None:
    assert kinds("310单卡吞吐率：88.1204乘以4为352.4816 fps") == set()
    assert kinds("310单卡吞吐率：88.1204乘以4为342.4816 fps") == {"product"}


def test_accuracy_claims() -> None:
    within = "精度下降在1%范围之内，故精度达标。\n"
    assert kinds(RESULT + PUBLISHED + within) == set()
    assert kinds(RESULT.replace("81.03", "79.03") + PUBLISHED + within) == {"accuracy"}
    assert kinds(ACCURACY + within + "310精度与官网精度相差0.19%。") == set()
    assert kinds(ACCURACY + "310精度与官网精度相差0.49%。") == {"accuracy"}
    assert kinds(ACCURACY.replace("80.81", "79.81") + within) == {"accuracy"}
    assert kinds(RESULT + ACCURACY) == set()
    assert kinds(RESULT + ACCURACY.replace("| 310 | 81.03", "| 310 | 87.03")) == {"accuracy"}
    assert kinds("精度：310P Top1 75.43%，官网Top1 75.61%，下降0.18%") == set()
    assert kinds("精度：310P Top1 75.43%，官网Top1 75.61%，下降0.81%") == {"accuracy"}


def test_times_beside_throughputs() -> None:
    assert kinds(TIMES) == set()
    assert kinds(TIMES.replace("973.24", "937.24")) == {"unit"}
    assert kinds(TIMES.replace("T4 latency (ms)", "T4 latency (us)")) == {"unit"}


def test_tables_that_show_one_run_twice() -> None:
    again = "| bs | 310P | T4 |\n|---|---|---|\n| 1 | 172.9 | 101.2 |\n| 8 | 240.7 | 131.4 |\n"
    assert kinds(TABLE + again) == set()
    assert kinds(TABLE + again.replace("131.4", "141.4")) == {"table-vs-log"}
    assert (
        kinds(
            TABLE
            + again.replace("131.4", "141.4").replace("172.9", "190.1").replace("101.2", "111.2")
        )
        == set()
    )


def test_lists_name_their_device_above() -> None:
    items = "- 310P\n  - bs1: 172.9fps\n  - bs8: 240.7fps\n- T4\n  - bs1: 101.2fps\n\n"
    assert kinds(items + TABLE) == set()
    assert kinds(items.replace("172.9", "127.9") + TABLE) == {"table-vs-log"}


def test_a_letter_after_310_makes_another_chip_only_when_it_stands_alone() -> None:
    assert devices_in("310 bs1") == ["310"]
    assert devices_in("310B1 bs1") == ["310B"]
    assert devices_in("310 performance") == ["310"]
    assert devices_in("310P3性能") == ["310P"]


def test_a_multiple_that_is_exceeded_is_not_rounded_up_by_much() -> None:
    assert kinds(TABLE + "310P bs8吞吐率是T4的1.8倍以上。") == set()
    assert kinds(TABLE + "310P bs8吞吐率是T4的3倍以上。") == {"policy"}
    assert kinds(TABLE + "310P最优性能高于310，也高于T4的1.6倍。") == set()
    assert kinds(TABLE + "310P最优性能高于310，也高于T4的2.2倍。") == {"policy"}


def test_english_figures_with_conditions_in_brackets() -> None:
    text = (
        "The T4 (trtexec, fp16) processes 131.4 images/s at batch 8, i.e. the 310P is 1.83x"
        " faster.\n\n"
    )
    assert kinds(text + TABLE) == set()
    assert kinds(text.replace("131.4", "113.4") + TABLE) == {"table-vs-log"}
    assert kinds(text.replace("1.83x", "1.38x") + TABLE) == {"ratio"}
    both = (
        "With TensorRT 8.4 the T4 reaches 131.4 images/s at batch 8, with TensorRT 7.2 the T4"
        " reached 121.9 images/s at batch 8.\n\n"
    )
    assert kinds(both + TABLE) == set()


def test_the_batch_right_after_a_result_is_its_batch() -> None:
    text = (
        LOG
        + "Interface throughputRate: 263.872，263.872x4=1055.488 fps。即是batch1 310单卡吞吐率，"
        "batch16的计算方法同理\n"
    )
    table = "| bs | 310 | T4 |\n|---|---|---|\n| 1 | 1055.488 | 501.2 |\n| 8 | 1402.2 | 702.1 |\n"
    assert kinds(text + table) == set()
    assert kinds(text.replace("batch1 ", "batch8 ") + table) == {"log-self"}
