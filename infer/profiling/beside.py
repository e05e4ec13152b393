"""The profiles of what a bench has timed, in a file beside its own."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from portproof.core.files import write_text
from portproof.infer.profiling.take import Asked, profiles_of
from portproof.infer.profiling.why_slow import as_json, as_markdown, why_slow
from portproof.infer.timing.subject import Subject


def profiled(subjects: Sequence[str], asked: Asked, common: Subject, perf_file: str) -> str:
    """Profile the subjects, apart from the timed calls; the table. ``perf.profile.json`` beside
    ``perf.json`` holds all operators.
    """
    found = why_slow(profiles_of(subjects, asked, common))
    write_text(Path(perf_file).with_suffix(".profile.json"), as_json(found))
    return as_markdown(found)
