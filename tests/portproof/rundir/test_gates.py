"""Which gates decide, and what a run directory without files is worth."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from portproof.measurement import (
    WIDENED,
    Answers,
    Measurement,
    Performance,
    Ratio,
    read_performance,
    write_performance,
    wrong_answers,
)
from portproof.rundir.gates import (
    Gate,
    Judgement,
    _doubts,
    best_measured,
    judge,
    speed_gate,
    speed_verdict,
)
from portproof.rundir.layout import RunDir
from portproof.rundir.plan import table_columns
from portproof.rundir.settings import Settings
from portproof.verdict import Verdict

COMPARED = {
    "verdict": "PASS",
    "reference_accuracy": 0.98,
    "port_accuracy": 0.98,
    "difference_pp": 0.0,
    "samples": 700,
    "gate_bound_pp": 0.4,
    "margin_pp": 1.0,
}


def settings(gate: str) -> Settings:
    return Settings(
        targets=("cpu",), model="m", weights="w", images="i", labels="l", batches=(1,), gate=gate
    )  # type: ignore[arg-type]


def measured(folder: Path, ci95: tuple[float, float], status: str = "ok") -> None:
    one = {
        "model": "m",
        "batch": 1,
        "boundary": "call",
        "precision": "fp32",
        "clients": 1,
        "inputs": "random",
        "blocks": [[0.01] * 20],
        "starts": [1],
    }
    found = [Measurement(label=name, backend=name, **one) for name in ("ort", "eager")]  # type: ignore[arg-type]
    ratio = Ratio(a="ort", b="eager", batch=1, boundary="call", ratio=sum(ci95) / 2, ci95=ci95)
    reasons = ["ort, batch 1, call: drift"] if status != "ok" else []
    write_performance(
        folder / "ort" / "perf.json",
        Performance(status=status, reasons=reasons, measurements=found, ratios=[ratio]),
    )  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("gate", "verdict", "ci95", "status", "code"),
    [
        ("accuracy", "PASS", (0.4, 0.6), "unstable", 0),
        ("accuracy", "FAIL", (1.4, 1.6), "ok", 1),
        ("accuracy", "UNDECIDED", (1.4, 1.6), "ok", 4),
        ("speed", "FAIL", (1.4, 1.6), "ok", 0),
        ("speed", "PASS", (0.4, 0.6), "ok", 1),
        ("speed", "PASS", (0.9, 1.1), "ok", 4),
        ("speed", "PASS", (1.4, 1.6), "unstable", 4),
        ("all", "PASS", (1.4, 1.6), "ok", 0),
        ("all", "FAIL", (0.9, 1.1), "ok", 1),
        ("all", "UNDECIDED", (0.4, 0.6), "ok", 1),
    ],
)
def test_the_worst_of_the_deciding_gates(
    tmp_path: Path, gate: str, verdict: str, ci95: tuple[float, float], status: str, code: int
) -> None:
    (tmp_path / "compare.json").write_text(json.dumps(COMPARED | {"verdict": verdict}))
    measured(tmp_path, ci95, status)
    assert judge(RunDir(tmp_path, settings(gate))).exit_code == code


@pytest.mark.parametrize(
    ("about", "verdict"), [("ort_int8", "PASS"), ("ort", None), ("eager", None)]
)
def test_what_is_said_of_another_column_of_the_alternation_is_not_held_against_this_one(
    tmp_path: Path, about: str, verdict: str | None
) -> None:
    measured(tmp_path, (1.4, 1.6))
    path = tmp_path / "ort/perf.json"
    performance = read_performance(path)
    other = msgspec.structs.replace(performance.measurements[0], label="ort_int8")
    performance.measurements.append(other)
    sentence = f"{about}, batch 1: so it is"
    performance.wrong = [sentence]
    write_performance(path, performance)
    side = RunDir(tmp_path, settings("speed")).compared[0]
    run = RunDir(tmp_path, settings("speed"))
    assert speed_gate(run, side).verdict == (verdict or "FAIL")
    performance.wrong, performance.reasons, performance.status = [], [sentence], "unstable"
    write_performance(path, performance)
    assert speed_gate(run, side).verdict == (verdict or "UNSTABLE")


def test_a_failed_tool_is_worse_than_any_verdict(tmp_path: Path) -> None:
    (tmp_path / "compare.json").write_text(json.dumps(COMPARED | {"verdict": "FAIL"}))
    measured(tmp_path, (1.4, 1.6))
    assert judge(RunDir(tmp_path, settings("all")), failed=True).exit_code == 3


def test_what_is_not_there_is_not_judged(tmp_path: Path) -> None:
    judged = judge(RunDir(tmp_path, settings("accuracy")))
    assert [gate.verdict for gate in judged.gates] == [None, None]
    assert judged.exit_code == 3
    assert judged.word == "NOT FINISHED"


@pytest.mark.parametrize(
    ("target", "status", "simulated", "verdict", "said"),
    [
        (
            "310p",
            "ok",
            False,
            "UNDECIDED",
            (
                "best 200.0 images/s a chip at batch 1; a device is judged against the logs of"
                " others: portproof table 310p=310p/perf.json OTHER=LOGS --policy modelzoo-310p"
            ),
        ),
        ("t4", "ok", False, "UNDECIDED", "portproof table t4=t4/perf.json OTHER=LOGS"),
        ("310", "unstable", False, "UNSTABLE", "310, batch 1, device: drift"),
        ("310", "ok", True, "UNDECIDED", "simulated: nothing was measured"),
    ],
)
def test_a_device_that_was_timed_alone_is_not_judged_by_its_hosts_processor(
    tmp_path: Path, target: str, status: str, simulated: bool, verdict: str, said: str
) -> None:
    (tmp_path / "compare.json").write_text(json.dumps(COMPARED))
    kinds = {"call": 0.01, "device": 0.005}
    found = [
        Measurement(
            label=target,
            backend="om",
            model="m",
            batch=1,
            boundary=kind,
            precision="fp16",
            clients=1,
            inputs="random",
            blocks=[[seconds] * 20],
        )
        for kind, seconds in kinds.items()
    ]  # type: ignore[arg-type]
    reasons = [f"{target}, batch 1, device: drift"] if status != "ok" else []
    write_performance(
        tmp_path / target / "perf.json",
        Performance(status=status, reasons=reasons, measurements=found, simulated=simulated),
    )  # type: ignore[arg-type]
    judged = judge(
        RunDir(
            tmp_path,
            Settings(
                targets=(target,),
                model="m",
                weights="w",
                images="i",
                labels="l",
                batches=(1,),
                gate="speed",
            ),
        )
    )
    gate = judged.gates[1]
    assert (str(gate.verdict), said in gate.reason) == (verdict, True), gate.reason
    assert judged.exit_code == 4


@pytest.mark.parametrize("gate", ["accuracy", "speed", "all"])
@pytest.mark.parametrize("who", ["ort", "eager"])
def test_wrong_answers_have_no_speed(tmp_path: Path, gate: str, who: str) -> None:
    (tmp_path / "compare.json").write_text(json.dumps(COMPARED))
    measured(tmp_path, (1.4, 1.6))
    performance = read_performance(tmp_path / "ort/perf.json")
    for measurement in performance.measurements:
        measurement.answers = Answers(ok=measurement.label != who, reason="row 2 is random")
    performance.wrong, performance.ratios = wrong_answers(performance.measurements), []
    write_performance(tmp_path / "ort/perf.json", performance)
    judged = judge(RunDir(tmp_path, settings(gate)))
    speed = judged.gates[1]
    assert speed.verdict is Verdict.FAIL
    assert speed.reason == f"wrong answers have no speed: {who}, batch 1: row 2 is random"
    assert judged.exit_code == (0 if gate == "accuracy" else 1)
    assert "images/s" not in judged.text


def test_the_best_batch_is_one_that_answers_right(tmp_path: Path) -> None:
    right = {"model": "m", "backend": "ort", "boundary": "call", "precision": "fp32"}
    found = [
        Measurement(
            label="ort", batch=batch, clients=1, inputs="random", blocks=[[seconds]], **right
        )  # type: ignore[arg-type]
        for batch, seconds in ((1, 0.01), (32, 0.02))
    ]
    assert best_measured(Performance(measurements=found), "ort") == (32, 1600.0)
    others = [
        msgspec.structs.replace(found[0], blocks=[[1e-6]], **other)
        for other in ({"label": "eager"}, {"boundary": "device"})
    ]
    assert best_measured(Performance(measurements=[*found, *others]), "ort") == (32, 1600.0)
    found[1].answers = Answers(ok=False, reason="NaN")
    assert best_measured(Performance(measurements=found), "ort") == (1, 100.0)


def test_the_ratio_is_that_of_the_best_batch_against_the_reference(tmp_path: Path) -> None:
    measured(tmp_path, (1.4, 1.6))
    performance = read_performance(tmp_path / "ort/perf.json")
    right = performance.ratios[0]
    others = [{"batch": 32}, {"b": "other"}, {"boundary": "device"}]
    performance.ratios = [
        *(msgspec.structs.replace(right, ci95=(0.1, 0.2), ratio=0.15, **other) for other in others),
        right,
    ]
    write_performance(tmp_path / "ort/perf.json", performance)
    run = RunDir(tmp_path, settings("speed"))
    gate = speed_gate(run, run.compared[0])
    assert (gate.verdict, "1.50 (1.40 to 1.60) times" in gate.reason) == (Verdict.PASS, True)


def test_without_a_ratio_to_the_reference_speed_is_not_judged(tmp_path: Path) -> None:
    measured(tmp_path, (1.4, 1.6))
    performance = read_performance(tmp_path / "ort/perf.json")
    performance.ratios = []
    write_performance(tmp_path / "ort/perf.json", performance)
    run = RunDir(tmp_path, settings("speed"))
    gate = speed_gate(run, run.compared[0])
    assert (gate.verdict, "no ratio to the reference" in gate.reason) == (None, True)


@pytest.mark.parametrize("who", ["ort", "eager", "neither"])
def test_a_rate_of_widened_float16_is_said_to_be_one(tmp_path: Path, who: str) -> None:
    measured(tmp_path, (1.4, 1.6))
    performance = read_performance(tmp_path / "ort/perf.json")
    for measurement in performance.measurements:
        measurement.provider = WIDENED if measurement.label == who else "CPU"
    performance.measurements += [
        msgspec.structs.replace(m, provider="CPU", batch=2, blocks=[[0.1] * 20])
        for m in performance.measurements
    ]
    write_performance(tmp_path / "ort/perf.json", performance)
    run = RunDir(tmp_path, settings("speed"))
    assert (f"({WIDENED})" in speed_gate(run, run.compared[0]).reason) is (who == "ort")


def test_a_device_that_was_not_timed_has_not_finished(tmp_path: Path) -> None:
    judged = judge(
        RunDir(
            tmp_path,
            Settings(
                targets=("310p",),
                model="m",
                weights="w",
                images="i",
                labels="l",
                batches=(1,),
                gate="speed",
            ),
        )
    )
    assert (judged.gates[1].verdict, judged.exit_code) == (None, 3)


def test_a_tuned_model_is_timed_under_a_label_of_its_own(tmp_path: Path) -> None:
    tuned = Settings(
        targets=("310", "cpu"),
        model="m",
        weights="w",
        images="i",
        labels="l",
        batches=(1,),
        tune=True,
        devices=(0, 1),
    )
    run = RunDir(tmp_path, tuned)
    assert [side.label for side in run.timed] == ["310", "310_aoe", "ort"]
    assert [side.label for side in run.compared] == ["310", "ort"]
    assert table_columns(run) == [
        "310=310/perf.json",
        "310 card=310/card.json",
        "310_aoe=310_aoe/perf.json",
        "310_aoe card=310_aoe/card.json",
        "ort=ort/perf.json",
        "eager=ort/perf.json",
    ]


@pytest.mark.parametrize(
    ("ci95", "verdict"),
    [
        ((1.0, 1.2), Verdict.PASS),
        ((0.999999, 1.2), Verdict.UNDECIDED),
        ((0.8, 1.0), Verdict.UNDECIDED),
        ((0.8, 0.999999), Verdict.FAIL),
        ((1.0, 1.0), Verdict.PASS),
        (None, Verdict.UNDECIDED),
    ],
)
def test_the_speed_gate_at_its_boundary(ci95: tuple[float, float] | None, verdict: Verdict) -> None:
    """At least as fast is a PASS; slower is a FAIL only where all of the interval is under 1."""
    assert speed_verdict(ci95) is verdict


def test_the_text_has_a_column_for_the_longest_label() -> None:
    gates = [Gate("310p_aoe", "speed", Verdict.PASS, "fast"), Gate("cpu", "accuracy", None, "none")]
    assert Judgement(gates, 0).text.splitlines() == [
        "310p_aoe speed     PASS       fast",
        "cpu      accuracy  not judged none",
        "verdict: PASS",
    ]
    short = Judgement([Gate("cpu", "speed", Verdict.PASS, "fast")], 0)
    assert short.text.splitlines()[0] == "cpu    speed     PASS       fast"


@pytest.mark.parametrize(
    ("reasons", "said"),
    [
        (["drift"], "drift"),
        (["drift", "spread"], "drift (and 1 more, in p.json)"),
        (["drift", "spread", "load"], "drift (and 2 more, in p.json)"),
    ],
)
def test_one_doubt_is_said_and_the_others_are_counted(reasons: list[str], said: str) -> None:
    assert _doubts(reasons, "p.json") == said
