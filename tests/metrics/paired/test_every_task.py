"""Every task, from files to a verdict: the same results are no loss, a planted drop is found."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from portproof.metrics.evaluation.origin import Decoding
from portproof.metrics.paired.by_task import Margin, compare_by_task
from portproof.metrics.tasks import load_task, task_names
from portproof.verdict import Verdict

Rng = np.random.Generator
#: Makes (truth, reference, port) in a folder; the port breaks so many of the samples.
World = Callable[[Path, Rng, float], tuple[Path, Path, Path]]
WORDS = ["ab", "bc", "cd", "de", "ef", "fg", "gh", "hi"]


def text_file(path: Path, texts: dict[str, str]) -> Path:
    path.write_text("".join(f"{name}.x\t{text}\n" for name, text in texts.items()))
    return path


def texts(folder: Path, r: Rng, broken: float) -> tuple[Path, Path, Path]:
    """Sentences, of which each side reads some wrong."""
    truth = {f"s{i}": " ".join(r.choice(WORDS, 8)) for i in range(600)}

    def side(share: float) -> dict[str, str]:
        return {n: "zz" if r.random() < share else t for n, t in truth.items()}

    reference = side(0.05)
    port = {n: "zz" if r.random() < broken else t for n, t in reference.items()}
    return (
        text_file(folder / "t.txt", truth),
        text_file(folder / "a.txt", reference),
        text_file(folder / "b.txt", port),
    )


def classes(folder: Path, r: Rng, broken: float) -> tuple[Path, Path, Path]:
    truth = {f"s{i}": str(r.integers(0, 4)) for i in range(600)}
    reference = {n: c if r.random() < 0.9 else "0" for n, c in truth.items()}
    port = {n: "3" if r.random() < broken else c for n, c in reference.items()}
    named = (("t", truth), ("a", reference), ("b", port))
    paths = [text_file(folder / f"{n}.txt", t) for n, t in named]
    return paths[0], paths[1], paths[2]


def tags(folder: Path, r: Rng, broken: float) -> tuple[Path, Path, Path]:
    def conll(path: Path, sentences: list[list[str]]) -> Path:
        path.write_text("\n\n".join("\n".join(f"w {t}" for t in s) for s in sentences) + "\n")
        return path

    truth = [list(r.choice(["O", "B-X", "B-Y"], 6)) for _ in range(600)]
    reference = [[t if r.random() < 0.95 else "O" for t in s] for s in truth]
    port = [["O"] * 6 if r.random() < broken else s for s in reference]
    sides = zip("tab", (truth, reference, port), strict=True)
    paths = [conll(folder / f"{n}.conll", s) for n, s in sides]
    return paths[0], paths[1], paths[2]


def answers(folder: Path, r: Rng, broken: float) -> tuple[Path, Path, Path]:
    truth, reference, port = texts(folder, r, broken)
    entries = [line.split("\t") for line in truth.read_text().splitlines()]
    asked = [json.dumps({"id": name, "answers": [text]}) for name, text in entries]
    (folder / "t.jsonl").write_text("\n".join(asked))
    return folder / "t.jsonl", reference, port


def masks(folder: Path, r: Rng, broken: float) -> tuple[Path, Path, Path]:
    image = pytest.importorskip("PIL.Image")
    for name in "tab":
        (folder / name).mkdir()
    for i in range(400):
        true = r.integers(0, 3, (12, 12)).astype(np.uint8)
        said = np.where(r.random(true.shape) < 0.9, true, 0).astype(np.uint8)
        port = np.zeros_like(said) if r.random() < broken else said
        for name, ids in zip("tab", (true, said, port), strict=True):
            image.fromarray(ids).save(folder / name / f"s{i}.png")
    return folder / "t", folder / "a", folder / "b"


def pictures(folder: Path, r: Rng, broken: float) -> tuple[Path, Path, Path]:
    image = pytest.importorskip("PIL.Image")
    for name in "tab":
        (folder / name).mkdir()
    for i in range(150):
        true = np.kron(r.integers(0, 256, (4, 4, 3)), np.ones((4, 4, 1)))
        said = np.clip(true + r.normal(0, 5, true.shape), 0, 255)
        port = said * 0.5 if r.random() < broken else said
        for name, levels in zip("tab", (true, said, port), strict=True):
            image.fromarray(levels.astype(np.uint8)).save(folder / name / f"s{i}.png")
    return folder / "t", folder / "a", folder / "b"


def regions(folder: Path, r: Rng, broken: float) -> tuple[Path, Path, Path]:
    for name in "tab":
        (folder / name).mkdir()
    for i in range(400):
        boxes = [(x, 0, x + 10, 8) for x in range(0, 60, 20)]
        said = [b for b in boxes if r.random() < 0.95]
        port = [] if r.random() < broken else said
        rows = (("t", "gt", boxes, ",x"), ("a", "res", said, ""), ("b", "res", port, ""))
        for name, prefix, found, end in rows:
            text = "".join(",".join(map(str, b)) + end + "\n" for b in found)
            (folder / name / f"{prefix}_s{i}.txt").write_text(text)
    return folder / "t", folder / "a", folder / "b"


def results(folder: Path, arrays: dict[str, np.ndarray]) -> Path:
    folder.mkdir()
    for name, array in arrays.items():
        np.save(folder / f"{name}_1.npy", array)
    return folder


def vectors(folder: Path, r: Rng, broken: float) -> tuple[Path, Path, Path]:
    centres = r.normal(0, 1, (20, 16))
    who = {f"s{i}": int(r.integers(0, 20)) for i in range(500)}
    said = {n: centres[k] + r.normal(0, 0.3, 16) for n, k in who.items()}
    port = {n: r.normal(0, 1, 16) if r.random() < broken else v for n, v in said.items()}
    (folder / "t").mkdir()
    lines = [f"{n} {k}\n" for n, k in who.items()]
    (folder / "t" / "query.txt").write_text("".join(lines[:400]))
    (folder / "t" / "gallery.txt").write_text("".join(lines[400:]))
    return folder / "t", results(folder / "a", said), results(folder / "b", port)


def tokens(folder: Path, r: Rng, broken: float) -> tuple[Path, Path, Path]:
    truth = {f"s{i}": r.integers(0, 9, 12) for i in range(400)}
    said = {n: np.eye(9)[np.roll(t, -1)] * 4 + r.normal(0, 1, (12, 9)) for n, t in truth.items()}
    port = {n: -v if r.random() < broken else v for n, v in said.items()}
    lines = [json.dumps({"id": n, "tokens": t.tolist()}) for n, t in truth.items()]
    (folder / "t.jsonl").write_text("\n".join(lines))
    return folder / "t.jsonl", results(folder / "a", said), results(folder / "b", port)


WORLDS: dict[str, World] = {
    "semantic_segmentation": masks,
    "text_recognition": texts,
    "text_detection": regions,
    "speech_recognition": texts,
    "text_classification": classes,
    "token_classification": tags,
    "question_answering": answers,
    "translation": texts,
    "language_modelling": tokens,
    "super_resolution": pictures,
    "retrieval": vectors,
}
#: Where a figure is no share: margins in its own unit.
MARGINS = {"super_resolution": Margin(amount=1.0), "language_modelling": Margin(amount=1.0)}


def test_every_task_is_tried_here_or_beside() -> None:
    beside = {"detection", "instance_segmentation", "keypoints", "voc_detection"}
    assert set(task_names()) == set(WORLDS) | beside


def decoding(folder: Path, task: str) -> Decoding | None:
    if task != "language_modelling":
        return None
    (folder / "post.yaml").write_text("kind: log_probabilities\n")
    return Decoding(str(folder / "post.yaml"))


@pytest.mark.parametrize("task", WORLDS)
def test_the_same_results_are_no_loss(tmp_path: Path, task: str) -> None:
    truth, reference, port = WORLDS[task](tmp_path, np.random.default_rng(1), 0.0)
    said: dict[str, Any] = {"margin": MARGINS.get(task), "decoding": decoding(tmp_path, task)}
    found = compare_by_task(reference, port, truth, task, **said)
    assert found.difference == 0.0 and found.worse == found.better == 0
    assert found.verdict is Verdict.PASS, found.to_text()
    assert found.gate_bound is not None and found.gate_bound > 0, "few samples prove little"


@pytest.mark.parametrize("task", WORLDS)
def test_a_planted_drop_is_found(tmp_path: Path, task: str) -> None:
    truth, reference, port = WORLDS[task](tmp_path, np.random.default_rng(2), 0.25)
    said: dict[str, Any] = {"margin": MARGINS.get(task), "decoding": decoding(tmp_path, task)}
    found = compare_by_task(reference, port, truth, task, **said)
    assert found.verdict is Verdict.FAIL, found.to_text()
    assert found.worst and found.worse > found.better
    module = load_task(task)
    assert [f.name for f in found.figures] == [f.name for f in module.FIGURES]
