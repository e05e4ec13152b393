"""The times of the steps around the inference: of which work, by how many, to which digit."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest

from portproof.recipe import Recipe
from portproof.reports.over_time import repeated_times
from portproof.reports.over_time.repeated_times import _preprocessing, _seconds


def test_the_control_is_that_of_the_baselines_that_are_frozen_already() -> None:
    """32 MiB of zeros, hashed by another program: other work would make every step of a baseline
    faster or slower than it was.
    """
    digest = hashlib.sha256(repeated_times._CONTROL).hexdigest()
    assert digest == "83ee47245398adee79bd9c0a8bc57b821e92aba10f5f9ade8a5d1fae4d8c4302"


def test_a_time_is_how_long_the_work_took_to_the_nanosecond(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The clock counts from any moment, and has digits beyond what it can tell."""
    now = 64.0
    monkeypatch.setattr(repeated_times, "time", SimpleNamespace(perf_counter=lambda: now))

    def work() -> None:
        nonlocal now
        now += 0.1234567891234

    assert _seconds(work) == 0.123456789


def test_the_first_64_images_are_timed_by_one_worker(monkeypatch: pytest.MonkeyPatch) -> None:
    """As the report says; how many processors are free today is no part of it."""
    asked: list[tuple[Path, Recipe, int | None]] = []
    made: list[int] = []

    def stream(images: Path, recipe: Recipe, workers: int | None = None) -> Iterator[int]:
        asked.append((images, recipe, workers))
        for image in range(100):
            made.append(image)
            yield image

    monkeypatch.setattr(repeated_times, "stream", stream)
    recipe = Recipe(crop=(8, 8))
    proof = SimpleNamespace(parameters={"recipe": msgspec.to_builtins(recipe)})
    data: Any = SimpleNamespace(
        files=SimpleNamespace(prep="prep"),
        stage=lambda artefact: SimpleNamespace(proof=proof) if artefact == "prep" else None,
        root=Path("run"),
        settings=SimpleNamespace(images="images"),
    )
    samples, work = _preprocessing(data)
    assert (samples, made) == (64, [*range(64)])
    work()
    assert made == [*range(64), *range(64)]
    assert asked == [(Path("run/images"), recipe, 1)] * 2
