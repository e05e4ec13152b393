"""Top-1 to Top-n of a result folder: the figures, ``result.json`` and the table of outcomes."""

from __future__ import annotations

import json
import os
from dataclasses import asdict, dataclass
from pathlib import Path

from portproof.core.errors import InputError
from portproof.core.files import write_text
from portproof.core.text import listed
from portproof.metrics.accuracy.one_output import Results
from portproof.metrics.accuracy.results import list_results
from portproof.metrics.accuracy.score import Reading, Scored, is_simulated, score
from portproof.outcome import write_outcomes
from portproof.proof.sidecar import read_proof, stored_path
from portproof.proof.work import Work


@dataclass(frozen=True)
class TopN:
    """The figures of ``result.json`` and what must be known to read them. ``hits[k]``: samples
    right within the first k + 1 ranks.
    """

    samples: int
    classes: int
    hits: list[int]
    ties: int
    missing: list[str]
    simulated: bool = False

    @property
    def accuracy(self) -> list[float]:
        """Top-1, Top-2, ... as fractions of the samples."""
        return [h / self.samples for h in self.hits]

    def to_json(self) -> str:
        """The text of ``result.json`` in the fixed form that readers of these files expect, without
        a newline at the end.

        The percentages are strings, rounded by Python to two decimals without trailing zeros
        (``87.5%``).
        """
        figures = {"Number of images": str(self.samples), "Number of classes": str(self.classes)}
        figures |= {
            f"Top{k} accuracy": f"{round(a * 100, 2)}%"
            for k, a in enumerate(self.accuracy, start=1)
        }
        value = [{"key": key, "value": text} for key, text in figures.items()]
        return json.dumps({"title": "Overall statistical evaluation", "value": value})

    def to_text(self) -> str:
        """The figures for people, a line each, with what was left out."""
        lines = ["REHEARSAL: the results are simulated"] if self.simulated else []
        lines += [
            f"Top-{k} accuracy {100 * a:6.2f} %  ({h} of {self.samples})"
            for k, (a, h) in enumerate(zip(self.accuracy, self.hits, strict=True), start=1)
        ]
        lines.append(
            f"{self.classes} classes; ties with the label, which count against the model:"
            f" {self.ties}"
        )
        if self.missing:
            lines.append(
                f"MISSING: {len(self.missing)} samples of the label file have no result and are in"
                f" no figure ({listed(self.missing)})"
            )
        return "\n".join(lines)


def topn(
    result: str | os.PathLike[str],
    labels: str | os.PathLike[str],
    reading: Reading | None = None,
    *,
    n: int = 5,
    out: str | os.PathLike[str] | None = None,
    outcomes: str | os.PathLike[str] | None = None,
    simulated: bool = False,
) -> TopN:
    """Top-1 to Top-``n`` of a result folder (see :func:`portproof.metrics.accuracy.score.score` for
    what it refuses).

    Writes ``result.json`` to ``out`` and the table of outcomes to ``outcomes``, where given, and
    the sidecar of the first of them; asked again with the same inputs it says so and gives the
    figures from the sidecar. ``simulated``: the results are a rehearsal's, which is also known when
    their own sidecar says so.
    """
    reading = reading or Reading()
    simulated = simulated or is_simulated(Path(result))
    targets = [Path(path) for path in (out, outcomes) if path is not None]
    if not targets:
        return _figures(score(result, labels, reading), n, simulated)
    for target in targets:
        if target.resolve().is_relative_to(Path(result).resolve()):
            raise InputError(
                f"'{target}' would be among the results in '{result}', which holds sample files"
                " only; write it elsewhere"
            )
    results = list_results(result, reading.output)
    work = _work(results, Path(labels), reading, targets=targets, n=n, simulated=simulated)
    if work.is_done():
        return TopN(**read_proof(work.sidecar).facts["figures"])
    work.begin()
    scored = score(results, labels, reading, digest=True)
    figures = _figures(scored, n, simulated)
    if out is not None:
        write_text(out, figures.to_json())
    if outcomes is not None:
        write_outcomes(outcomes, scored.outcomes)
    work.finish(targets, facts={"figures": asdict(figures), "result sha256": scored.sha256})
    return figures


def _figures(scored: Scored, n: int, simulated: bool) -> TopN:
    hits = scored.outcomes.hits(min(n, scored.classes))
    return TopN(
        len(scored.outcomes), scored.classes, hits, scored.ties, list(scored.missing), simulated
    )


def _work(
    results: Results,
    labels: Path,
    reading: Reading,
    *,
    targets: list[Path],
    n: int,
    simulated: bool,
) -> Work:
    files, parameters = reading.inputs("result", results)
    work = Work(
        "topn",
        targets[0],
        inputs={"labels": [labels], **files},
        parameters=parameters,
        packages=("numpy",),
        simulated=simulated,
    )
    work.parameters |= {"n": n, "written": [stored_path(target, work.root) for target in targets]}
    return work
