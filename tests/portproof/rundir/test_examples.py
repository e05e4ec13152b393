"""Ports of other tasks than classification: the demonstrations, from data made here to a verdict."""

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
from portproof.proof.lineage import read_stages
from portproof.reports.evidence.rechecks import compare_task, evaluate
from portproof.rundir.examples import example_card, example_names, read_example
from portproof.rundir.layout import RunDir
from portproof.rundir.options import card_settings
from portproof.rundir.plan import steps, task_of
from portproof.rundir.settings import Settings
from portproof.rundir.tasks import by_metric, classification

ROOT = Path(__file__).parents[3]
CARD = example_card("text_classifier")


def portproof(*words: object) -> subprocess.CompletedProcess[str]:
    """One thread: with more, a loaded machine makes a bench of microseconds take minutes."""
    environment = os.environ | {"PYTHONPATH": str(ROOT / "src"), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        [sys.executable, "-m", "portproof", *map(str, words)],
        capture_output=True,
        text=True,
        env=environment,
        timeout=600,
        check=False,
    )


@pytest.fixture(scope="module")
def ported(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The run directory of the smallest example; it has two inputs and a task of its own."""
    run = tmp_path_factory.mktemp("example") / "run"
    words = ("--example", "text_classifier", "--batch", "1", "--starts", "4")
    done = portproof("port", *words, "--run-dir", run)
    assert done.returncode == 0, done.stdout + done.stderr
    return run


def test_each_example_has_its_card_and_its_data() -> None:
    several, others = ["dates", "reader"], ["detector", "digits", "recogniser", "segmenter"]
    assert example_names() == sorted([*several, *others, "text_classifier"])
    for name in example_names():
        assert example_card(name).is_file()
        assert read_example(name).images.startswith("data/val")


def test_an_unknown_example_lists_those_there_are() -> None:
    with pytest.raises(InputError, match="there are dates, detector, digits"):
        read_example("detektor")


def settings_of(name: str, **changed: object) -> Settings:
    example, card = read_example(name), str(example_card(name))
    common = {"targets": ("cpu",), "model": card, "weights": "w", "images": example.images}
    common |= {"labels": example.labels, "demonstration": True, "example": name}
    return Settings(**common | card_settings(card) | changed)


@pytest.mark.parametrize("name", ["detector", "recogniser", "segmenter", "text_classifier"])
def test_the_plan_judges_by_the_tasks_own_metric(name: str, tmp_path: Path) -> None:
    run = RunDir(tmp_path, settings_of(name))
    assert task_of(run) is by_metric
    commands = {step.name: step for step in by_metric.measure(run, run.compared[0], 1)}
    step = commands["evaluate ort"]
    assert step.words[:4] == ("ort/bs1/result", run.settings.labels, "--model", run.settings.model)
    compared = by_metric.compare(run, run.compared[0])
    assert compared.words[0].endswith(".npz")
    assert "--margin-pp" not in compared.words  # the card's decides


def test_a_margin_that_was_given_goes_before_the_cards(tmp_path: Path) -> None:
    run = RunDir(tmp_path, settings_of("detector", margin_pp=2.5))
    assert by_metric.compare(run, run.compared[0]).words[-4:-2] == ("--margin-pp", "2.5")


def test_a_text_is_encoded_and_not_preprocessed(tmp_path: Path) -> None:
    run = RunDir(tmp_path, settings_of("text_classifier"))
    plan = []
    for step in steps(run):
        plan.append(step.command)
    assert plan.count("encode") == 2  # to train with, and to judge
    assert "preprocess" not in plan
    assert "get_info" not in plan


def test_classification_stays_as_it_is(tmp_path: Path) -> None:
    run = RunDir(tmp_path, settings_of("digits"))
    assert task_of(run) is classification
    assert run.outcomes(run.compared[0], 1) == "ort/bs1/outcomes.csv"


def test_an_output_number_has_no_meaning(tmp_path: Path) -> None:
    run = RunDir(tmp_path, settings_of("detector", output=1))
    with pytest.raises(InputError, match="name the outputs in the card"):
        list(by_metric.begin(run))


@pytest.mark.parametrize(
    ("margin", "given", "sentence"),
    [
        ("margin: 0.1", 1.0, "--margin-pp is in points of a share, and PSNR is in dB"),
        ("", None, "PSNR is in dB and no loss of it is usually allowed"),
        ("margin: 0.1", None, None),
    ],
)
def test_a_margin_that_the_figure_cannot_have_is_refused_at_once(
    tmp_path: Path, margin: str, given: float | None, sentence: str | None
) -> None:
    path = tmp_path / "sharp.yaml"
    path.write_text(
        "name: sharp\nbuilder: model.py:build\ninputs: [{name: i, shape: [4]}]\n"
        f"outputs: [{{name: o}}]\ntask: super_resolution\n{margin}\n"
    )
    settings = settings_of("detector", task="super_resolution", margin_pp=given, model=str(path))
    found = by_metric.begin(RunDir(tmp_path, settings))
    if sentence:
        with pytest.raises(InputError, match=sentence):
            list(found)
    else:
        list(found)


@pytest.mark.slow
def test_the_reports_state_the_tasks_figures(ported: Path) -> None:
    compared = json.loads((ported / "compare.json").read_text())
    assert (compared["task"], compared["verdict"]) == ("text_classification", "PASS")
    assert compared["reference_value"] > 0.7
    for name in ("README.md", "README.zh.md", "report.html"):
        text = (ported / "report" / name).read_text().replace("\\_", "_")
        assert "F1_macro" in text, name
        assert f"{100 * compared['reference_value']:.2f} %" in text, name
        assert "Top1" not in text.replace("TopN", ""), name
    figures = json.loads((ported / "report/report.json").read_text())["figures"]
    assert {"ort/bs1/accuracy", "ort/compare/gate_bound"} <= {f["id"] for f in figures}


@pytest.mark.slow
def test_verify_derives_the_figures_again(ported: Path, tmp_path: Path) -> None:
    clean = portproof("verify", ported)
    assert clean.returncode == 0, clean.stdout
    why = portproof("why", ported, "--json")
    stale = [a for a in json.loads(why.stdout) if a["state"] != "up to date"]
    assert not stale, stale  # folders of results were read as listings
    forged = tmp_path / "forged"
    shutil.copytree(ported, forged)
    for file, old in (("ort/bs1/result.json", "figures"), ("compare.json", "port_value")):
        stated = json.loads((forged / file).read_text())
        if old == "figures":
            stated["figures"][0]["value"] += 0.01
        else:
            stated[old] += 0.01
        (forged / file).write_text(json.dumps(stated))
    stages = {stage.artefact: stage for stage in read_stages(forged)}
    for recheck, artefact in (
        (evaluate.recheck, "ort/bs1/result.json"),
        (compare_task.recheck, "compare.json"),
    ):
        found = list(recheck(stages[artefact], forged))
        assert [f.kind for f in found] == ["changed"], found
    assert portproof("verify", forged).returncode != 0


@pytest.mark.slow
def test_a_planted_drop_is_found_and_a_against_a_is_never_called(
    ported: Path, tmp_path: Path
) -> None:
    eager, truth = ported / "eager/bs1/result", ported / "data/val_label.txt"
    same = portproof("compare", eager, ported / "ort/bs1/result", truth, "--model", CARD)
    assert same.returncode == 0, same.stdout + same.stderr
    worse = tmp_path / "result"
    shutil.copytree(eager, worse)
    files = sorted(worse.glob("*.bin"))
    for file in files[:: len(files) // 60]:  # 60 of 800 samples answer the next class
        np.roll(np.fromfile(file, np.float32), 1).tofile(file)
    found = portproof("compare", eager, worse, truth, "--model", CARD)
    assert found.returncode == 1, found.stdout + found.stderr
    assert "FAIL" in found.stdout


@pytest.mark.slow
def test_what_modelzoo_asks_for(ported: Path) -> None:
    run = ported
    done = portproof("modelzoo", run)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = (run / "modelzoo/modelzoo_level.txt").read_text().splitlines()
    assert "PrecisionStatus:OK" in lines
    assert all(line.partition(":")[2] in ("OK", "NOK", "POK", "PERFECT") for line in lines)
    assert "F1\\_macro: " in (run / "modelzoo/README.md").read_text()
    tested = subprocess.run(
        ["bash", run / "modelzoo/self_test.sh"],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(ROOT / "src"), "PORTPROOF_PYTHON": sys.executable},
        check=False,
    )
    wanted = "success" if "PerfStatus:NOK" not in lines else "failed"
    assert tested.stdout.splitlines()[-1] == f"Run testcase {wanted}!", tested.stdout
