"""A run against a baseline: nothing called on equal runs; slower runs and lost samples found."""

from __future__ import annotations

import json
import shutil
import xml.etree.ElementTree as ET
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from portproof.core.errors import InputError
from portproof.infer.timing.speed_ratio import two_run_ratio
from portproof.measurement import Measurement, read_performance, write_performance
from portproof.outcome import read_outcomes, write_outcomes
from portproof.proof.lock import locked_artefact
from portproof.reports.over_time import against
from portproof.reports.over_time.against import judge_against, verdict_since
from portproof.reports.over_time.against_record import write_judged
from portproof.reports.over_time.freeze import freeze, read_baseline
from portproof.reports.over_time.history import as_markdown, history_of
from portproof.reports.over_time.repeated_times import StepTimes
from portproof.verdict import Verdict

Stage = Callable[..., Any]


@pytest.fixture
def run_dir(ported: Path, tmp_path: Path) -> Path:
    """A copy of a finished run, whose clock was stable."""
    shutil.copytree(ported.parent, tmp_path / "port")
    run = tmp_path / "port" / ported.name
    retime(run, 1.0)
    return run


@pytest.fixture
def baseline(run_dir: Path, tmp_path: Path) -> Path:
    freeze(run_dir, tmp_path / "baseline")
    return tmp_path / "baseline"


def retime(run: Path, factor: float, seed: int = 0) -> None:
    """Times of a stable clock: each start has an offset of its own, and the port's are ``factor``
    times as long.
    """
    performance = read_performance(run / "ort/perf.json")
    random = np.random.default_rng(seed)
    for m in performance.measurements:
        m.blocks = _blocks(m, 0.001 * (factor if m.label == "ort" else 1.0), random)
        m.starts = [1] * 10
    performance.status, performance.reasons = "ok", []
    write_performance(run / "ort/perf.json", performance)


def _blocks(m: Measurement, seconds: float, random: Any) -> list[list[float]]:
    starts = seconds * m.batch * random.lognormal(0, 0.004, 10)
    return [(start * random.lognormal(0, 0.02, 30)).tolist() for start in starts]


def gates_of(run: Path, folder: Path) -> dict[str, tuple[Verdict | None, str]]:
    judged = judge_against(run, folder)
    return {g.name: (g.verdict, g.reason) for g in judged.gates}


def test_the_steps_are_timed_on_the_samples_of_the_run(run_dir: Path, baseline: Path) -> None:
    result = next(run_dir.glob("ort/*/result"))
    samples = len({p.name.rpartition("_")[0] for p in result.glob("*_1.bin")})
    steps = {s.name: s.samples for s in read_baseline(baseline)[1].steps}
    assert steps == {"preprocessing": min(samples, 64), "post-processing": samples}


@pytest.fixture
def unhurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """The steps take what they took: these tests run on loaded machines."""
    monkeypatch.setattr(against, "time_steps", lambda data: [])


@pytest.mark.usefixtures("unhurried")
def test_equal_runs_are_not_called(run_dir: Path, baseline: Path) -> None:
    for seed in range(1, 21):
        retime(run_dir, 1.0, seed)
        judged = judge_against(run_dir, baseline)
        assert judged.word == "PASS", judged.text
        assert "every sample has the same outcome" in judged.text
    assert "no version changed" in judged.line


@pytest.mark.usefixtures("unhurried")
def test_three_percent_slower_is_found(run_dir: Path, baseline: Path) -> None:
    for seed in range(1, 21):
        retime(run_dir, 1.03, seed)
        verdict, reason = gates_of(run_dir, baseline)["speed"]
        assert verdict is Verdict.FAIL, reason
        assert "over eager in both" in reason


@pytest.mark.usefixtures("unhurried")
def test_the_reference_is_the_control(run_dir: Path, baseline: Path) -> None:
    """A host that is a tenth slower today is slower in both."""
    performance = read_performance(run_dir / "ort/perf.json")
    for m in performance.measurements:
        m.blocks = [[1.1 * s for s in block] for block in m.blocks]
    write_performance(run_dir / "ort/perf.json", performance)
    assert gates_of(run_dir, baseline)["speed"][0] is Verdict.PASS
    performance.measurements = [m for m in performance.measurements if m.label != "eager"]
    write_performance(run_dir / "ort/perf.json", performance)
    assert gates_of(run_dir, baseline)["speed"][0] is Verdict.FAIL


@pytest.mark.usefixtures("unhurried")
def test_lost_samples_are_found_however_wide_the_margin(run_dir: Path, baseline: Path) -> None:
    path = run_dir / "ort/bs2/outcomes.csv"
    found = read_outcomes(path)
    broken = np.flatnonzero(found.right)[:7]
    found.rank[broken] = 2
    found.predicted[broken] = (found.label[broken] + 1) % 3
    found.margin[broken] = -0.1
    write_outcomes(path, found)
    verdict, reason = gates_of(run_dir, baseline)["accuracy"]
    assert verdict is Verdict.FAIL  # the margin of this port is 20 points
    assert "7 samples broken and 0 mended" in reason


@pytest.mark.usefixtures("unhurried")
def test_what_says_nothing_about_speed(run_dir: Path, baseline: Path) -> None:
    retime(run_dir, 1.2)
    performance = read_performance(run_dir / "ort/perf.json")
    performance.status, performance.reasons = "unstable", ["ort, batch 1: others worked"]
    write_performance(run_dir / "ort/perf.json", performance)
    assert gates_of(run_dir, baseline)["speed"][0] is Verdict.UNSTABLE
    performance.environment["cpus"] = "512"
    write_performance(run_dir / "ort/perf.json", performance)
    verdict, reason = gates_of(run_dir, baseline)["speed"]
    assert verdict is Verdict.UNDECIDED
    assert "another host (cpus)" in reason


@pytest.mark.usefixtures("unhurried")
def test_changed_versions_junit_and_the_line(run_dir: Path, baseline: Path) -> None:
    retime(run_dir, 1.1)
    sidecar = run_dir / "model.onnx.proof.json"
    proof = json.loads(sidecar.read_text())
    proof["versions"]["torch"] = "9.9"
    sidecar.write_text(json.dumps(proof))
    judged = judge_against(run_dir, baseline)
    assert [c.name for c in judged.changes] == ["torch"]
    assert judged.changes[0].text.endswith(" and 9.9")
    assert judged.line.startswith("FAIL colours against the baseline of 20")
    assert "\n" not in judged.line
    write_judged(judged, run_dir)
    suite = ET.fromstring((run_dir / "against/junit.xml").read_text())
    assert suite.attrib["failures"] == "1"
    assert (
        json.loads((run_dir / "against/against.json").read_text())["gates"][1]["verdict"] == "FAIL"
    )


def test_steps_are_compared_beside_a_control() -> None:
    random = np.random.default_rng(2)

    def timed(factor: float, host: float) -> StepTimes:
        control = host * random.lognormal(0, 0.01, 9)
        return StepTimes("preprocessing", 64, (factor * control).tolist(), control.tolist())

    before = timed(2.0, 0.1)
    assert against._step_gate(before, timed(2.0, 0.3)).verdict is Verdict.PASS
    assert against._step_gate(before, timed(2.4, 0.1)).verdict is Verdict.FAIL


def test_the_command_and_the_port_judge_alike(run_dir: Path, baseline: Path, stage: Stage) -> None:
    done = stage("reports/against.py", run_dir, baseline, "--line")
    assert done.returncode in (0, 4), done.stderr
    assert done.stdout.count("\n") == 1
    assert "preprocessing" in (run_dir / "against/against.json").read_text()
    assert "post-processing" in (run_dir / "against/against.json").read_text()


@pytest.mark.usefixtures("unhurried")
def test_what_is_no_baseline_of_this_port(run_dir: Path, baseline: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is there already: a baseline is not overwritten"):
        freeze(run_dir, baseline)
    with pytest.raises(InputError, match="is no baseline"):
        read_baseline(run_dir)
    settings = baseline / "port.yaml"
    settings.write_text(settings.read_text().replace("margin_pp: 20", "margin_pp: 30"))
    with pytest.raises(InputError, match="is not what was frozen"):
        judge_against(run_dir, baseline)
    (run_dir / "compare.json").unlink()
    with pytest.raises(InputError, match="holds no comparison"):
        freeze(run_dir, tmp_path / "none")
    assert not (tmp_path / "none").exists()


@pytest.mark.usefixtures("unhurried")
def test_runs_of_other_batches_are_refused(run_dir: Path, baseline: Path) -> None:
    settings = run_dir / "port.yaml"
    text = settings.read_text()
    changed = text.replace("batches: [1, 2]", "batches: [1, 4]")
    assert changed != text
    settings.write_text(changed)
    with pytest.raises(InputError, match="the baseline has the batches"):
        judge_against(run_dir, baseline)


def test_two_run_intervals_hold_the_truth_as_often_as_they_claim() -> None:
    random = np.random.default_rng(4)
    held = 0
    for _ in range(2000):
        before, now = random.lognormal(0, 0.05, 10), random.lognormal(np.log(1.1), 0.05, 9)
        ratio, (low, high) = two_run_ratio(before.tolist(), now.tolist())
        assert low <= ratio <= high
        held += low <= 1 / 1.1 <= high
    assert 0.94 <= held / 2000 <= 0.98
    test = stats.mannwhitneyu(before, now, method="exact").pvalue < 0.05
    assert test == (not low <= 1 <= high)
    with pytest.raises(InputError, match="3 and 3 starts are too few"):
        two_run_ratio([1, 2, 3], [1, 2, 3])


def test_the_verdict_of_an_interval() -> None:
    assert verdict_since(0.95, 0.985, 0.01, 0.03) is Verdict.FAIL
    assert verdict_since(0.95, 0.995, 0.01, 0.03) is Verdict.UNDECIDED
    assert verdict_since(0.98, 1.01, 0.01, 0.03) is Verdict.PASS


def test_history_goes_from_the_oldest_to_the_newest(
    run_dir: Path, baseline: Path, tmp_path: Path, stage: Stage
) -> None:
    for path in run_dir.rglob("*.proof.json"):
        proof = json.loads(path.read_text())
        proof["started"] = proof["started"].replace("20", "21", 1)
        proof["versions"] = {
            k: "7.7" if k == "onnxruntime" else v for k, v in proof["versions"].items()
        }
        path.write_text(json.dumps(proof))
    history = history_of([run_dir, baseline])
    assert [e.folder for e in history.entries] == [str(baseline), str(run_dir)]
    assert history.entries[0].changes == []
    assert [c for c in history.entries[1].changes if c.startswith("onnxruntime")]
    assert as_markdown(history).count("\n| 2") == 2
    done = stage("reports/history.py", run_dir, baseline, "--out", tmp_path / "h")
    assert done.returncode == 0, done.stderr
    for name in ("history.json", "history.md", "accuracy.svg", "speed.svg"):
        assert (tmp_path / "h" / name).stat().st_size
    empty = tmp_path / "empty"
    empty.mkdir()
    assert stage("reports/history.py", empty).returncode == 2


def test_of_two_that_freeze_at_once_the_second_is_told_who_is_first(
    run_dir: Path, tmp_path: Path
) -> None:
    with (
        locked_artefact(tmp_path / "frozen", "--out"),
        pytest.raises(InputError, match=r"'.*frozen' is in use: by process .* another --out"),
    ):
        freeze(run_dir, tmp_path / "frozen")
    assert not [path for path in tmp_path.iterdir() if "frozen" in path.name]


@pytest.mark.usefixtures("baseline")
def test_a_baseline_that_was_killed_at_its_end_leaves_no_lock(
    run_dir: Path, tmp_path: Path
) -> None:
    (tmp_path / ".baseline.lock").write_text('{"host": "elsewhere", "pid": 4194303}')
    with pytest.raises(InputError, match="is there already"):
        freeze(run_dir, tmp_path / "baseline")
    assert not (tmp_path / ".baseline.lock").exists()
