"""A port compared with its reference: figures, pairing by id, verdicts and exit codes."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import portproof
from portproof.core.errors import InputError
from portproof.metrics.accuracy.score import Reading
from portproof.metrics.paired.bounds import careful_bounds
from portproof.metrics.paired.compare import compare
from portproof.outcome import Outcomes, write_outcomes
from portproof.proof.work import Work
from portproof.verdict import Verdict

Stage = Callable[..., object]

KEYS = {
    "verdict",
    "reference_accuracy",
    "port_accuracy",
    "difference_pp",
    "ci95_pp",
    "gate_bound_pp",
    "fixed",
    "broken",
    "both_right",
    "both_wrong",
    "mcnemar_p",
    "agreement",
    "margin_pp",
    "samples",
}


def table(right: list[bool], label: int = 1, names: list[str] | None = None) -> Outcomes:
    """Outcomes that are right (class ``label``) or wrong (class 0)."""
    n = len(right)
    ids = tuple(names or [f"s{i}" for i in range(n)])
    is_right = np.array(right)
    rank, predicted = np.where(is_right, 1, 2), np.where(is_right, label, 0)
    return Outcomes(ids, np.full(n, label), predicted, rank, np.where(is_right, 1.0, -1.0))


def files(
    folder: Path, both_right: int, broken: int, fixed: int, both_wrong: int
) -> tuple[Path, Path, Path]:
    """Two tables of outcomes with this 2 x 2 table, the port's in another order, and their label
    file.
    """
    reference = [True] * (both_right + broken) + [False] * (fixed + both_wrong)
    port = [True] * both_right + [False] * broken + [True] * fixed + [False] * both_wrong
    n = len(reference)
    write_outcomes(folder / "reference.csv", table(reference))
    write_outcomes(folder / "port.csv", table(port).take(np.random.default_rng(0).permutation(n)))
    (folder / "labels.txt").write_text(
        "".join(f"s{i}.JPEG 1\n" for i in range(n)), encoding="ascii"
    )
    return folder / "reference.csv", folder / "port.csv", folder / "labels.txt"


@pytest.mark.parametrize(
    ("counts", "verdict", "code"),
    [
        ((590, 0, 0, 10), "PASS", 0),  # no flip at all among 600 proves a loss under one point
        ((590, 1, 1, 8), "PASS", 0),
        ((550, 40, 0, 10), "FAIL", 1),
        ((590, 6, 0, 4), "UNDECIDED", 4),
        ((90, 0, 0, 10), "UNDECIDED", 4),  # too few samples
        ((560, 0, 30, 10), "PASS", 0),  # better than the reference
    ],
)
def test_verdict_and_exit_code(
    tmp_path: Path, stage: Stage, counts: tuple[int, ...], verdict: str, code: int
) -> None:
    done = stage("metrics/compare.py", *files(tmp_path, *counts), "--json")
    assert done.returncode == code, done.stderr  # type: ignore[attr-defined]
    figures = json.loads(done.stdout)  # type: ignore[attr-defined]
    assert figures.keys() >= KEYS
    assert figures["verdict"] == verdict
    assert tuple(figures[k] for k in ("both_right", "broken", "fixed", "both_wrong")) == counts
    n = sum(counts)
    assert figures["samples"] == n
    assert figures["reference_accuracy"] == pytest.approx((counts[0] + counts[1]) / n)
    assert figures["port_accuracy"] == pytest.approx((counts[0] + counts[2]) / n)
    assert figures["difference_pp"] == pytest.approx(100 * (counts[2] - counts[1]) / n)
    assert figures["ci95_pp"][0] < figures["difference_pp"] < figures["ci95_pp"][1]
    assert -figures["difference_pp"] < figures["gate_bound_pp"] < -figures["ci95_pp"][0], (
        "one-sided 95 % lies inside two-sided 95 %"
    )
    assert figures["agreement"] == pytest.approx((counts[0] + counts[3]) / n)


def test_the_margin_decides(tmp_path: Path) -> None:
    paths = files(tmp_path, 590, 6, 0, 4)
    assert compare(*paths, margin_pp=3.0).verdict is Verdict.PASS
    assert compare(*paths, margin_pp=0.1).verdict is Verdict.FAIL
    undecided = compare(*paths)
    assert undecided.verdict is Verdict.UNDECIDED
    assert undecided.samples_to_decide is None, "the observed loss is the margin"
    for bad in (0, -1, 100, float("nan")):
        with pytest.raises(InputError, match="margin"):
            compare(*paths, margin_pp=bad)


def test_the_public_name() -> None:
    assert portproof.compare is compare


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path, Path, np.ndarray, np.ndarray]:
    """Result folders as the tools write them: the reference counted from 1 in float32, the port
    from 0 in float16.
    """
    generator = np.random.default_rng(3)
    reference = generator.standard_normal((700, 10)).astype(np.float32)
    port = (reference + 0.3 * generator.standard_normal(reference.shape)).astype(np.float16)
    for name, rows, number in (("reference", reference, 1), ("port", port, 0)):
        (tmp_path / name).mkdir()
        for i, row in enumerate(rows):
            row.tofile(tmp_path / name / f"s{i}_{number}.bin")
    (tmp_path / "labels.txt").write_text(
        "".join(f"s{i}.JPEG {row.argmax()}\n" for i, row in enumerate(reference)), encoding="ascii"
    )
    return tmp_path / "reference", tmp_path / "port", tmp_path / "labels.txt", reference, port


def test_result_folders(
    folders: tuple[Path, Path, Path, np.ndarray, np.ndarray], stage: Stage
) -> None:
    *paths, reference, port = folders
    done = stage(
        "metrics/compare.py",
        *paths,
        "--port-dtype",
        "float16",
        "--json",
        "--out",
        paths[0].parent / "compare.json",
    )
    figures = json.loads(done.stdout)  # type: ignore[attr-defined]
    same = int(np.count_nonzero(reference.argmax(axis=1) == port.argmax(axis=1)))
    assert (figures["both_right"], figures["broken"], figures["reference_accuracy"]) == (
        same,
        700 - same,
        1.0,
    )
    assert figures["verdict"] == "FAIL" and done.returncode == 1  # type: ignore[attr-defined]
    assert json.loads((paths[0].parent / "compare.json").read_bytes()) == figures
    falls = [f["reference_margin"] - f["port_margin"] for f in figures["worst_flips"]]
    assert len(falls) == 10 and falls == sorted(falls, reverse=True)
    worst = int(figures["worst_flips"][0]["id"][1:])
    assert figures["worst_flips"][0]["port_predicted"] == port[worst].argmax()
    again = stage(
        "metrics/compare.py",
        *paths,
        "--port-dtype",
        "float16",
        "--json",
        "--out",
        paths[0].parent / "compare.json",
    )
    assert "up to date" in again.stderr  # type: ignore[attr-defined]
    assert (again.stdout, again.returncode) == (done.stdout, 1)  # type: ignore[attr-defined]


def test_text_for_people(
    folders: tuple[Path, Path, Path, np.ndarray, np.ndarray], stage: Stage
) -> None:
    done = stage("metrics/compare.py", *folders[:3], "--port-dtype", "float16")
    assert done.returncode == 1  # type: ignore[attr-defined]
    assert "flips from right to wrong, worst first (10 of " in done.stdout  # type: ignore[attr-defined]
    assert done.stdout.splitlines()[-1].startswith("FAIL: the loss is over")  # type: ignore[attr-defined]


def test_a_folder_and_a_table_of_it_agree(
    folders: tuple[Path, Path, Path, np.ndarray, np.ndarray], stage: Stage
) -> None:
    reference, port, labels, *_ = folders
    csv = reference.parent / "port.csv"
    stage("metrics/topn.py", port, labels, "--dtype", "float16", "--outcomes", csv)
    of_folder = compare(reference, port, labels, port_reading=Reading(dtype="float16"))
    of_table = compare(reference, csv, labels)
    assert of_folder.worst_flips[0].port_margin == pytest.approx(
        of_table.worst_flips[0].port_margin
    )
    assert (of_folder.broken, of_folder.agreement, of_folder.gate_bound_pp) == (
        of_table.broken,
        of_table.agreement,
        of_table.gate_bound_pp,
    )


def test_a_model_with_a_background_class_compares_with_one_without(tmp_path: Path) -> None:
    reference, _, labels = files(tmp_path, 290, 0, 0, 10)
    shifted = table([True] * 290 + [False] * 10, label=2)
    # The wrong ones predict class 0 on one side and, counted with the background, class 1 on the
    # other: the same class.
    shifted.predicted[290:] = 1
    write_outcomes(tmp_path / "port.csv", shifted)
    comparison = compare(reference, tmp_path / "port.csv", labels)
    assert (comparison.both_right, comparison.agreement) == (290, 1.0)


def test_other_samples_are_refused_or_left_out(tmp_path: Path) -> None:
    reference, port, labels = files(tmp_path, 300, 0, 0, 0)
    write_outcomes(port, table([True] * 297, names=[f"s{i}" for i in range(3, 300)]))
    with pytest.raises(
        InputError,
        match=r"3 of 300 samples of '.*reference.csv' are not in '.*port.csv' \(s0, s1, s2\)",
    ):
        compare(reference, port, labels)
    with pytest.raises(
        InputError, match=r"3 of 300 samples of '.*reference.csv' are not in '.*port.csv'"
    ):
        compare(port, reference, labels)
    partial = compare(reference, port, labels, allow_missing=True)
    assert (partial.samples, partial.left_out) == (297, 3)
    assert "MISSING: 3 samples" in partial.to_text()
    with pytest.raises(InputError, match=r"3 of 300 samples of '.*labels.txt'"):
        write_outcomes(reference, table([True] * 297, names=[f"s{i}" for i in range(3, 300)]))
        compare(reference, port, labels)
    write_outcomes(port, table([True], names=["other"]))
    with pytest.raises(InputError, match=r"1 of 1 samples have no label \(other\)"):
        compare(reference, port, labels)


def test_other_labels_are_refused(tmp_path: Path) -> None:
    reference, port, labels = files(tmp_path, 30, 0, 0, 0)
    labels.write_text(
        "".join(f"s{i}.JPEG {2 if i == 4 else 1}\n" for i in range(30)), encoding="ascii"
    )
    with pytest.raises(InputError, match=r"the labels of 1 of 30 samples .*\(s4\)"):
        compare(reference, port, labels)


def test_nothing_in_common(tmp_path: Path) -> None:
    reference, port, labels = files(tmp_path, 30, 0, 0, 0)
    write_outcomes(reference, table([True], names=["s0"]))
    write_outcomes(port, table([True], names=["s1"]))
    with pytest.raises(InputError, match="no sample in common"):
        compare(reference, port, labels, allow_missing=True)


def test_a_comparison_with_itself_says_so(tmp_path: Path, stage: Stage) -> None:
    reference, _, labels = files(tmp_path, 600, 0, 0, 0)
    done = stage("metrics/compare.py", reference, reference, labels)
    assert done.returncode == 0  # type: ignore[attr-defined]
    assert "proves nothing" in done.stderr  # type: ignore[attr-defined]


def test_sides_of_other_sizes_are_refused(tmp_path: Path) -> None:
    (tmp_path / "labels.txt").write_text("".join(f"s{i} {i % 10}\n" for i in range(40)))
    for name, classes in (("ten", 10), ("eleven", 11)):
        (tmp_path / name).mkdir()
        for i in range(40):
            np.eye(classes, dtype=np.float32)[i % 10].tofile(tmp_path / name / f"s{i}_1.bin")
    with pytest.raises(InputError, match=r"10 classes and .* has 11"):
        compare(tmp_path / "ten", tmp_path / "eleven", tmp_path / "labels.txt")


def _results(folder: Path, answers: np.ndarray) -> Path:
    folder.mkdir()
    for i, row in enumerate(answers.astype(np.float32)):
        row.tofile(folder / f"s{i}_1.bin")
    return folder


@pytest.mark.parametrize("kind", ["shifted labels", "flattened image", "one class", "random"])
def test_a_reference_at_chance_is_no_ground_for_a_verdict(tmp_path: Path, kind: str) -> None:
    rng = np.random.default_rng(0)
    n, classes = 700, 10
    label = rng.integers(0, classes, n)
    answers = rng.normal(size=(n, classes)) + 9 * np.eye(classes)[label]
    if kind == "shifted labels":
        label = (label + 1) % classes
    elif kind == "flattened image":
        answers = rng.random((n, 3 * 8 * 8))
    elif kind == "one class":
        answers = rng.random((n, classes)) + 9 * np.eye(classes)[3]
    else:
        answers = rng.random((n, classes))
    (tmp_path / "labels.txt").write_text("".join(f"s{i} {k}\n" for i, k in enumerate(label)))
    same = [_results(tmp_path / name, answers) for name in ("reference", "port")]
    judged = compare(*same, tmp_path / "labels.txt")
    assert judged.verdict is Verdict.UNDECIDED
    assert judged.doubt is not None and "no ground for a verdict" in judged.to_text()
    assert judged.samples_to_decide is None


def test_a_sound_reference_is_not_doubted(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    label = rng.integers(0, 1000, 700)
    answers = rng.normal(size=(700, 1000)) + 2 * np.eye(1000)[label]  # a few per cent right
    (tmp_path / "labels.txt").write_text("".join(f"s{i} {k}\n" for i, k in enumerate(label)))
    same = [_results(tmp_path / name, answers) for name in ("reference", "port")]
    judged = compare(*same, tmp_path / "labels.txt")
    assert judged.reference_accuracy < 0.2 and judged.doubt is None


def test_figures_are_the_bounds_in_points(tmp_path: Path) -> None:
    found = compare(*files(tmp_path, 560, 12, 7, 21))
    low, high = careful_bounds(7, 12, 600, 0.975)
    assert found.ci95_pp == pytest.approx((-100 * high, -100 * low))
    assert found.gate_bound_pp == pytest.approx(100 * careful_bounds(7, 12, 600)[1])
    assert found.loss_lower_bound_pp == pytest.approx(100 * careful_bounds(7, 12, 600)[0])
    assert found.samples_to_decide is not None
    assert "samples would decide (" in found.to_text()


def test_the_margin_is_in_points(tmp_path: Path) -> None:
    sides = files(tmp_path, 560, 12, 7, 21)
    bound = 100 * careful_bounds(7, 12, 600)[1]
    assert compare(*sides, margin_pp=bound * 1.001).verdict is Verdict.PASS
    assert compare(*sides, margin_pp=bound * 0.999).verdict is Verdict.UNDECIDED


@pytest.mark.parametrize("side", [0, 1])
def test_one_rehearsed_side_makes_a_rehearsal(tmp_path: Path, side: int) -> None:
    sides = files(tmp_path, 590, 1, 1, 8)
    assert not compare(*sides).simulated
    work = Work("topn", sides[side], inputs={}, parameters={}, simulated=True)
    work.begin()
    work.finish([sides[side]])
    assert compare(*sides).simulated
