"""Ports of several models: the plan, the sum of times, and one of them really run."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from portproof.core.errors import InputError
from portproof.measurement import Measurement, Performance, Ratio
from portproof.rundir.examples import example_card, read_example
from portproof.rundir.layout import RunDir
from portproof.rundir.options import card_settings
from portproof.rundir.parts import several
from portproof.rundir.parts.sums import PartTime, sums
from portproof.rundir.plan import steps
from portproof.rundir.settings import Settings

ROOT = Path(__file__).parents[4]


def settings_of(name: str, **changed: object) -> Settings:
    example, card = read_example(name), str(example_card(name))
    common = {"targets": ("cpu",), "model": card, "weights": "weights", "images": example.images}
    common |= {"labels": example.labels, "demonstration": True, "example": name, "batches": (1, 4)}
    return Settings(**common | card_settings(card) | common | changed)


@pytest.mark.parametrize("targets", [("cpu",), ("310p",), ("t4",), ("cpu", "cpu_fp16", "310p")])
@pytest.mark.parametrize("name", ["dates", "reader"])
def test_every_step_reads_what_an_earlier_one_made(
    name: str, targets: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("portproof.rundir.plan.sample_size", lambda prep: (64, 64))
    run = RunDir(tmp_path, settings_of(name, targets=targets))
    plan = list(steps(run))
    assert len({step.name for step in plan}) == len(plan)  # each has a log of its own
    made: set[str] = set()
    for step in plan:
        given = [read for read in step.reads if not read.endswith(".csv")]
        beside = {made_.replace("result.json", "outcomes.npz") for made_ in made}
        lost = [r for r in given if "data" not in r.split("/") and not r.startswith("weights/")]
        assert set(lost) <= made | beside, step
        made |= set(step.makes)
    assert {"eager/bs4/result", *(f"{s.label}/bs4/result" for s in run.compared)} <= made


@pytest.mark.parametrize("name", ["dates", "reader"])
def test_what_needs_torch_comes_before_what_needs_the_device(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A laptop with torch begins the port, and the device's host without torch ends it."""
    monkeypatch.setattr("portproof.rundir.plan.sample_size", lambda prep: (64, 64))
    plan = list(steps(RunDir(tmp_path, settings_of(name, targets=("310p",)))))
    first = next(at for at, step in enumerate(plan) if step.needs)
    assert "eager/bs4/result.json" in {name for step in plan[:first] for name in step.makes}
    assert not [step.name for step in plan[first:] if "torch" in step.imports]


def test_the_parts_of_a_device_run_on_what_the_device_answered(tmp_path: Path) -> None:
    run = RunDir(tmp_path, settings_of("dates", targets=("310p",)))
    by_name = {step.name: step for step in steps(run)}
    fed = by_name["decoder infer fed 310p"]
    assert fed.words[0] == "parts/decoder/310p/bs4/model_bs4.om"
    assert fed.words[2] == "parts/decoder/310p/fed/prep.info"
    assert fed.words[-1] == "symbols"
    feed = by_name["decoder feed 310p"].words
    assert "encoder=parts/encoder/prep.info=parts/encoder/310p/bs4/result" in feed


def test_a_loop_needs_the_model_in_this_process(tmp_path: Path) -> None:
    run = RunDir(tmp_path, settings_of("dates", targets=("310p",), runner="ais_bench"))
    with pytest.raises(InputError, match="the part 'decoder' runs in a loop"):
        several.check(run)
    several.check(RunDir(tmp_path, settings_of("reader", targets=("310p",), runner="ais_bench")))


def timed(port_s: float, eager_s: float, low: float, high: float) -> Performance:
    measured = [
        Measurement(
            label=label, model="m", backend="b", batch=4, boundary="call", precision="fp32",
            clients=1, inputs="random", blocks=[[seconds] * 3],
        )
        for label, seconds in (("ort", port_s), ("eager", eager_s))
    ]  # fmt: skip
    ratio = Ratio(
        a="ort", b="eager", batch=4, boundary="call", ratio=eager_s / port_s, ci95=(low, high)
    )
    return Performance(measurements=measured, ratios=[ratio], status="ok", reasons=[])


def test_the_sum_is_of_what_a_sample_needs(tmp_path: Path) -> None:
    run = RunDir(tmp_path, settings_of("dates"))
    times = [
        PartTime("encoder", 1.0, timed(4e-3, 8e-3, 1.5, 2.5)),
        PartTime("decoder", 10.0, timed(8e-3, 4e-3, 0.4, 0.6)),
    ]
    (found,) = sums(run, run.compared[0], times)
    assert found.seconds == pytest.approx((1e-3, 20e-3))  # calls x seconds of a call / batch
    assert found.reference == pytest.approx((2e-3, 10e-3))
    assert found.ratio == pytest.approx(
        (12e-3 / 21e-3, 12e-3 / (2e-3 / 1.5 + 10e-3 / 0.4), 12e-3 / (2e-3 / 2.5 + 10e-3 / 0.6))
    )
    assert sums(run, run.compared[0], [*times, PartTime("third", 1.0, None)]) == []


def portproof(*words: object, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    """One thread: with more, a loaded machine makes a bench of microseconds take minutes."""
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-m", "portproof", *map(str, words)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=600,
        check=False,
        cwd=cwd,
    )


@pytest.fixture(scope="module")
def ported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run directory of the encoder with its decoder."""
    run = tmp_path_factory.mktemp("several") / "run"
    words = ("--example", "dates", "--batch", "16", "--starts", "1", "--run-dir", run)
    done = portproof("port", *words)
    assert done.returncode == 0, done.stdout + done.stderr
    return run


@pytest.mark.slow
def test_the_whole_is_judged_and_the_parts_are_named(ported: Path) -> None:
    compared = json.loads((ported / "compare.json").read_text())
    assert (compared["task"], compared["verdict"]) == ("text_recognition", "PASS")
    assert compared["reference_value"] > 0.95
    report = (ported / "report/README.md").read_text()
    assert "encoder PASS; decoder PASS" in report
    assert "| ort | decoder | PASS | 10 | 16 |" in report
    assert "| ort | sum | - |" in report
    assert portproof("verify", ported).returncode == 0
    assert portproof("modelzoo", ported).returncode == 0
    why = portproof("why", ported, "--json")
    assert why.returncode == 0, why.stderr
    assert all(answer["state"] == "up to date" for answer in json.loads(why.stdout))


@pytest.mark.slow
def test_a_fault_of_a_part_is_found_at_the_end_and_in_that_part(
    ported: Path, tmp_path: Path
) -> None:
    """The decoder's file answers other scores, so the port fails, and the encoder is innocent."""
    import onnx
    from onnx import numpy_helper

    run = tmp_path / "run"
    shutil.copytree(ported, run)
    path = run / "parts/decoder/model.onnx"
    model = onnx.load(path)
    weight = max(model.graph.initializer, key=lambda w: len(w.raw_data))
    values = numpy_helper.to_array(weight)
    weight.CopyFrom(numpy_helper.from_array(np.ascontiguousarray(values[::-1]), weight.name))
    sound = (run / "sound.onnx", path.read_bytes())
    sound[0].write_bytes(sound[1])
    onnx.save(model, path)
    info = run / "parts/decoder/ort/fed/prep.info"
    loop = f"{ROOT}/examples/dates/greedy.py:greedy"
    done = portproof(
        *("infer", path, "--info", info, "--out", run / "looped", "--backend", "ort"),
        *("--batch", 16, "--loop", loop, "--loop-makes", "symbols"),
        cwd=run,
    )
    assert done.returncode == 0, done.stderr
    parts = ("parts/encoder/prep.info=parts/encoder/ort/bs16/result", f"{info}=looped")
    named = [f"{n}={p}" for n, p in zip(("encoder", "decoder"), parts, strict=True)]
    card = example_card("dates")
    done = portproof("feed", card, "--parts", *named, "--out", "whole", cwd=run)
    assert done.returncode == 0, done.stderr
    truth = run / "data/val.txt"
    found = portproof("compare", "eager/bs16/result", "whole", truth, "--model", card, cwd=run)
    assert found.returncode == 1, found.stdout + found.stderr
    alone = portproof(
        *("infer", path, "--info", "parts/decoder/prep.info", "--out", "alone", "--batch", 16),
        cwd=run,
    )
    assert alone.returncode == 0, alone.stderr
    found = portproof(
        *("compare", "parts/decoder/eager/bs16/result", "alone", "--outputs", "--precision"),
        *("fp32", "--model-file", sound[0], "--info", "parts/decoder/prep.info"),
        cwd=run,
    )
    assert found.returncode == 1, found.stdout + found.stderr
