"""The plan of a port: which commands run, in which order, in the run directory.

Every step is a command that a user could type there; the report prints exactly these. Steps are made one by one, because later ones
read what earlier ones wrote.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import msgspec

from portproof.errors import EXIT_DONE, EXIT_FAIL, EXIT_UNDECIDED, InputError
from portproof.provenance import proof_of
from portproof.recipe import Recipe
from portproof.settings import Settings
from portproof.target import find_target
from portproof.yamlfile import data_folder

REFERENCE = "eager"
VERDICTS = (EXIT_DONE, EXIT_FAIL, EXIT_UNDECIDED)


@dataclass(frozen=True)
class Step:
    """One command: ``portproof COMMAND ARGUMENTS``, or a Python file when ``command`` ends in ``.py``.

    ``accepted``: exit codes after which the port goes on. ``show``: what it prints is for the user. ``reports``: it runs even after a
    device or a tool failed, since a port that fails still gets its report.
    """

    name: str
    command: str
    arguments: tuple[str, ...]
    accepted: tuple[int, ...] = (EXIT_DONE,)
    show: bool = False
    reports: bool = False


def step(
    name: str, command: str, *arguments: object, accepted: tuple[int, ...] = (EXIT_DONE,), show: bool = False, reports: bool = False
) -> Step:
    """A step, its arguments as text."""
    return Step(name, command, tuple(str(a) for a in arguments), accepted, show, reports)


def steps(settings: Settings, run_dir: Path, workers: int | None) -> Iterator[Step]:
    """The steps of a port."""
    if settings.demonstration:
        yield from demonstration()
    spread = ("--workers", workers) if workers else ()
    card = settings.model
    yield step("export", "export", settings.weights, "model.onnx", "--model", card)
    yield step("preprocess", "preprocess", settings.images, "prep", "--model", card, *spread)
    yield step("info", "get_info", "bin", "prep", "prep.info", *sample_size(run_dir / "prep"))
    labels = [label_of(t) for t in settings.targets]
    batch = accuracy_batch(settings.batches)
    for label in (REFERENCE, *labels):
        yield from accuracy(label, settings.weights if label == REFERENCE else "model.onnx", batch, settings)
    for label in labels:
        out = "compare.json" if label == labels[0] else f"{label}/compare.json"
        yield step(f"compare {label}", "compare", f"{REFERENCE}/bs{batch}/result", f"{label}/bs{batch}/result", settings.labels,
                   "--margin-pp", settings.margin_pp, "--out", out, accepted=VERDICTS, show=True)  # fmt: skip
        subjects = (f"{label}={label}:model.onnx", f"{REFERENCE}={REFERENCE}:{settings.weights}")
        yield step(f"bench {label}", "bench", *subjects, "--batch", ",".join(map(str, settings.batches)), "--model", card,
                   "--out", f"{label}/perf.json", accepted=VERDICTS)  # fmt: skip
    yield step("table", "table", *table_columns(settings), "--out", "report/table", show=True, reports=True)
    yield step("report", "report", ".", reports=True)


def table_columns(settings: Settings) -> list[str]:
    """The columns of the comparison table as ``table`` takes them: each target, then the reference as it was timed with the first."""
    labels = [label_of(t) for t in settings.targets]
    return [*(f"{label}={label}/perf.json" for label in labels), f"{REFERENCE}={labels[0]}/perf.json"]


def demonstration() -> Iterator[Step]:
    """Make the demonstration's images, labels and weights: scikit-learn's digits, and a small network trained on them."""
    folder = data_folder("examples") / "digits"
    card = folder / "digits.yaml"
    yield step("data", str(folder / "data.py"), "data")
    yield step("preprocess train", "preprocess", "data/train", "prep_train", "--model", card)
    yield step("train", str(folder / "train.py"), "prep_train", "data/train_label.txt", "weights.pth")


def accuracy(label: str, model: str, batch: int, settings: Settings) -> Iterator[Step]:
    """The accuracy run of one label, whose name is its backend's: infer offline, then Top-N."""
    folder = f"{label}/bs{batch}"
    yield step(f"infer {label}", "infer", model, "--info", "prep.info", "--out", f"{folder}/result", "--backend", label, "--batch", batch,
               "--model", settings.model, "--perf-file", f"{folder}/perf_vision_batchsize_{batch}_device_0.txt")  # fmt: skip
    yield step(
        f"topn {label}",
        "topn",
        f"{folder}/result",
        settings.labels,
        "--out",
        f"{folder}/result.json",
        "--outcomes",
        f"{folder}/outcomes.csv",
    )


def label_of(target: str) -> str:
    """The label of a target: its name; on the CPU, the backend that stands for it."""
    found = find_target(target)
    return found.backend if found.vendor == "cpu" else found.name


def accuracy_batch(batches: tuple[int, ...]) -> int:
    """The batch size of the accuracy runs: the largest to bench that is not over 16, as ports report bs1 and bs16."""
    return max((b for b in batches if b <= 16), default=min(batches))


def sample_size(prep: Path) -> tuple[int, int]:
    """Width and height of the preprocessed samples, in pixels, from the preprocessing's sidecar."""
    proof = proof_of(prep)
    if proof is None or "recipe" not in proof.parameters:
        raise InputError(f"'{prep}' has no sidecar that says the shape of its samples; delete it and start again")
    recipe = msgspec.convert(proof.parameters["recipe"], Recipe)
    height, width = recipe.shape[:2] if recipe.layout == "NHWC" else recipe.shape[1:]
    return width, height
