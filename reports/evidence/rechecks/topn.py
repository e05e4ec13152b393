"""Top-N: scored again from the result files and the labels."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import msgspec

from portproof.core.errors import InputError
from portproof.metrics.accuracy.score import Reading, score
from portproof.metrics.accuracy.topn import TopN
from portproof.proof.lineage import Stage
from portproof.proof.sidecar import SUFFIX
from portproof.reports.evidence.findings import Finding, changed, differences, not_derived
from portproof.reports.evidence.rechecks.labels import labels_of


def recheck(stage: Stage, run_dir: Path) -> Iterator[Finding]:
    """Score the results again and compare ``result.json``, outcomes and the sidecar."""
    parameters = stage.proof.parameters
    with labels_of(stage, run_dir) as (labels, why):
        if why:
            yield not_derived(stage.artefact, why)
        if labels is None:
            return
        try:
            scored = score(
                run_dir / result_folder(stage),
                labels,
                msgspec.convert(parameters["result reading"], Reading),
                digest="result sha256" in stage.proof.facts,
            )
        except (InputError, OSError) as error:
            yield changed(stage.artefact, f"it cannot be computed again: {error}")
            return
    hits = scored.outcomes.hits(min(parameters["n"], scored.classes))
    figures = TopN(
        len(scored.outcomes),
        scored.classes,
        hits,
        scored.ties,
        list(scored.missing),
        stage.proof.simulated,
    )
    yield from differences(
        stage.sidecar, stage.proof.facts.get("figures"), asdict(figures), "facts.figures"
    )
    stated = stage.proof.facts.get("result sha256")
    yield from differences(stage.sidecar, stated, scored.sha256, "facts.result sha256")
    for path in parameters["written"]:
        stated = _text(run_dir / path)
        if path.endswith(".csv"):
            if stated != scored.outcomes.to_csv():
                yield changed(path, _first_other_row(stated, scored.outcomes.to_csv()))
        else:
            yield from differences(path, _by_key(stated), _by_key(figures.to_json()))


def result_folder(stage: Stage) -> str:
    """The result folder: its sidecar is an input; without one, the first argument."""
    records = stage.proof.inputs.get("result")
    return records[0].path.removesuffix(SUFFIX) if records else stage.command[2]


def _text(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""


def _by_key(text: str) -> object:
    """The rows of a ``result.json`` by their keys, so that a difference has the figure's
    name.
    """
    try:
        content = json.loads(text)
        return {"title": content["title"], **{row["key"]: row["value"] for row in content["value"]}}
    except (ValueError, KeyError, TypeError, RecursionError):
        return text


def _first_other_row(stated: str, derived: str) -> str:
    one, other = stated.splitlines(), derived.splitlines()
    for number, (a, b) in enumerate(zip(one, other, strict=False), start=1):
        if a != b:
            return f"line {number} says {a!r}, the result files give {b!r}"
    return f"it has {max(0, len(one) - 1)} samples, the result files give {len(other) - 1}"
