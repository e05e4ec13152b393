"""The part of a port that needs an Ascend device: check it, convert, infer for accuracy at each
batch that ports report, and time every batch.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from portproof.rundir.settings import Settings
from portproof.rundir.step import VERDICTS, Step, step
from portproof.target import find_target

#: The label of the figures after tuning: a column of its own beside the target's.
TUNED = "_aoe"


def labels(settings: Settings, target: str) -> list[str]:
    """The labels of a target's figures."""
    name = find_target(target).name
    return [name, name + TUNED] if settings.tune else [name]


def steps(settings: Settings, target: str, accuracy_batches: Sequence[int]) -> Iterator[Step]:
    """Check the devices, convert, and infer the whole set."""
    name = find_target(target).name
    devices = ("--device", *settings.devices)
    yield _on(target, step(f"device {name}", "npu_check", "--target", name, *devices))
    batches = ",".join(map(str, settings.batches))
    for label in labels(settings, target):
        tune = ("--tune",) if label != name else ()
        yield _on(
            target,
            step(
                f"convert {label}",
                "onnx2om",
                "model.onnx",
                f"{label}/bs{{batch}}",
                "--target",
                name,
                "--batch",
                batches,
                *tune,
            ),
        )
    for batch in accuracy_batches:
        yield from _accuracy(settings, target, name, batch)


def _accuracy(settings: Settings, target: str, label: str, batch: int) -> Iterator[Step]:
    folder, device = f"{label}/bs{batch}", settings.devices[0]
    several = (
        ("--devices", *settings.devices)
        if len(settings.devices) > 1
        else ("--device", f"npu:{device}")
    )
    perf = f"{folder}/perf_vision_batchsize_{batch}_device_{device}.txt"
    infer = step(
        f"infer {label} bs{batch}",
        "infer",
        f"{folder}/model_bs{batch}.om",
        "--info",
        "prep.info",
        "--out",
        f"{folder}/result",
        "--batch",
        batch,
        *several,
        *_runner(settings),
        *(() if len(settings.devices) > 1 else ("--perf-file", perf)),
    )
    yield _on(target, infer)
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


def benches(settings: Settings, target: str) -> Iterator[Step]:
    """Time every batch, by the runner's pure inference or in this process."""
    for label in labels(settings, target):
        subject = f"{label}=om:{label}/bs{{batch}}/model_bs{{batch}}.om"
        bench = step(
            f"bench {label}",
            "bench",
            subject,
            "--batch",
            ",".join(map(str, settings.batches)),
            "--model",
            settings.model,
            "--device",
            f"npu:{settings.devices[0]}",
            *_runner(settings),
            "--out",
            f"{label}/perf.json",
            accepted=VERDICTS,
        )
        yield _on(target, bench)
        if times_card(settings, target):
            card = step(
                f"card {label}",
                "bench",
                subject,
                "--batch",
                ",".join(map(str, settings.batches)),
                "--model",
                settings.model,
                "--devices",
                *settings.devices,
                "--out",
                f"{label}/card.json",
                accepted=VERDICTS,
                show=True,
            )
            yield _on(target, card)


def times_card(settings: Settings, target: str) -> bool:
    """Whether several chips of a card are timed together."""
    return find_target(target).vendor == "ascend" and len(settings.devices) > 1


def _runner(settings: Settings) -> tuple[str, ...]:
    return () if settings.runner == "om" else ("--runner", settings.runner)


def _on(target: str, one: Step) -> Step:
    return replace(one, target=target)
