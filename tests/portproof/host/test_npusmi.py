"""``npu-smi info`` in its layouts. The 22.0 tables are real; the others follow the layouts that
vendors' documents describe.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portproof.core.errors import InputError, ToolError
from portproof.host.npusmi import check_devices, is_same_kind, parse, query

V22 = """
+--------------------------------------------------------------------------------------------+
| npu-smi 22.0.0                       Version: 22.0.2                                       |
+-------------------+-----------------+------------------------------------------------------+
| NPU     Name      | Health          | Power(W)     Temp(C)           Hugepages-Usage(page) |
| Chip    Device    | Bus-Id          | AICore(%)    Memory-Usage(MB)                        |
+===================+=================+======================================================+
| 0       310P3     | OK              | 15.8         42                0    / 0              |
| 0       0         | 0000:82:00.0    | 0            1074 / 21534                            |
+===================+=================+======================================================+
| 1       310P3     | Alarm           | NA           43                1236 / 1236           |
| 0       1         | NA              | 97           53984/ 65536                            |
+===================+=================+======================================================+
"""

FOUR_CHIPS = """
| NPU     Name      | Health          | Power(W)   Temp(C)          |
| Chip    Device    | Bus-Id          | AICore(%)  Memory-Usage(MB) |
+===================+=================+=============================+
| 2       310       | OK              | 12.8       45               |
| 0       8         | 0000:05:00.0    | 0          2457 / 8192      |
+-------------------+-----------------+-----------------------------+
| 2       310       | OK              | 12.8       46               |
| 1       9         | 0000:06:00.0    | 0          2457 / 8192      |
| 2       10        | 0000:07:00.0    | 3          2457 / 8192      |
| 3       11        | 0000:08:00.0    | 0          2457 / 8192      |
"""

V23 = """
+------------------------------------------------------------------------------------------------+
| npu-smi 23.0.rc3                 Version: 23.0.rc3                                             |
+---------------------------+---------------+----------------------------------------------------+
| NPU   Name                | Health        | Power(W)    Temp(C)           Hugepages-Usage(page)|
| Chip                      | Bus-Id        | AICore(%)   Memory-Usage(MB)  HBM-Usage(MB)        |
+===========================+===============+====================================================+
| 0     910B4               | OK            | 84.6        38                0    / 0             |
| 0                         | 0000:C1:00.0  | 0           0    / 0          2778 / 32768         |
+===========================+===============+====================================================+
| 1     910B4               | Warning       | 84.6        38                0    / 0             |
| 0                         | 0000:C2:00.0  | 51          0    / 0          9000 / 32768         |
+===========================+===============+====================================================+
+---------------------------+---------------+----------------------------------------------------+
| NPU     Chip              | Process id    | Process name             | Process memory(MB)      |
+===========================+===============+====================================================+
| No running processes found in NPU 0                                                            |
+===========================+===============+====================================================+
| 1       0                 | 4711          | python3                  | 6222                    |
+===========================+===============+====================================================+
"""


def test_a_310p_table() -> None:
    first, second = parse(V22)
    assert (first.npu, first.chip, first.device, first.soc_version, first.health) == (
        0,
        0,
        0,
        "Ascend310P3",
        "OK",
    )
    assert (first.power_w, first.temperature_c, first.bus_id, first.driver) == (
        15.8,
        42.0,
        "0000:82:00.0",
        "22.0.2",
    )
    assert (first.aicore_percent, first.memory_used_mb, first.memory_total_mb) == (0, 1074, 21534)
    assert (second.power_w, second.bus_id, second.memory_used_mb, second.memory_total_mb) == (
        None,
        None,
        53984,
        65536,
    )
    assert (first.is_idle, second.is_idle) == (True, False)


def test_a_card_of_four_chips_with_and_without_repeated_first_rows() -> None:
    chips = parse(FOUR_CHIPS)
    assert [(c.npu, c.chip, c.device, c.soc_version) for c in chips] == [
        (2, k, 8 + k, "Ascend310") for k in range(4)
    ]
    assert [c.is_idle for c in chips] == [True, True, False, True]


def test_a_910_table_with_processes() -> None:
    chips = parse(V23)
    assert [(c.npu, c.device, c.name, c.memory_used_mb, c.memory_total_mb) for c in chips] == [
        (0, 0, "910B4", 2778, 32768),
        (1, 1, "910B4", 9000, 32768),
    ]
    assert chips[0].processes == ()
    assert [(p.pid, p.name, p.memory_mb) for p in chips[1].processes] == [(4711, "python3", 6222)]


def test_every_real_table_is_read(shared: Path) -> None:
    tables = sorted((shared / "samples" / "logs").glob("npu_smi_*.log"))
    assert tables
    for table in tables:
        text = table.read_text()
        chips = parse(text)
        assert len(chips) == text.count("310P3     |"), table
        assert all(
            c.soc_version == "Ascend310P3" and c.is_idle and c.memory_total_mb == 21534
            for c in chips
        )


@settings(max_examples=50, deadline=None)
@given(st.text())
def test_any_text_is_read_without_an_error(text: str) -> None:
    parse(text)


@settings(max_examples=50, deadline=None)
@given(st.integers(0, len(V23)))
def test_a_cut_table_gives_the_chips_before_the_cut(end: int) -> None:
    whole = [(c.npu, c.name) for c in parse(V23)]
    cut = [(c.npu, c.name) for c in parse(V23[:end])]
    assert cut == whole[: len(cut)]


def test_devices_are_checked_for_presence_kind_health_and_load() -> None:
    chips = parse(V22)
    assert check_devices(chips, ["Ascend310P3"], [0]) == [chips[0]]
    assert check_devices(chips, ["Ascend310P"], [0]) == [chips[0]]
    with pytest.raises(
        InputError, match="there is no device 3 on this host; 'npu-smi info' lists 0, 1"
    ):
        check_devices(chips, ["Ascend310P3"], [0, 3])
    with pytest.raises(InputError, match="device 0 is an Ascend310P3, the target is Ascend310;"):
        check_devices(chips, ["Ascend310"], [0])
    with pytest.raises(ToolError, match="reports its health as Alarm"):
        check_devices(chips, ["Ascend310P3"], [1])
    with pytest.raises(
        ToolError,
        match=r"device 1 \(Ascend910B4\) is not idle: AICore 51 %, running python3 \(pid 4711\)",
    ):
        check_devices(parse(V23), ["Ascend910B4"], [1])
    assert check_devices(parse(FOUR_CHIPS), ["Ascend310"], [8, 9, 11])


def test_a_310b_is_no_310() -> None:
    table = V22.replace("310P3", "310B1")
    with pytest.raises(InputError, match="is an Ascend310B1"):
        check_devices(parse(table), ["Ascend310"], [0])


def fake(folder: Path, text: str, code: int = 0) -> None:
    program = folder / "npu-smi"
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{text}\nEND\nexit {code}\n")
    program.chmod(0o755)


def test_the_program_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path) + os.pathsep + os.environ["PATH"])
    fake(tmp_path, V22)
    assert [c.device for c in query()] == [0, 1]
    fake(tmp_path, "dcmi module initialize failed. ret is -8005", 1)
    with pytest.raises(ToolError, match="'npu-smi info' ended with exit code 1") as caught:
        query()
    assert "dcmi module" in caught.value.log_tail
    fake(tmp_path, "no table")
    with pytest.raises(ToolError, match="lists no chip"):
        query()


def test_one_rule_says_whether_a_chip_is_of_a_kind() -> None:
    kinds = {  # Huawei's names of one kind; "710" was the 310P's first name
        "310P": ["Ascend310P3", "Ascend310P", "ascend310p1", "Ascend710"],
        "310": ["Ascend310"],
        "310B": ["Ascend310B1", "Ascend310B4", "Ascend310B2"],
        "910B": ["Ascend910B4", "Ascend910B2"],
    }
    named = [(kind, name) for kind, names in kinds.items() for name in names]
    for kind, name in named:
        for other_kind, other in named:
            assert is_same_kind(name, other) is (kind == other_kind), (name, other)
    assert not any(is_same_kind(name, "t4") for _, name in named)
    assert not is_same_kind("", "") and not is_same_kind("t4", "t4")
