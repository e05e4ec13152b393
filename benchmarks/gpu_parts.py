"""The parts of the GPU benchmark: one model at one batch each, done in sittings, and the table of
what is done.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from portproof.core.errors import EXIT_DONE, EXIT_TOOL
from portproof.core.files import write_text
from portproof.measurement import Performance, read_performance
from portproof.proof.sidecar import environment

ROOT = Path(__file__).resolve().parents[1]
SITTING_S, STARTING_S = 480.0, 20.0
MORE_TO_DO = 75
BATCHES = (1, 2, 4, 8, 16, 32, 64)
#: Name in the table -> model card.
MODELS = {
    "resnet50": "torchvision:resnet50",
    "vgg16": "torchvision:vgg16",
    "mobilenetv2": "torchvision:mobilenet_v2",
    "inception_v3": "torchvision:inception_v3",
    "efficientnet_b0": "efficientnet_b0",
    "bert-base": str(ROOT / "benchmarks/gpu_models/bert_base.yaml"),
    "vit_base_patch16_224": "vit_base_patch16_224",
    "swin_tiny": "swin_tiny_patch4_window7_224",
    "regnety_016": (
        "timm:regnety_016.pycls_in1k"
    ),  # the card regnety_016 takes its published weights only
}


@dataclass(frozen=True)
class Part:
    """One model at one batch, and the file of its measurement."""

    model: str
    batch: int
    folder: Path

    @property
    def file(self) -> Path:
        """The measurement."""
        return self.folder / self.model / f"bs{self.batch}.json"

    @property
    def failed(self) -> Path:
        """Why there is no result, in one sentence; the part is not tried again until this file is
        deleted.
        """
        return self.file.with_suffix(".failed.txt")

    @property
    def over(self) -> bool:
        """Whether nothing is left to do."""
        return self.file.is_file() or self.failed.is_file()


def parts(models: Sequence[str], batches: Sequence[int], folder: Path) -> list[Part]:
    """All parts, model by model."""
    return [Part(m, b, folder) for m in models for b in batches]


def sit(
    todo: Sequence[Part],
    run: Callable[[Part, float], str | None],
    clock: Callable[[], float] = time.monotonic,
) -> int:
    """Do parts until the sitting is nearly over: 0 when all are over, 3 when some of them failed,
    75 when there are more.

    ``run(part, seconds)`` returns why the part failed, or None. A part is begun only when as much
    time is left as the longest took so far; one that fills a whole sitting and is not done has
    failed, one that began late is tried again.
    """
    began, longest = clock(), STARTING_S
    for number, part in enumerate(p for p in todo if not p.over):
        left = SITTING_S - (clock() - began)
        if number and left < longest:
            return MORE_TO_DO
        started = clock()
        why = run(part, left)
        longest = max(longest, clock() - started)
        if why == "time" and number:
            return MORE_TO_DO
        if why:
            write_text(
                part.failed, ("took longer than a whole sitting" if why == "time" else why) + "\n"
            )
    return EXIT_TOOL if any(p.failed.is_file() for p in todo) else EXIT_DONE


def random_weights(part: Part) -> Path:
    """The model's weights, random from a seed, made once."""
    import torch

    from portproof.convert.pytorch.models import build_model
    from portproof.core.files import atomic_writer
    from portproof.preprocess.cards.resolve import resolve_card

    path = part.file.with_name("weights.pth")
    if not path.is_file():
        torch.manual_seed(0)
        with atomic_writer(path) as file:
            torch.save(build_model(resolve_card(MODELS[part.model]), None).state_dict(), file)
    return path


def table(
    models: Sequence[str], batches: Sequence[int], folder: Path, gpu: str, facts: dict[str, str]
) -> str:
    """The measurements in the form of Poros' benchmark: mean latency of a call, ms, a section a
    model.
    """
    host = environment()
    lines = ["# Benchmark", "## Environment"]
    lines += [
        f"This benchmark is tested on {host['system']} {host['release']} with GPU `{gpu}` and CPU"
        f" `{host['processor']}`, and its environment is as follows:"
    ]
    lines += [
        "| Package  |  Version |",
        "|----------|----------|",
        *(f"| {name} | {version} |" for name, version in facts.items()),
        "",
    ]
    lines += [
        "## Performance",
        (
            "Mean latency of a call (ms), host call to host result, copies of inputs and outputs"
            " included. Random weights; TF32 is off."
        ),
    ]
    for number, model in enumerate(models, start=1):
        lines += [
            "",
            f"### {number}. {model}",
            f"Input shape: {_shape(model)}  ",
            *_section(parts([model], batches, folder)),
        ]
    return "\n".join(lines) + "\n"


def _shape(model: str) -> str:
    from portproof.preprocess.cards.resolve import resolve_card

    return ", ".join(
        "x".join(map(str, ("b", *i.shape))) for i in resolve_card(MODELS[model]).inputs
    )


def _section(of_model: Sequence[Part]) -> list[str]:
    found = {p.batch: read_performance(p.file) for p in of_model if p.file.is_file()}
    labels = list(
        dict.fromkeys(m.label for performance in found.values() for m in performance.measurements)
    )
    rows = (
        [
            f"| Batch size | {' | '.join(f'{label} (ms)' for label in labels)} |",
            "|---|" + "---|" * len(labels),
        ]
        if labels
        else []
    )
    rows += [
        f"| {batch} | {' | '.join(_mean_ms(performance, label) for label in labels)} |"
        for batch, performance in found.items()
    ]
    notes = [
        f"Batch {b} answers wrongly: {'; '.join(p.wrong)}." for b, p in found.items() if p.wrong
    ]
    notes += [
        f"Batch {b} is unstable: {'; '.join(p.reasons)}."
        for b, p in found.items()
        if p.status != "ok"
    ]
    notes += [
        f"Batch {p.batch} failed: {p.failed.read_text().strip()}"
        for p in of_model
        if p.failed.is_file()
    ]
    return [*rows, *(line for note in notes for line in ("", note))]


def _mean_ms(performance: Performance, label: str) -> str:
    samples = [
        s
        for m in performance.measurements
        if (m.label, m.boundary) == (label, "call")
        for s in m.valid
    ]
    return f"{1e3 * statistics.fmean(samples):.2f}" if samples else ""
