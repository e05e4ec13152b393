"""The part of a port that needs an NVIDIA GPU: make the file of the target's precision, build
engines, infer for accuracy, and time every batch by trtexec.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from portproof.rundir.settings import Settings
from portproof.rundir.step import VERDICTS, Step, step
from portproof.target import find_target


def labels(settings: Settings, target: str) -> list[str]:
    """The labels of a target's figures."""
    return [find_target(target).name]


def steps(settings: Settings, target: str, accuracy_batches: Sequence[int]) -> Iterator[Step]:
    """Reduce the precision, build the engines, and infer the whole set."""
    found = find_target(target)
    label, precision = found.name, found.precision
    model = _model(precision)
    if precision != "fp32":
        # The file has the precision for every version of TensorRT: 11 takes it from nowhere else.
        yield step(
            f"reduce {label}",
            "quantize",
            "model.onnx",
            model,
            "--precision",
            precision,
            "--info",
            "prep.info",
            artefact=model,
        )
    batches = ",".join(map(str, settings.batches))
    build = step(
        f"convert {label}",
        "onnx2trt",
        model,
        f"{label}/bs{{batch}}",
        "--batch",
        batches,
        "--precision",
        precision,
    )
    yield replace(build, target=target)
    for batch in accuracy_batches:
        yield from _accuracy(settings, target, batch)


def benches(settings: Settings, target: str) -> Iterator[Step]:
    """Time every batch."""
    label = find_target(target).name
    subject = f"{label}={_engine(target, '{batch}')}"
    batches = ",".join(map(str, settings.batches))
    bench = step(
        f"bench {label}",
        "trtbench",
        subject,
        "--batch",
        batches,
        "--out",
        f"{label}/perf.json",
        accepted=VERDICTS,
    )
    yield replace(bench, target=target)


def _accuracy(settings: Settings, target: str, batch: int) -> Iterator[Step]:
    label = find_target(target).name
    folder = f"{label}/bs{batch}"
    infer = step(
        f"infer {label} bs{batch}",
        "infer",
        _engine(target, str(batch)),
        "--info",
        "prep.info",
        "--out",
        f"{folder}/result",
        "--backend",
        "trt",
        "--batch",
        batch,
        "--model",
        settings.model,
        "--perf-file",
        f"{folder}/perf_vision_batchsize_{batch}_device_0.txt",
    )
    yield replace(infer, target=target)
    yield step(
        f"topn {label} bs{batch}",
        "topn",
        f"{folder}/result",
        settings.labels,
        "--out",
        f"{folder}/result.json",
        "--outcomes",
        f"{folder}/outcomes.csv",
    )


def _model(precision: str) -> str:
    return "model.onnx" if precision == "fp32" else f"model_{precision}.onnx"


def _engine(target: str, batch: str) -> str:
    found = find_target(target)
    stem = _model(found.precision).removesuffix(".onnx")
    return f"{found.name}/bs{batch}/{stem}_bs{batch}.plan"
