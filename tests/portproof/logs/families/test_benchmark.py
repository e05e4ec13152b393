"""benchmark's perf files: the published shapes, the damage that real files carry, and what the file
says against itself.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from portproof.core.errors import InputError
from portproof.logs.families.benchmark import _batches_for
from portproof.logs.logged import Run
from portproof.logs.read import read

# Printed in the source document, section 7.1, batch 16 on a 310.
BS16 = """[e2e] throughputRate: 255.635, latency: 195592
[data read] throughputRate: 271.167, moduleLatency: 3.68776
[preprocess] throughputRate: 270.679, moduleLatency: 3.69441
[infer] throughputRate: 256.689, Interface throughputRate: 714.514, moduleLatency: 2.86055
[post] throughputRate: 16.0426, moduleLatency: 62.3341
"""


def one(tmp_path: Path, text: str | bytes, name: str = "perf.txt") -> Run:
    path = tmp_path / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    (run,) = read(path)
    return run


def printed(run: Run) -> dict[tuple[str | None, str | None, str], float]:
    return {
        (f.boundary, f.stage, f.name): f.value
        for f in run.figures
        if f.value is not None and f.derived is None
    }


def test_every_printed_figure_is_read_with_its_line_and_meaning(tmp_path: Path) -> None:
    run = one(tmp_path, BS16)
    assert (run.family, run.status, run.batch, run.warnings) == ("benchmark", "ok", 16, [])
    head = run.figures[0]
    assert (head.name, head.value, head.unit, head.boundary, head.stage, head.per, head.line) == (
        *("throughput", 714.514, "images/s", "device", "infer", "chip", 4),
    )
    assert printed(run) == pytest.approx(
        {
            ("device", "infer", "throughput"): 714.514,
            ("end_to_end", None, "throughput"): 255.635,
            ("end_to_end", None, "walltime"): 195.592,
            (None, "read", "throughput"): 271.167,
            (None, "read", "latency_mean"): 0.00368776,
            (None, "preprocess", "throughput"): 270.679,
            (None, "preprocess", "latency_mean"): 0.00369441,
            (None, "infer", "throughput"): 256.689,
            (None, "infer", "latency_mean"): 0.00286055,
            (None, "post", "throughput"): 16.0426,
            (None, "post", "latency_mean"): 0.0623341,
        }
    )
    samples = run.figure("samples")
    assert samples is not None and samples.value == 50000 and samples.derived


@pytest.mark.parametrize(
    "damage",
    [
        lambda t: t.replace("\n", ""),
        lambda t: t.replace("\n", "\r\n"),
        lambda t: "\n".join("    " + line for line in t.splitlines()) + "\n",
        lambda t: t.replace(", moduleLatency", " moduleLatency"),
        lambda t: t.replace(", Interface", " Interface"),
        lambda t: t.replace(", ", "，"),
        lambda t: t.replace("moduleLatency: ", "moduleLatency:"),
        lambda t: t.replace("Interface throughputRate", "Interface th roughputRate"),
        lambda t: t.replace("[e2e]", "[[e2e]"),
        lambda t: t.replace("[infer]", "[inference]").replace("[post]", "[postprocess]"),
        lambda t: t + "```\n",
        lambda t: "-----------------Performance Summary------------------\n" + t + "---\n",
        lambda t: "\x1b[32m" + t.replace("[infer]", "\x1b[1m[infer]\x1b[0m"),
        lambda t: "loading 1%\rloading 100%\r" + t,
    ],
)
def test_damage_of_real_files_costs_no_figure(tmp_path: Path, damage) -> None:  # type: ignore[no-untyped-def]
    whole, damaged = one(tmp_path, BS16), one(tmp_path, damage(BS16), "damaged.txt")
    assert printed(damaged) == printed(whole)
    assert (damaged.status, damaged.batch) == ("ok", 16)


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "gbk"])
def test_encodings(tmp_path: Path, encoding: str) -> None:
    text = ("batch16的性能\n" if encoding != "utf-16-le" else "") + BS16.replace(
        ", ", "，" if encoding == "gbk" else ", "
    )
    run = one(tmp_path, text.encode(encoding))
    assert printed(run) == printed(one(tmp_path, BS16, "plain.txt"))


def test_a_field_that_is_cut_off_is_not_made_up(tmp_path: Path) -> None:
    run = one(tmp_path, BS16.replace("moduleLatency: 2.86055", "modul"))
    assert run.figure("latency_mean", stage="infer") is None and run.figures[0].value == 714.514
    assert run.warnings == ["[infer] lacks its latency"]


def test_an_excerpt_is_incomplete_and_keeps_its_figures(tmp_path: Path) -> None:
    run = one(tmp_path, "[inference] Interface throughputRate: 1.23284\n")
    assert (run.status, run.batch, [f.value for f in run.figures]) == (
        "incomplete",
        None,
        [1.23284],
    )


def test_no_cut_invents_a_figure(tmp_path: Path) -> None:
    whole = set(printed(one(tmp_path, BS16, "whole.txt")).items())
    for cut in range(1, len(BS16)):
        try:
            run = one(tmp_path, BS16[:cut])
        except InputError:
            continue
        assert set(printed(run).items()) <= whole, BS16[:cut]


def test_two_runs_are_two_measurements(tmp_path: Path) -> None:
    path = tmp_path / "two.txt"
    path.write_text(BS16 + "\n" + BS16.replace("714.514", "700.5"))
    assert [(r.line, r.figures[0].value, r.figures[0].line) for r in read(path)] == [
        (1, 714.514, 4),
        (7, 700.5, 10),
    ]


def test_the_batch_of_the_name_is_checked_against_the_rates(tmp_path: Path) -> None:
    right = one(tmp_path, BS16, "perf_vision_batchsize_16_device_1.txt")
    assert (right.batch, right.facts["device_id"], right.warnings) == (16, 1, [])
    wrong = one(tmp_path, BS16, "perf_vision_batchsize_8_device_0_bs8.txt")
    assert wrong.batch == 16
    assert any("batch 8" in w and "256.689" in w and "16.0426" in w for w in wrong.warnings)


def test_the_name_is_a_hint_where_the_rates_are_missing(tmp_path: Path) -> None:
    run = one(
        tmp_path, "\n".join(BS16.splitlines()[:4]) + "\n", "perf_vision_batchsize_32_device_0.txt"
    )
    assert (run.batch, run.batch_source) == (32, "file name (a hint)")


@pytest.mark.parametrize(
    ("infer", "post", "samples", "batches"),
    [
        (95.0294, 11.8803, 50000, [8]),
        (170.469, 5.32876, 50000, [32]),
        (
            14.8889,
            1.0,
            134,
            [15, 16],
        ),  # N = 134: 134 / ceil(134 / 16) = 14.9, which 15 explains as well
        (7.5, 1.0, 50000, []),
        (1.0, 1.0, None, [1]),
    ],
)
def test_batch_from_rates(
    infer: float, post: float, samples: float | None, batches: list[int]
) -> None:
    assert _batches_for(infer / post, samples) == batches


@pytest.mark.parametrize("batch", [1, 4, 8, 16, 32, 64])
@pytest.mark.parametrize("samples", [134, 3368, 5000, 50000])
def test_batch_from_the_formula_of_the_tool(batch: int, samples: int) -> None:
    assert batch in _batches_for(samples / -(-samples // batch), samples)


@pytest.mark.parametrize(
    ("old", "new", "needles"),
    [
        ("latency: 195592", "latency: 195593.9", ("rate x time", "255.635")),
        ("moduleLatency: 3.68776", "moduleLatency: 4.68776", ("[data read]", "271.167", "4.68776")),
    ],
)
def test_figures_that_contradict_each_other_are_reported(
    tmp_path: Path, old: str, new: str, needles: tuple[str, ...]
) -> None:
    text = BS16.replace(old, new)
    if "195593.9" in new:  # few samples, so that six digits tell: 76 of them, then 76.4
        text = text.replace(
            "throughputRate: 255.635, latency: 195593.9", "throughputRate: 255.635, latency: 298.9"
        )
    assert any(all(n in w for n in needles) for w in one(tmp_path, text).warnings)


def test_our_own_file_is_never_read_as_an_npus(tmp_path: Path) -> None:
    run = one(
        tmp_path,
        "# PortProof 0.1.0 boundary=end_to_end\n[e2e] throughputRate: 812.5, latency: 800\n",
    )
    assert (run.family, run.tool_version, run.status) == ("portproof", "0.1.0", "ok")
    assert {f.boundary for f in run.figures if f.name == "throughput"} == {"end_to_end"}


@pytest.mark.parametrize(
    "prose",
    [
        "Interface throughputRate: 247.898，247.898x4=991.592既是batch1 310单卡吞吐率\n",
        "batch32 310单卡吞吐率：1375.46x4=5501.84fps\n",
        "the [post] section was empty\n",
        "# PortProof 0.1.0 boundary=call\n",
    ],
)
def test_prose_gives_no_figure(tmp_path: Path, prose: str) -> None:
    path = tmp_path / "prose.txt"
    path.write_text(prose, encoding="utf-8")
    with pytest.raises(InputError, match="holds no run"):
        read(path)


def test_real_samples(shared: Path) -> None:
    rates = {
        "01": 2.00815,
        "03": 80.3537,
        "05": 144.766,
        "09": 253.855,
        "11": 101.129,
        "13": 122.054,
        "15": 162.018,
        "17": 165.945,
        "19": 137.422,
        "21": 392.072,
        "23": 1.23284,
    }
    for number, rate in rates.items():
        (run,) = read(shared / "samples" / "logs" / f"perf_vision_{number}.log")
        figure = run.figure("throughput", boundary="device")
        assert figure is not None and figure.value == rate
    (cut,) = read(shared / "samples/logs/perf_vision_07.log")
    assert cut.status == "incomplete" and cut.figure("throughput", boundary="device") is None
