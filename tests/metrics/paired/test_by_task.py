"""A port compared with its reference by the metric of its task: commands, verdicts, refusals."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from portproof.core.errors import InputError
from portproof.metrics.evaluation.evaluate import evaluate
from portproof.metrics.paired.by_task import Margin, compare_by_task
from portproof.metrics.paired.losses import Loss
from portproof.verdict import Verdict

from ..tasks import coco_world

Stage = Callable[..., Any]

KEYS = {
    "verdict", "task", "metric", "unit", "reference_value", "port_value", "difference", "ci95",
    "gate_bound", "loss_lower_bound", "margin", "difference_pp", "ci95_pp", "gate_bound_pp",
    "margin_pp", "samples", "better", "worse", "equal", "figures", "worst", "interval", "doubt",
    "left_out", "simulated", "samples_needed", "schema",
}  # fmt: skip


def world(
    folder: Path, images: int = 150, seed: int = 0
) -> tuple[Path, list[dict[str, Any]], Path]:
    """A truth, good detections of it, and their file."""
    truth, _ = coco_world.make(seed, images, classes=2)
    truth["categories"] = truth["categories"][:2]
    r = np.random.default_rng(seed)
    for one in truth["annotations"]:
        one["iscrowd"] = 0
    found = [
        {
            "image_id": one["image_id"],
            "category_id": one["category_id"],
            "bbox": one["bbox"],
            "score": float(r.uniform(0.5, 1)),
        }
        for one in truth["annotations"]
        if r.random() < 0.9
    ]
    found += [
        {"image_id": i["id"], "category_id": 1, "bbox": [1, 1, 5, 5], "score": 0.1}
        for i in truth["images"]
    ]
    paths = coco_world.write(folder, truth, found)
    return paths[0], found, paths[1]


@pytest.mark.parametrize(
    ("value", "lower", "upper", "needed"),
    [
        (0.0, -0.011, 0.011, 726),  # 600 x (11 / 10)^2, until the bound is the margin
        (0.02, 0.005, 0.035, 1350),  # 600 x (15 / 10)^2, until it is surely over it
        (0.0, -0.005, 0.005, None),  # PASS
        (0.02, 0.015, 0.025, None),  # FAIL
        (0.01, 0.0, 0.02, None),  # at the margin no number would do
    ],
)
def test_about_how_many_samples_would_decide(
    value: float, lower: float, upper: float, needed: int | None
) -> None:
    loss = Loss(0.9, 0.9 - value, value, lower, upper, lower, upper, None)
    assert loss.samples_needed(0.01, 600) == needed
    doubted = Loss(0.9, 0.9 - value, value, lower, upper, lower, upper, "it was not set up so")
    assert doubted.samples_needed(0.01, 600) is None


def written(path: Path, found: list[dict[str, Any]]) -> Path:
    path.write_text(json.dumps(found))
    return path


def spoilt(found: list[dict[str, Any]], share: float) -> list[dict[str, Any]]:
    """The same with this share of the boxes elsewhere."""
    r, found = np.random.default_rng(5), copy.deepcopy(found)
    for one in found:
        if r.random() < share:
            one["bbox"] = [250, 250, 3, 3]
    return found


@pytest.mark.parametrize(
    ("share", "margin", "verdict", "code"),
    [
        (0.0, 5.0, "PASS", 0),  # nothing differs, over enough samples for this margin
        (0.0, 0.5, "UNDECIDED", 4),  # but not for this one
        (0.4, 5.0, "FAIL", 1),
        (0.05, 5.0, "UNDECIDED", 4),
        (0.05, 25.0, "PASS", 0),
    ],
)
def test_verdict_and_exit_code(
    tmp_path: Path, stage: Stage, share: float, margin: float, verdict: str, code: int
) -> None:
    truth, found, reference = world(tmp_path)
    port = written(tmp_path / "port.json", spoilt(found, share))
    done = stage(
        "metrics/compare.py", reference, port, truth, "--task", "detection", "--margin-pp", margin,
        "--json", "--out", tmp_path / "out" / "compare.json",
    )  # fmt: skip
    assert done.returncode == code, done.stdout + done.stderr
    figures = json.loads(done.stdout)
    assert figures.keys() >= KEYS
    assert json.loads((tmp_path / "out" / "compare.json").read_text()) == figures
    assert (figures["verdict"], figures["metric"], figures["unit"]) == (verdict, "AP", "1")
    assert figures["samples"] == 150 == sum(figures[k] for k in ("better", "worse", "equal"))
    assert figures["difference_pp"] == pytest.approx(100 * figures["difference"])
    assert figures["ci95"][0] <= figures["difference"] <= figures["ci95"][1]
    assert -figures["difference"] <= figures["gate_bound"] <= -figures["ci95"][0]
    assert figures["margin"] == margin / 100 and figures["margin_pp"] == margin
    assert (figures["worse"] > 0) == (share > 0)
    shares = [w["share"] for w in figures["worst"]]
    assert shares == sorted(shares) and all(s < 0 for s in shares)


def test_outcomes_compare_as_what_they_were_made_of(tmp_path: Path, stage: Stage) -> None:
    truth, found, reference = world(tmp_path)
    port = written(tmp_path / "port.json", spoilt(found, 0.1))
    sides = []
    for name, path in (("reference", reference), ("port", port)):
        out = tmp_path / name
        done = stage(
            "metrics/evaluate.py", path, truth, "--task", "detection", "--out", out / "result.json",
            "--outcomes", out / "outcomes.npz",
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert "AP50" in done.stdout and "worst by AP" in done.stdout
        sides.append(out / "outcomes.npz")
    again = stage(
        "metrics/evaluate.py", port, truth, "--task", "detection", "--out", out / "result.json",
        "--outcomes", out / "outcomes.npz", "--json",
    )  # fmt: skip
    assert "up to date" in again.stderr
    result = json.loads((tmp_path / "port" / "result.json").read_text())
    assert json.loads(again.stdout) == result
    of_files = compare_by_task(reference, port, truth, "detection")
    of_outcomes = compare_by_task(*sides, truth, "detection")
    assert of_files.port_value == result["figures"][0]["value"] == of_outcomes.port_value
    assert of_files.gate_bound == of_outcomes.gate_bound
    assert of_files.worst == of_outcomes.worst


def test_other_truth_task_and_columns_are_refused(tmp_path: Path) -> None:
    truth, _, reference = world(tmp_path)
    evaluate(reference, truth, "detection", outcomes=tmp_path / "o.npz")
    content = json.loads(truth.read_text())
    content["annotations"].pop()
    other = tmp_path / "other.json"
    other.write_text(json.dumps(content))
    with pytest.raises(InputError, match="judged by another truth"):
        compare_by_task(tmp_path / "o.npz", reference, other, "detection")
    with pytest.raises(InputError, match="there is no task 'detections'"):
        compare_by_task(reference, reference, truth, "detections")
    with pytest.raises(InputError, match="has no figure 'mAP'; it has AP, AP50"):
        compare_by_task(reference, reference, truth, "detection", metric="mAP")


def test_a_reference_that_finds_nothing_is_no_ground(tmp_path: Path) -> None:
    truth, found, _ = world(tmp_path)
    nothing = written(tmp_path / "nothing.json", spoilt(found, 1.0))
    judged = compare_by_task(nothing, nothing, truth, "detection", margin=Margin(pp=5))
    assert judged.verdict is Verdict.UNDECIDED
    assert (
        "not above chance" in (judged.doubt or "") and "truth of these samples" in judged.to_text()
    )


def test_a_reference_within_the_margin_is_no_ground(tmp_path: Path) -> None:
    truth, found, _ = world(tmp_path)
    poor = written(tmp_path / "poor.json", spoilt(found, 0.93))
    value = compare_by_task(poor, poor, truth, "detection").reference_value
    assert value and 0 < value < 0.2
    judged = compare_by_task(poor, poor, truth, "detection", margin=Margin(pp=20))
    assert judged.verdict is Verdict.UNDECIDED and "no ground for a verdict" in (judged.doubt or "")


def test_a_truth_without_objects_is_no_ground(tmp_path: Path) -> None:
    truth, _, reference = world(tmp_path)
    content = json.loads(truth.read_text())
    content["annotations"] = []
    truth.write_text(json.dumps(content))
    judged = compare_by_task(reference, reference, truth, "detection")
    assert judged.verdict is Verdict.UNDECIDED and "not defined" in (judged.doubt or "")
    assert judged.reference_value is None and judged.ci95 is None
    assert "not defined" in judged.to_text()


def test_objects_in_one_image_decide_nothing(tmp_path: Path) -> None:
    truth, _, reference = world(tmp_path)
    content = json.loads(truth.read_text())
    content["annotations"] = content["annotations"][:1]
    truth.write_text(json.dumps(content))
    judged = compare_by_task(reference, reference, truth, "detection", margin=Margin(pp=50))
    assert judged.verdict is Verdict.UNDECIDED and "single ones" in (judged.doubt or "")


@pytest.mark.parametrize(
    ("margin", "sentence"),
    [
        (Margin(pp=0), "more than 0"),
        (Margin(pp=100), "less than 100 points"),
        (Margin(pp=float("nan")), "more than 0"),
        (Margin(amount=0.1), "is a share: give its margin with --margin-pp"),
    ],
)
def test_margins(tmp_path: Path, margin: Margin, sentence: str) -> None:
    truth, _, reference = world(tmp_path, images=5)
    with pytest.raises(InputError, match=sentence):
        compare_by_task(reference, reference, truth, "detection", margin=margin)


def test_options_of_another_way_are_refused(tmp_path: Path, stage: Stage) -> None:
    truth, _, reference = world(tmp_path, images=5)
    done = stage(
        "metrics/compare.py", reference, reference, truth, "--task", "detection", "--classes", 3
    )
    assert done.returncode == 2 and "--classes has no meaning with a task" in done.stderr
    done = stage("metrics/compare.py", reference, reference, truth, "--margin", 3)
    assert done.returncode == 2 and "--margin has no meaning" in done.stderr
    done = stage("metrics/evaluate.py", reference, truth)
    assert done.returncode == 2 and "a task was expected" in done.stderr
    done = stage("metrics/evaluate.py", reference, truth, "--model", "resnet18")
    assert done.returncode == 2 and "classification is judged by topn" in done.stderr
    done = stage(
        "metrics/evaluate.py", reference, truth, "--task", "detection", "--outcomes", truth
    )
    assert done.returncode == 2 and "write it elsewhere" in done.stderr


def test_results_without_post_processing_are_refused(tmp_path: Path) -> None:
    truth, _, reference = world(tmp_path, images=5)
    (tmp_path / "result").mkdir()
    with pytest.raises(InputError, match="post-processing"):
        compare_by_task(reference, tmp_path / "result", truth, "detection")
    with pytest.raises(InputError, match="does not exist"):
        compare_by_task(reference, tmp_path / "none", truth, "detection")


@pytest.mark.parametrize(
    "change",
    [
        lambda a: a.pop("value/score"),
        lambda a: a.update({"value/truth_count": a["value/truth_count"][:, :2]}),
        lambda a: a.update({"value/matches": a["value/matches"].astype(float)}),
    ],
)
def test_outcomes_of_something_else_are_refused(
    tmp_path: Path, change: Callable[[dict[str, np.ndarray]], object]
) -> None:
    truth, _, reference = world(tmp_path, images=5)
    evaluate(reference, truth, "detection", outcomes=tmp_path / "o.npz")
    with np.load(tmp_path / "o.npz") as file:
        arrays = dict(file)
    change(arrays)
    np.savez(tmp_path / "o.npz", **arrays)
    with pytest.raises(InputError, match="do not hold what the figures of detection"):
        compare_by_task(tmp_path / "o.npz", tmp_path / "o.npz", truth, "detection")
