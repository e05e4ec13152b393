"""A diagnosis names the mistake that was made: every fault is injected, into preprocessing done by
other means than ours where possible.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from portproof.core.errors import InputError
from portproof.metrics.accuracy.score import Reading
from portproof.metrics.diagnosis.explain import diagnose

from .world import CLASSES, COUNT, MEAN, SIZE, STD, World


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("diagnose"))


def softmax(rows: np.ndarray) -> np.ndarray:
    powers = np.exp(rows - rows.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


@pytest.mark.parametrize(
    "change",
    [
        lambda rows: rows,
        lambda rows: rows.astype(np.float16),
        lambda rows: rows + 3,
        softmax,
        lambda rows: (
            rows + 0.05 * np.random.default_rng(0).standard_normal(rows.shape)
        ),  # an 8-bit port
    ],
)
def test_a_sound_port_has_no_fault(
    world: World, change: Callable[[np.ndarray], np.ndarray]
) -> None:
    diagnosis = world.diagnose(change(world.right))
    assert diagnosis.fault == "none"
    none = next(c for c in diagnosis.candidates if c.fault == "none")
    assert none.score > 0.95
    assert diagnosis.reference_accuracy == 1.0


@pytest.mark.parametrize("is_sound", [True, False])
def test_packed_results_give_the_same_diagnosis(
    world: World, packed: Callable[..., Path], is_sound: bool
) -> None:
    """Whose rows are in another order than the images."""
    rows = world.right if is_sound else np.roll(world.right, 1, axis=0)
    expected = world.diagnose(rows)
    shutil.rmtree(world.folder / "result-packed", ignore_errors=True)
    pack = packed(world.folder / "result")
    found = diagnose(str(world.card), world.model, world.images, world.labels, pack)
    assert found == expected and (found.fault == "none") is is_sound


PREPROCESSING: dict[str, tuple[str, Callable[[World], np.ndarray]]] = {
    "BGR pixels": (
        "channel-order",
        lambda w: np.stack([w.normalised(p[:, :, ::-1]) for p in w.pixels()]),
    ),
    "BGR after normalisation": (
        "channel-order",
        lambda w: np.stack([w.normalised(p)[::-1] for p in w.pixels()]),
    ),
    "not normalised": (
        "normalisation-missing",
        lambda w: np.stack([(p / np.float32(255)).transpose(2, 0, 1) for p in w.pixels()]),
    ),
    "raw": (
        "normalisation-missing",
        lambda w: np.stack([p.astype(np.float32).transpose(2, 0, 1) for p in w.pixels()]),
    ),
    "not scaled": (
        "scaling-missing",
        lambda w: np.stack(
            [((p.astype(np.float32) - MEAN) / STD).transpose(2, 0, 1) for p in w.pixels()]
        ),
    ),
    "scaled twice": (
        "scaling-twice",
        lambda w: np.stack([w.normalised(p / np.float32(255)) for p in w.pixels()]),
    ),
    "normalised twice": (
        "normalisation-twice",
        lambda w: np.stack(
            [
                ((w.normalised(p).transpose(1, 2, 0) - MEAN) / STD).transpose(2, 0, 1)
                for p in w.pixels()
            ]
        ),
    ),
    "Inception's constants": (
        "normalisation-constants",
        lambda w: np.stack(
            [((p / np.float32(255) - 0.5) / 0.5).transpose(2, 0, 1) for p in w.pixels()]
        ),
    ),
    "DPN's constants": (
        "normalisation-constants",
        lambda w: np.stack(
            [
                ((p - np.float32([124, 117, 104])) * np.float32(0.0167)).transpose(2, 0, 1)
                for p in w.pixels()
            ]
        ),
    ),
    "OpenAI CLIP's constants": (
        "normalisation-constants",
        lambda w: np.stack(
            [
                (
                    (p / np.float32(255) - np.float32([0.48145466, 0.4578275, 0.40821073]))
                    / np.float32([0.26862954, 0.26130258, 0.27577711])
                ).transpose(2, 0, 1)
                for p in w.pixels()
            ]
        ),
    ),
    "bilinear": (
        "interpolation",
        lambda w: np.stack([w.normalised(p) for p in w.pixels(Image.Resampling.BILINEAR)]),
    ),
    "no crop": (
        "resize-crop",
        lambda w: np.stack([w.normalised(p) for p in w.pixels(size=(SIZE, SIZE))]),
    ),
    "crop of 0.875": (
        "resize-crop",
        lambda w: np.stack([w.normalised(p) for p in w.pixels(size=(33, 27))]),
    ),
    "NHWC": (
        "layout",
        lambda w: np.stack(
            [
                np.ascontiguousarray(w.normalised(p).transpose(1, 2, 0)).reshape(3, SIZE, SIZE)
                for p in w.pixels()
            ]
        ),
    ),
}


@pytest.mark.parametrize("name", PREPROCESSING)
def test_mistakes_of_preprocessing(world: World, name: str) -> None:
    fault, samples = PREPROCESSING[name]
    diagnosis = world.diagnose(world.infer(samples(world)))
    assert diagnosis.fault == fault, diagnosis.to_text()
    best = diagnosis.candidates[0]
    assert best.fault == fault and best.score > 0.99
    assert next(c.score for c in diagnosis.candidates if c.fault == "none") < best.score
    assert "card's recipe" in best.fix


def with_nan(rows: np.ndarray) -> np.ndarray:
    return np.where(np.arange(len(rows))[:, None] == 3, np.nan, rows)


@pytest.mark.parametrize(
    ("fault", "change", "said"),
    [
        ("samples-shifted", lambda rows: np.roll(rows, 1, axis=0), "the offset is -1"),
        (
            "samples-shuffled",
            lambda rows: rows[np.random.default_rng(2).permutation(COUNT)],
            "belong to another sample",
        ),
        ("classes-shifted", lambda rows: np.roll(rows, 1, axis=1), "+1"),
        (
            "stale-results",
            lambda rows: np.where(np.arange(COUNT)[:, None] % 3 == 0, -rows, rows),
            "8 of 24 results differ",
        ),
        ("not-finite", with_nan, "img_03"),
        ("zeros", np.zeros_like, "all 24"),
        ("constant", lambda rows: np.repeat(rows[:1], COUNT, axis=0), "all 24"),
    ],
)
def test_mistakes_of_files_and_order(
    world: World, fault: str, change: Callable[[np.ndarray], np.ndarray], said: str
) -> None:
    diagnosis = world.diagnose(change(world.right))
    assert diagnosis.fault == fault, diagnosis.to_text()
    assert said in diagnosis.candidates[0].evidence


def test_labels_counted_from_one(world: World, tmp_path: Path) -> None:
    world.diagnose(world.right)  # leaves sound results
    labels = tmp_path / "labels.txt"
    labels.write_text(
        "".join(f"img_{i:02d}.png {row.argmax() + 1}\n" for i, row in enumerate(world.right)),
        encoding="ascii",
    )
    diagnosis = diagnose(
        str(world.card), world.model, world.images, labels, world.folder / "result"
    )
    assert diagnosis.fault == "labels-shifted"
    assert "counts from 1" in diagnosis.to_text()


def test_what_nothing_explains_is_not_explained(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("portproof.metrics.diagnosis.steps.pairs._SECONDS", 0.5)
    monkeypatch.setattr("portproof.metrics.diagnosis.preprocessing._FITS_S", 0.5)
    monkeypatch.setattr("portproof.metrics.diagnosis.search._WORK_S", 3.0)
    diagnosis = world.diagnose(np.random.default_rng(9).standard_normal(world.right.shape))
    assert (diagnosis.fault, diagnosis.verdict) == ("unexplained", "FAIL")
    assert "compare the layers" in diagnosis.faults[0].fix


def test_both_sides_wrong_everywhere_is_never_none(world: World) -> None:
    others = world.write_labels((world.right.argmax(axis=1) + 5) % CLASSES)
    diagnosis = world.diagnose(world.right, labels=others)
    assert diagnosis.port_accuracy == 0 and diagnosis.fault != "none"
    diagnosis = world.diagnose(world.right, labels=others, limit=4)
    assert (diagnosis.fault, diagnosis.verdict) == ("too-few-samples", "UNDECIDED")


def test_one_image_is_enough_to_tell_what_one_image_tells(world: World) -> None:
    assert world.diagnose(world.right, limit=1).fault == "none"
    assert (
        world.diagnose(world.infer(PREPROCESSING["BGR pixels"][1](world)), limit=1).fault
        == "channel-order"
    )


def test_the_command(world: World, stage: Callable[..., object]) -> None:
    world.diagnose(world.infer(PREPROCESSING["BGR pixels"][1](world)))
    arguments = [
        "metrics/diagnose.py",
        "--model",
        world.card,
        "--reference",
        world.model,
        "--images",
        world.images,
        "--labels",
        world.labels,
        "--result",
        world.folder / "result",
        "--limit",
        12,
    ]
    done = stage(*arguments, "--json")
    assert done.returncode == 1, done.stderr  # type: ignore[attr-defined]
    diagnosis = json.loads(done.stdout)  # type: ignore[attr-defined]
    assert diagnosis["fault"] == "channel-order" and diagnosis["samples"] == 12
    assert diagnosis["candidates"][0].keys() == {"fault", "score", "evidence", "fix"}
    text = stage(*arguments)
    assert "fault: channel-order" in text.stdout  # type: ignore[attr-defined]


def test_other_classes_and_other_samples_are_refused(world: World, tmp_path: Path) -> None:
    (tmp_path / "r").mkdir()
    np.zeros(7, np.float32).tofile(tmp_path / "r/img_00_1.bin")
    with pytest.raises(InputError, match="the port has 7 classes, the reference 12"):
        diagnose(
            str(world.card),
            world.model,
            world.images,
            world.labels,
            tmp_path / "r",
            reading=Reading(classes=7),
        )
    (tmp_path / "r/img_00_1.bin").rename(tmp_path / "r/other_1.bin")
    with pytest.raises(InputError, match="no sample in common"):
        diagnose(str(world.card), world.model, world.images, world.labels, tmp_path / "r")
