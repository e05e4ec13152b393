"""The plan of a port: which commands run, in which order, in the run directory.

Every step is a command that a user could type there; the report prints exactly these. Steps are
made one by one, because later ones read what earlier ones wrote.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from portproof.core.errors import InputError
from portproof.core.yamlfile import data_folder
from portproof.measurement import TOGETHER, Boundary
from portproof.proof.sidecar import proof_of
from portproof.recipe import Recipe
from portproof.rundir.settings import Settings
from portproof.rundir.step import VERDICTS, Step, step
from portproof.rundir.vendors import ascend as ascend_plan
from portproof.rundir.vendors import nvidia as nvidia_plan
from portproof.target import find_target

REFERENCE = "eager"
#: Converter of a target -> the steps of targets that run what it makes.
_OFFLINE: dict[str, Offline] = {"onnx2om": ascend_plan, "onnx2trt": nvidia_plan}


def steps(settings: Settings, run_dir: Path, workers: int | None) -> Iterator[Step]:
    """The steps of a port. :class:`InputError` for a rehearsal of a target that has no simulated
    tools.
    """
    real = [t for t in settings.targets if find_target(t).converter == "onnx2trt"]
    if settings.rehearse and real:
        raise InputError(
            f"only Ascend targets can be rehearsed, and '{real[0]}' is none; leave --rehearse out"
        )
    if settings.demonstration:
        yield from demonstration()
    spread = ("--workers", workers) if workers else ()
    card = settings.model
    yield step(
        "export", "export", settings.weights, "model.onnx", "--model", card, artefact="model.onnx"
    )
    yield step(
        "preprocess",
        "preprocess",
        settings.images,
        "prep",
        "--model",
        card,
        *spread,
        artefact="prep",
    )
    yield step("info", "get_info", "bin", "prep", "prep.info", *sample_size(run_dir / "prep"))
    labels = [label_of(t) for t in settings.targets]
    batch = accuracy_batch(settings.batches)
    yield from accuracy(REFERENCE, settings.weights, batch, settings)
    for name, label in zip(settings.targets, labels, strict=True):
        if is_offline(name):
            yield from offline_plan(name).steps(settings, name, accuracy_batches(settings.batches))
        else:
            yield from accuracy(label, "model.onnx", batch, settings)
    for name, label in zip(settings.targets, labels, strict=True):
        out = "compare.json" if label == labels[0] else f"{label}/compare.json"
        yield step(
            f"compare {label}",
            "compare",
            f"{REFERENCE}/bs{batch}/result",
            f"{label}/bs{batch}/result",
            settings.labels,
            "--margin-pp",
            settings.margin_pp,
            "--out",
            out,
            accepted=VERDICTS,
            show=True,
        )
        if is_offline(name):
            yield from offline_plan(name).benches(settings, name)
            continue
        subjects = (f"{label}={label}:model.onnx", f"{REFERENCE}={REFERENCE}:{settings.weights}")
        yield step(
            f"bench {label}",
            "bench",
            *subjects,
            "--batch",
            ",".join(map(str, settings.batches)),
            "--model",
            card,
            "--out",
            f"{label}/perf.json",
            accepted=VERDICTS,
        )
    chosen = ["--boundary", table_boundary(settings)] if table_boundary(settings) else []
    chosen += [
        word
        for label, count in table_chips(settings).items()
        for word in ("--chips", f"{label}={count}")
    ]
    yield step(
        "table",
        "table",
        *table_columns(settings),
        *chosen,
        "--out",
        "report/table",
        show=True,
        reports=True,
    )
    yield step("report", "report", ".", reports=True)


def table_columns(settings: Settings) -> list[str]:
    """The columns of the comparison table as ``table`` takes them: each target, the chips of its
    card together if they were timed so, then the reference as it was timed with the first that was
    timed against it. A device is timed alone, since its host's processor is no measure for it.
    """
    columns, reference = [], []
    for name in settings.targets:
        label = label_of(name)
        for column in timed_labels(settings, name):
            columns.append(f"{column}={column}/perf.json")
            columns += (
                [f"{column}{TOGETHER}={column}/card.json"]
                if ascend_plan.times_card(settings, name)
                else []
            )
        reference += [] if is_offline(name) else [f"{REFERENCE}={label}/perf.json"]
    return [*columns, *reference[:1]]


def timed_labels(settings: Settings, target: str) -> list[str]:
    """The labels under which a target is timed: its own, and that of its tuned model."""
    return (
        offline_plan(target).labels(settings, target) if is_offline(target) else [label_of(target)]
    )


def table_boundary(settings: Settings) -> Boundary | None:
    """The timing boundary of the table: the device's own where every target is timed by a vendor's
    runtime; the host call where one is not, which vendor tools do not know; None, what each column
    has, where there is no choice.
    """
    offline = [is_offline(name) for name in settings.targets]
    return "device" if all(offline) else "call" if any(offline) else None


def table_chips(settings: Settings) -> dict[str, int]:
    """Chips on a card, for the labels that are no target's own name: a tuned model's are its
    target's.
    """
    targets = {
        label: find_target(name)
        for name in settings.targets
        if is_offline(name)
        for label in ascend_plan.labels(settings, name)
    }
    return {
        label: target.chips_per_card for label, target in targets.items() if label != target.name
    }


def is_offline(target: str) -> bool:
    """Whether the target runs files of its vendor's own (``.om``, ``.plan``), which are made and
    timed by the vendor's tools.
    """
    return find_target(target).converter in _OFFLINE


def offline_plan(target: str) -> Offline:
    """The steps of such a target."""
    return _OFFLINE[find_target(target).converter or ""]


class Offline(Protocol):
    """The module of one vendor's steps."""

    def labels(self, settings: Settings, target: str) -> list[str]:
        """The labels of a target's figures."""

    def steps(
        self, settings: Settings, target: str, accuracy_batches: Sequence[int]
    ) -> Iterator[Step]:
        """From ``model.onnx`` to the results at the accuracy batches."""

    def benches(self, settings: Settings, target: str) -> Iterator[Step]:
        """Time every batch."""


def demonstration() -> Iterator[Step]:
    """Make the demonstration's images, labels and weights: scikit-learn's digits, and a small
    network trained on them.
    """
    folder = data_folder("examples") / "digits"
    card = folder / "digits.yaml"
    yield step("data", str(folder / "data.py"), "data", artefact="data")
    yield step(
        "preprocess train",
        "preprocess",
        "data/train",
        "prep_train",
        "--model",
        card,
        artefact="prep_train",
    )
    yield step(
        "train",
        str(folder / "train.py"),
        "prep_train",
        "data/train_label.txt",
        "weights.pth",
        artefact="weights.pth",
    )


def accuracy(label: str, model: str, batch: int, settings: Settings) -> Iterator[Step]:
    """The accuracy run of one label, whose name is its backend's: infer offline, then Top-N."""
    folder = f"{label}/bs{batch}"
    yield step(
        f"infer {label}",
        "infer",
        model,
        "--info",
        "prep.info",
        "--out",
        f"{folder}/result",
        "--backend",
        label,
        "--batch",
        batch,
        "--model",
        settings.model,
        "--perf-file",
        f"{folder}/perf_vision_batchsize_{batch}_device_0.txt",
        artefact=f"{folder}/result",
    )
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
    """The batch size of the accuracy runs: the largest to bench that is not over 16, as ports
    report bs1 and bs16.
    """
    return max((b for b in batches if b <= 16), default=min(batches))


def accuracy_batches(batches: tuple[int, ...]) -> list[int]:
    """The batch sizes of a device's accuracy runs, bs1 and bs16 where both are to be timed; the
    last one is compared.
    """
    return sorted({min(batches), accuracy_batch(batches)})


def sample_size(prep: Path) -> tuple[int, int]:
    """Width and height of the preprocessed samples, in pixels, from the preprocessing's sidecar."""
    proof = proof_of(prep)
    if proof is None or "recipe" not in proof.parameters:
        raise InputError(
            f"'{prep}' has no sidecar that says the shape of its samples; delete it and start again"
        )
    recipe = msgspec.convert(proof.parameters["recipe"], Recipe)
    height, width = recipe.shape[:2] if recipe.layout == "NHWC" else recipe.shape[1:]
    return width, height
