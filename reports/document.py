"""The README of a port, rendered from what its run directory says.

The template decides words and order; this module hands it the data and the formatters. Rounding is done here, once, and nowhere before.
"""

from __future__ import annotations

import math
import shlex
from collections.abc import Iterable
from typing import Any

from portproof.errors import MissingPackageError
from portproof.measurement import Measurement, Performance
from portproof.plan import REFERENCE
from portproof.reports.rundata import RunData, accuracy_folder
from portproof.text import code_span, markdown

#: Percentiles that are printed, and how many samples each needs so that at least ten lie beyond it.
PERCENTILES = ((50, 20), (90, 100), (99, 1000))


def render(data: RunData, language: str) -> str:
    """The README as Markdown, in ``language`` (a template ``readme.<language>.md.j2``)."""
    try:
        import jinja2
    except ImportError:
        raise MissingPackageError("Jinja2", "writing reports", "report") from None
    loader = jinja2.PackageLoader("portproof.reports", "templates")
    # What is written is Markdown, so the templates escape with `md`, not with Jinja's HTML rules.
    environment = jinja2.Environment(loader=loader, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True)  # noqa: S701
    environment.filters |= {"md": markdown, "code": code_span, "percent": percent, "rate": rate, "milliseconds": milliseconds}
    template = environment.get_template(f"readme.{language}.md.j2")
    return template.render(run=data, card=data.card, settings=data.settings, reference=REFERENCE, command=command_of, folder=accuracy_folder,
                           conversion=conversion_rows(data), recipe=recipe_text(data), performance=performance_rows, ratios=ratio_of,
                           top_names=top_names(data), speed=speed_table(data))  # fmt: skip


def command_of(data: RunData, artefact: str) -> str:
    """The command line that made an artefact, as it was typed in the run directory; an empty string when the artefact is not there."""
    stage = data.stage(artefact)
    if stage is None:
        return ""
    program, *rest = stage.proof.command
    first = program if program.startswith("portproof ") else f"python {program}"
    return f"{first} {shlex.join(rest)}".replace("`", "'")


def percent(fraction: float | None, digits: int = 2) -> str:
    """A fraction for people, in percent; a dash when it is not there.

    >>> percent(0.98567)
    '98.57 %'
    """
    return "-" if fraction is None else f"{100 * fraction:.{digits}f} %"


def rate(value: float | None) -> str:
    """Images per second with four significant digits; a dash when it is not there.

    >>> rate(12345.6), rate(0.01234), rate(None)
    ('12350', '0.01234', '-')
    """
    if value is None:
        return "-"
    return f"{float(f'{value:.4g}'):.{max(0, 3 - math.floor(math.log10(value)))}f}" if value > 0 else "0"


def milliseconds(seconds: float | None) -> str:
    """Seconds for people, in milliseconds with four significant digits; a dash when it is not there."""
    return "-" if seconds is None else rate(1000 * seconds)


def top_names(data: RunData) -> list[str]:
    """The accuracy rows there are (``Top1 accuracy`` ...), in the order of the result files."""
    names: dict[str, None] = {}
    for batches in data.results.values():
        for rows in batches.values():
            names |= dict.fromkeys(key for key in rows if key.startswith("Top"))
    return list(names)


def conversion_rows(data: RunData) -> list[tuple[str, str]]:
    """What the export's sidecar says about the ONNX file: simple facts, by name."""
    stage = data.stage("model.onnx")
    if stage is None:
        return []
    facts = stage.proof.parameters | stage.proof.facts
    return [(key.replace("_", " "), _plain(value)) for key, value in facts.items() if isinstance(value, int | float | str | bool)]


def recipe_text(data: RunData) -> str:
    """The preprocessing recipe, as compact YAML, from the sidecar of ``prep``; an empty string when there is none."""
    import yaml

    stage = data.stage("prep")
    recipe = stage.proof.parameters.get("recipe") if stage else None
    return yaml.safe_dump(recipe, sort_keys=False, default_flow_style=None).strip() if recipe else ""


def performance_rows(performance: Performance) -> Iterable[dict[str, Any]]:
    """A row for each measurement: label, batch, boundary, rate, percentiles of a call (None with too few samples), calls."""
    for m in performance.measurements:
        yield {"label": m.label, "batch": m.batch, "boundary": m.boundary, "rate": m.images_per_second, "calls": len(m.samples),
               "percentiles": [percentile(m, p) if len(m.samples) >= needed else None for p, needed in PERCENTILES]}  # fmt: skip


def percentile(measurement: Measurement, p: int) -> float:
    """The p-th percentile of the counted calls, in seconds (nearest rank)."""
    ordered = sorted(measurement.samples)
    return ordered[max(0, math.ceil(p / 100 * len(ordered)) - 1)]


def ratio_of(performance: Performance, label: str) -> list[Any]:
    """The ratios of a label to the reference, by batch."""
    return [r for r in performance.ratios if (r.a, r.b) == (label, REFERENCE)]


def speed_table(data: RunData) -> str:
    """The comparison table that ``reports/table.py`` wrote, as Markdown; an empty string when it is not there."""
    path = data.root / "report" / "table.md"
    return path.read_text(encoding="utf-8").strip() if path.is_file() else ""


def _plain(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
