"""The labels of a run: its label file, or the labels in the tables of outcomes."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator
from pathlib import Path

from portproof.core.errors import InputError
from portproof.core.files import sha256_of
from portproof.metrics.accuracy.score import BACKGROUND_CLASSES
from portproof.outcome import read_outcomes
from portproof.proof.lineage import Stage, read_stages


@contextlib.contextmanager
def labels_of(stage: Stage, run_dir: Path) -> Iterator[tuple[Path | None, str]]:
    """A label file for the stage, and why it is not the one that the stage read (empty: it is).
    None when there are no labels at all.
    """
    record = stage.proof.inputs["labels"][0]
    path = run_dir / record.path
    if path.is_file() and sha256_of(path) == record.sha256:
        yield path, ""
        return
    why = f"the label file that was read is not on this host ('{record.path}')"
    table = _outcomes_with(record.sha256, run_dir)
    if table is None:
        yield None, f"{why}, and no table of outcomes has its labels"
        return
    with tempfile.TemporaryDirectory(prefix="portproof-verify-") as scratch:
        copy = Path(scratch, "labels.txt")
        copy.write_text(table, encoding="utf-8")
        yield copy, f"{why}; its labels were taken from the tables of outcomes"


def _outcomes_with(sha256: str, run_dir: Path) -> str | None:
    """The text of a label file, made from the outcomes of a Top-N run that read the label file of
    this hash.
    """
    for stage in read_stages(run_dir):
        tables = [
            p
            for p in stage.proof.parameters.get("written", [])
            if p.endswith(".csv") and (run_dir / p).is_file()
        ]
        if (
            stage.proof.stage != "topn"
            or not tables
            or stage.proof.inputs["labels"][0].sha256 != sha256
        ):
            continue
        with contextlib.suppress(InputError):
            outcomes = read_outcomes(run_dir / tables[0])
            # Outcomes count the model's outputs; label files do not count a background class.
            shift = stage.proof.facts.get("figures", {}).get("classes") == BACKGROUND_CLASSES
            return "".join(
                f"{name} {label - shift}\n"
                for name, label in zip(outcomes.ids, outcomes.label.tolist(), strict=True)
            )
    return None
