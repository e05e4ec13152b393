"""Faults of files, order and labels planted in results and labels, of which few samples or none of
the first ones need be hit; and ports without a fault, which none may be found in.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from portproof.metrics.diagnosis.look import Compared, spread
from portproof.metrics.diagnosis.truth import wrong_labels

from .world import CLASSES, World

COUNT = 160
Change = Callable[[np.ndarray], np.ndarray]
TEXT = np.array(sorted(range(COUNT), key=str))
LAST = np.arange(COUNT)[:, None] >= COUNT - 16


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("planted"), COUNT)


def noise(rows: np.ndarray, scale: float) -> np.ndarray:
    return rows + scale * rows.std() * np.random.default_rng(4).standard_normal(rows.shape)


def some(share: float) -> np.ndarray:
    return np.random.default_rng(8).random(COUNT)[:, None] < share


def header(rows: np.ndarray) -> np.ndarray:
    """Eight bytes: two integers, as a C program writes its shape."""
    first = np.frombuffer(np.int32([1, CLASSES]).tobytes(), np.float32)
    return np.hstack([np.broadcast_to(first, (len(rows), 2)), rows.astype(np.float32)])


#: fault, how it is made, a word of its evidence
RESULTS: dict[str, tuple[str, Change, str]] = {
    "stale, 6 %": ("stale-results", lambda r: np.where(some(0.06), -r, r), "differ entirely"),
    "stale tail": ("stale-results", lambda r: np.where(LAST, r[:, ::-1], r), "the last 16"),
    "stale, of 8 bits": (
        "stale-results",
        lambda r: np.where(some(0.1), -r, noise(r, 0.1)),
        "differ entirely",
    ),
    "last batch repeated": (
        "repeated-results",
        lambda r: np.where(LAST, np.roll(r, 16, axis=0), r),
        "the last 16",
    ),
    "last sample repeated": (
        "repeated-results",
        lambda r: np.where(LAST, r[-17], r),
        "the last 16",
    ),
    "last batch NaN": ("not-finite", lambda r: np.where(LAST, np.nan, r), "the last 16"),
    "last batch zeros": ("zeros", lambda r: np.where(LAST, 0, r), "the last 16"),
    "reversed": ("samples-reversed", lambda r: r[::-1], "reversed"),
    "reversed, of 8 bits": ("samples-reversed", lambda r: noise(r[::-1], 0.1), "reversed"),
    "text order": ("samples-text-order", lambda r: r[TEXT], "0, 1, 10"),
    "text order undone": ("samples-text-order", lambda r: r[np.argsort(TEXT)], "0, 1, 10"),
    "text order from 1": (
        "samples-text-order",
        lambda r: r[np.array(sorted(range(1, COUNT + 1), key=str)) - 1],
        "sorted as text",
    ),
    "shuffled": (
        "samples-shuffled",
        lambda r: r[np.random.default_rng(2).permutation(COUNT)],
        "belong to another",
    ),
    "two batches exchanged": (
        "samples-shuffled",
        lambda r: np.concatenate([r[:8], r[16:24], r[8:16], r[24:]]),
        "16 of 160",
    ),
    "shifted": ("samples-shifted", lambda r: np.roll(r, 3, axis=0), "the offset is -3"),
    "by class": (
        "samples-class-order",
        lambda r: r[np.argsort(r.argmax(axis=1), kind="stable")],
        "order of the classes",
    ),
    "two workers": (
        "samples-interleaved",
        lambda r: np.concatenate([r[::2], r[1::2]]),
        "those of 2 workers",
    ),
    "four parts in turn": (
        "samples-interleaved",
        lambda r: r.reshape(4, COUNT // 4, -1).swapaxes(0, 1).reshape(COUNT, -1),
        "4 parts of the samples",
    ),
    "whole numbers": ("outputs-rounded", lambda r: np.rint(r), "whole numbers"),
    "cut to whole numbers": ("outputs-rounded", lambda r: np.trunc(r), "whole numbers"),
    "the best class alone": (
        "outputs-rounded",
        lambda r: (r == r.max(axis=1, keepdims=True)).astype(np.float32),
        "of the best class alone",
    ),
    "header": ("header", header, "8 bytes"),
    "header, last classes lost": ("header", lambda r: header(r)[:, :-2], "8 bytes"),
    "header of npy": (
        "header",
        lambda r: np.hstack([np.full((COUNT, 32), np.nan), r]),
        "128 bytes",
    ),
    "classes in text order": (
        "classes-order",
        lambda r: r[:, sorted(range(CLASSES), key=str)],
        "text order",
    ),
}


@pytest.mark.parametrize("name", RESULTS)
def test_faults_of_results(world: World, name: str) -> None:
    fault, change, said = RESULTS[name]
    diagnosis = world.diagnose(change(world.right))
    assert diagnosis.fault == fault, diagnosis.to_text()
    assert said in diagnosis.faults[0].evidence
    assert diagnosis.faults[0].accuracy_after > 0.9
    assert len(diagnosis.faults) == 1, diagnosis.to_text()


#: fault, what is made of the right labels
LABELS: dict[str, tuple[str, Change]] = {
    "one too high": ("labels-shifted", lambda c: c + 1),
    "one too low": ("labels-shifted", lambda c: np.maximum(c - 1, 0)),
    "of the next sample": ("labels-misaligned", lambda c: np.roll(c, -1)),
    "of the sample before": ("labels-misaligned", lambda c: np.roll(c, 1)),
    "reversed": ("labels-reversed", lambda c: c[::-1]),
    "samples in text order": ("labels-text-order", lambda c: c[TEXT]),
    "classes in text order": (
        "labels-class-order",
        lambda c: np.array(sorted(range(CLASSES), key=str))[c],
    ),
    "classes in any order": (
        "labels-class-order",
        lambda c: np.random.default_rng(1).permutation(CLASSES)[c],
    ),
    "of other images": (
        "reference-at-chance",
        lambda c: np.random.default_rng(3).permutation(c),
    ),
    "all of one class": (
        "reference-at-chance",
        lambda c: np.full_like(c, np.bincount(c, minlength=CLASSES).argmin()),
    ),
    "of no class": ("reference-at-chance", lambda c: c + 123456789),
}


@pytest.mark.parametrize("name", LABELS)
def test_faults_of_labels(world: World, name: str) -> None:
    fault, change = LABELS[name]
    labels = world.write_labels(change(world.right.argmax(axis=1)))
    diagnosis = world.diagnose(world.right, labels=labels)
    assert diagnosis.fault == fault, diagnosis.to_text()
    found = diagnosis.faults[0]
    assert (found.accuracy_after > 0.8) is (fault != "reference-at-chance")
    assert "after the fix" in diagnosis.to_text()


def test_readings_of_labels_that_are_nearly_as_good_are_named_together() -> None:
    """With ten classes, text order counted from 1 is a shift by one, but for one class."""
    right = np.random.default_rng(4).integers(0, 10, 400)
    places = np.arange(400)
    compared = Compared(
        [f"s{i:03d}" for i in places],
        np.maximum(right - 1, 0),
        np.ones(400, bool),
        np.zeros(400, bool),
        places,
        [Path()] * 400,
        np.eye(10)[right],
    )
    best = wrong_labels(compared, right, 10)[0]
    assert best.candidate.fault == "labels-class-order" and best.alike == ("labels-shifted",)


def softmax(rows: np.ndarray) -> np.ndarray:
    powers = np.exp(rows - rows.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


SOUND: dict[str, Change] = {
    "fp32": lambda r: r * np.float32(1 + 1e-7),
    "fp32 of another host": lambda r: noise(r, 1e-6),
    "fp16": lambda r: r.astype(np.float16),
    "bf16": lambda r: noise(r, 4e-3),
    "int8": lambda r: noise(r, 0.1),
    "int8, heavy tails": lambda r: (
        r + 0.05 * r.std() * np.random.default_rng(6).standard_t(3, r.shape)
    ),
    "int8, coarse": lambda r: np.round(r / 0.1) * 0.1,
    "probabilities": softmax,
    "another scale": lambda r: 3 * r + 1,
}


@pytest.mark.parametrize("name", SOUND)
def test_no_fault_is_found_in_a_sound_port(world: World, name: str) -> None:
    diagnosis = world.diagnose(SOUND[name](world.right))
    assert diagnosis.fault == "none" and not diagnosis.faults, diagnosis.to_text()
    none = next(c for c in diagnosis.candidates if c.fault == "none")
    assert "nothing to do" in none.fix


def test_two_faults_of_results_are_found_one_after_the_other(world: World) -> None:
    rows = np.where(LAST, np.nan, np.roll(world.right, 1, axis=1))
    diagnosis = world.diagnose(rows)
    assert [f.fault for f in diagnosis.faults] == ["not-finite", "classes-shifted"]


def test_a_part_is_compared_and_all_results_are_read(world: World) -> None:
    rows = world.right.copy()
    rows[77] = np.nan
    diagnosis = world.diagnose(rows, limit=20)
    assert (diagnosis.samples, diagnosis.results) == (20, COUNT)
    assert diagnosis.fault == "not-finite" and "img_077" in diagnosis.faults[0].evidence


@pytest.mark.parametrize(("count", "wanted"), [(5000, 1000), (1001, 1000), (7, 3), (9, 1)])
def test_the_part_spans_the_data_set(count: int, wanted: int) -> None:
    places = spread(count, wanted)
    assert len(places) <= wanted and places[0] == 0
    assert wanted == 1 or places[-1] == count - 1


def test_results_without_a_file_are_counted(
    world: World, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    world.diagnose(world.right[:-2])
    assert "2 images have a label and no result (img_158, img_159)" in capsys.readouterr().err


def test_nothing_is_told_of_the_one_result_that_is_sound(world: World) -> None:
    """Any explanation fits a single row."""
    rows = np.full_like(world.right, np.inf)
    rows[5] = np.rint(10 * world.right[5])
    diagnosis = world.diagnose(rows)
    assert [f.fault for f in diagnosis.faults] == ["not-finite"], diagnosis.to_text()
