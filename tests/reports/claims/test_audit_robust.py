"""No bytes crash the audit, keep it busy, or make it invent a figure."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from portproof.reports.claims.agreement import Audit
from portproof.reports.claims.audit import audit_document
from portproof.reports.claims.read.plain_text import MOST_BYTES, parse

PIECES = [
    *(
        "[e2e] throughputRate: 18.5, latency: 268",
        "Interface throughputRate: 263.872",
        "263.872x4=1055.488",
        "batch16",
        "310P",
        "T4",
        "|",
        "\n",
    ),
    *(
        "|-|-|",
        "| bs1 | 3 | 4.5 |",
        "1000/(4.2/16)=",
        "```",
        "倍",
        "mean: 3.1 ms",
        "GPU Compute",
        "<td>",
        "</table>",
        "（",
        "=",
        "x",
        "*",
        "#",
        "0",
    ),
    *(
        "ave_throughputRate: 3.1",
        "1e308",
        "(" * 9,
        "最优",
        "\x1b[31m",
        "\ufffd",
        "throughput 1000*batchsize(0)/NPU:",
        "0.0",
        "/0",
        "1e400fps",
        "percentile(.%) = 3 ms",
        "trtexec --onnx=a.onnx",
        "Throughput: inf qps",
        "~~",
    ),
]


def audited(data: bytes) -> Audit:
    return audit_document(parse(data), "x")


@given(st.binary(max_size=400))
@settings(max_examples=100, deadline=None)
def test_any_bytes(data: bytes) -> None:
    audited(data)


@given(st.lists(st.sampled_from(PIECES), max_size=40))
@settings(max_examples=200, deadline=None)
def test_any_mixture_of_what_it_looks_for(pieces: list[str]) -> None:
    """No crash, and every figure that it calls stated is in the line that it names."""
    text = " ".join(pieces)
    document = parse(text.encode())
    for finding in audit_document(document, "x").contradictions:
        assert 1 <= finding.line <= len(document.lines)
        if (
            finding.kind in ("table-vs-log", "best-row")
            and finding.stated.replace(".", "").isdigit()
        ):
            assert finding.stated in document.lines[finding.line - 1]


WORDS = (
    *("the", "model", "speed", "times", "faster", "batch", "bs", "latency", "throughput", "fps"),
    *("ms", "images/s", "T4", "310", "310P", "npu", "Input", "Top1", "accuracy", "精度", "性能"),
    *(
        "吞吐率",
        "达到",
        "倍",
        "is",
        "of",
        "单卡",
        "batch1",
        "batch16",
        "最优",
        "best",
        "at",
        "|",
        "-",
    ),
    *("/", ":", "(", ")", "%", ",", ".", "##", "\n", "\n", "|---|---|\n", "697 samples", "mean"),
)
NUMBERS = st.one_of(
    st.integers(0, 100_000).map(str),
    st.floats(0, 1000, allow_nan=False).map(lambda value: f"{value:.3f}"),
    st.sampled_from(["1", "2", "4", "8", "16", "1.2", "76.13", "100"]),
)


@given(st.lists(st.one_of(st.sampled_from(WORDS), NUMBERS), max_size=60))
@settings(max_examples=300, deadline=None)
def test_random_text_with_numbers_is_not_accused(pieces: list[str]) -> None:
    """Nothing in it is said to be equal, larger or smaller."""
    assert audited(" ".join(pieces).encode()).contradictions == []


@pytest.mark.parametrize(
    "piece",
    [
        "1*",
        "((((",
        "batch1,",
        "<table><tr><td>",
        "[e2e] throughputRate: 1 ",
        "mean: 1 ",
        "~~a",
        "[a](",
        "![",
        "`a``",
        "1/2=",
        "9",
        "| a ",
        "&amp;",
        "\x00",
    ],
)
def test_one_endless_line(piece: str) -> None:
    result = audited(piece.encode() * (2 * MOST_BYTES // len(piece)))
    assert result.contradictions == []
    assert any("only its beginning" in note.why for note in result.unchecked)


@pytest.mark.parametrize(
    "line",
    [
        "batch1 310P吞吐率：22.9fps",
        "ave_throughputRate: 1.5",
        "|1|2|\n|-|-|",
        "# 310",
        "1000/(2.5/1)=400 batch1 T4",
        "![" * 20,
        "```",
        "|-" * 20,
    ],
)
def test_one_line_ten_thousand_times(line: str) -> None:
    audited((line + "\n").encode() * 10_000)


@pytest.mark.parametrize(
    "line",
    [
        "[I] percentile(.%) = 3 ms",
        "[INFO] NPU_compute_time (ms): mean = 1, percentile(.%) = 3",
        "batch1 310P吞吐率：1e400fps",
        "[I] Throughput: inf qps",
    ],
)
def test_numbers_that_are_none(line: str) -> None:
    assert audited(f"[I] GPU Compute\n{line}\n".encode()).contradictions == []


def test_empty_and_binary() -> None:
    for data in (b"", b"\x00" * 1000, b"\xff\xfe", b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 20):
        assert audited(data).checked == 0


def test_mutated_samples(shared: Path) -> None:
    """Real documents with bytes cut, doubled and changed are read to the end."""
    random.seed(11)
    paths = sorted((shared / "samples/readmes").glob("*.md"))[::6]
    for path in paths:
        data = bytearray(path.read_bytes())
        for _ in range(40):
            at = random.randrange(len(data))
            data[at : at + random.randrange(3)] = random.choice(
                [b"", b"\xff", b"9", b"|", b"\n", b"*4=", bytes(data[at : at + 60])]
            )
        audited(bytes(data))
