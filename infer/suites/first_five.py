"""How often the right class is among the first five, for every subject and batch of a suite.

The inference and the count are the pipeline's own commands. Where the suite states no labels, the
right class is the one that the first subject answers at the first batch: then the figures say how
well the others agree with it, and nothing about the world.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

import portproof
from portproof.core.errors import InputError
from portproof.core.files import existing_file, read_text, write_text
from portproof.core.shell import run_program
from portproof.infer.offline.inference import run
from portproof.infer.suites.artefacts import Artefacts
from portproof.infer.timing.subject import Subject

RANKS = 5


@dataclass(frozen=True, slots=True)
class TopN:
    """The count of one subject and batch. ``accuracy``: fractions for the first 1 to 5 ranks;
    ``line``: the same as the source scripts print it; ``labels``: where the right classes are from.
    """

    images: int
    accuracy: tuple[float, ...]
    line: str
    labels: str


def top_n(
    made: Artefacts, subjects: Sequence[Subject], batches: Sequence[int], count: int, folder: Path
) -> dict[tuple[str, int], TopN]:
    """The figures by label and batch."""
    info = made.samples(count)
    found: dict[tuple[str, int], TopN] = {}
    stated = made.suite.labels
    labels = existing_file(stated, "labels") if stated else None
    origin = f"the labels of '{stated}'"
    for subject in subjects:
        for batch in batches:
            result = folder / subject.label / f"bs{batch}"
            run(
                subject.model(batch),
                info,
                result,
                backend=subject.backend,
                batch=batch,
                card=made.entry.model,
                device=subject.device,
                precision=subject.precision,
                threads=subject.threads,
                options=subject.options,
            )
            if labels is None:
                labels = folder / "labels.txt"
                origin = _answers_of(result, labels, subject.label, batch)
            found[subject.label, batch] = _counted(result, labels, origin, folder)
    return found


def _answers_of(result: Path, labels: Path, label: str, batch: int) -> str:
    """Write the classes that a result answers as labels; says so in words."""
    files = sorted(result.glob("*.bin"))
    classes = [int(np.argmax(np.fromfile(path, np.float32))) for path in files]
    ids = [path.name.rpartition("_")[0] for path in files]
    write_text(labels, "".join(f"{i} {c}\n" for i, c in zip(ids, classes, strict=True)))
    return (
        f"the answers of {label} at batch {batch}, {len(set(classes))} different classes in"
        f" {len(classes)} samples (the suite states no labels)"
    )


def _counted(result: Path, labels: Path, origin: str, folder: Path) -> TopN:
    out = folder / f"{result.parent.name}_{result.name}.json"
    package = str(Path(portproof.__file__).parent.parent)
    paths = os.pathsep.join(p for p in (package, os.environ.get("PYTHONPATH")) if p)
    words: list[str | Path] = [sys.executable, "-m", "portproof", "topn", result, labels]
    done = run_program(
        [*words, "--out", out],
        out.with_suffix(".log"),
        environment={**os.environ, "PYTHONPATH": paths},
    )
    if done.exit_code:
        raise done.failure("the accuracy could not be counted")
    line = read_text(out, "result file").strip()
    try:
        values = {row["key"]: row["value"] for row in json.loads(line)["value"]}
        accuracy = tuple(
            float(values[f"Top{n} accuracy"].rstrip("%")) / 100 for n in range(1, RANKS + 1)
        )
        return TopN(int(values["Number of images"]), accuracy, line, origin)
    except (KeyError, ValueError, TypeError) as error:
        raise InputError(
            f"'{out}' is not of the form that 'portproof topn' writes; remove it and start again"
        ) from error
