"""The README of a port, rendered from what its run directory says.

A template decides the order, ``words.<language>.yaml`` the words; this module hands them the data
and the formatters.
"""

from __future__ import annotations

import functools
import re
import shlex
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import yaml

from portproof.core.errors import InputError, MissingPackageError
from portproof.core.text import code_span, markdown, printable, said_once
from portproof.measurement import Performance, board_rows
from portproof.proof.lineage import Stage, makers
from portproof.proof.sidecar import FileRecord
from portproof.reports.port.data import RunData
from portproof.reports.port.devices import (
    counter_rows,
    devices_of,
    made_with,
    model_stages,
    modes,
    ported,
    ratio_rows,
    timed_by_trtexec,
    tools_of,
    widened,
)
from portproof.reports.port.figures import PERCENTILES, accuracy_texts, figures_of, per_board
from portproof.reports.port.languages import TEMPLATES, languages
from portproof.reports.port.rounding import FORMATTERS, one_line
from portproof.reports.port.sentences import translated
from portproof.rundir.layout import REFERENCE
from portproof.rundir.parts.sums import part_rows

#: Distributions that are frameworks and runtimes; the source document lists these apart from other
#: packages.
_FRAMEWORKS = ("torch", "torchvision", "onnx", "onnxruntime", "tensorrt", "openvino", "aclruntime")

#: Inputs that come from outside and are named one by one; images are counted instead.
_NAMED_ROLES = ("weights", "card", "code")


def words_of(language: str) -> dict[str, Any]:
    """The words of a language; :class:`InputError` lists the languages there are."""
    if language not in languages():
        raise InputError(f"there is no report in '{language}', there is {', '.join(languages())}")
    words: dict[str, Any] = yaml.safe_load(
        (TEMPLATES / f"words.{language}.yaml").read_text(encoding="utf-8")
    )
    return words


def render(
    data: RunData,
    language: str,
    template: str = "readme",
    plots: Mapping[str, Mapping[str, str]] | None = None,
) -> str:
    """The document as Markdown. ``plots``: name -> ``link`` and ``text`` (what it shows) of each
    plot beside the document.
    """
    environment = _environment(escaping=False)
    text = environment.get_template(f"{template}.md.j2").render(
        **_context(data, language), plots=plots or {}
    )
    return re.sub(r"\n{3,}", "\n\n", text)


@functools.cache
def _environment(escaping: bool) -> Any:
    try:
        import jinja2
    except ImportError:
        raise MissingPackageError("Jinja2", "writing reports", "report") from None
    loader = jinja2.PackageLoader("portproof.reports.port", "templates")
    # HTML escapes by Jinja's rules; Markdown has none of its own, so those templates escape with
    # `md`, `code` and `line`.
    environment = jinja2.Environment(  # nosec B701
        loader=loader,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=escaping,  # noqa: S701
        finalize=_visible,
    )
    environment.filters |= FORMATTERS | {
        "md": markdown,
        "code": code_span,
        "line": one_line,
        "once": said_once,
        "md_values": _md_values,
    }
    return environment


def _md_values(values: Mapping[str, object]) -> dict[str, str]:
    return {key: markdown(value) for key, value in values.items()}


def render_html(data: RunData, context: Mapping[str, Any]) -> str:
    """The self-contained HTML page, of ``report.html.j2``."""
    environment = _environment(escaping=True)
    page: str = environment.get_template("report.html.j2").render(**_context(data, "en"), **context)
    return page.strip() + "\n"


def _context(data: RunData, language: str) -> dict[str, Any]:
    figures = figures_of(data)
    by_id = {figure.id: figure for figure in figures}
    prep = data.stage(data.files.prep)
    packages = list(data.versions.items())
    words = words_of(language)
    return {
        "t": words,
        "say": lambda text: translated(text, words),
        "run": data,
        "files": data.files,
        "reference": REFERENCE,
        "figure": by_id.get,
        "command": command_of,
        "roots": named_roots(data),
        "host": data.stages[-1].proof.environment if data.stages else None,
        "frameworks": [p for p in packages if p[0] in _FRAMEWORKS],
        "packages": [p for p in packages if p[0] not in _FRAMEWORKS],
        "conversion": conversion_rows(data),
        "recipe": recipe_text(data),
        "sample": sample_of(data),
        "image_count": len(prep.proof.inputs.get("images", [])) if prep else 0,
        "end_to_end": end_to_end,
        "by_tool": by_tool,
        "performance": performance_rows,
        "board_rows": board_rows,
        "per_board": lambda label: per_board(data, label),
        "model_stages": model_stages(data),
        "made_with": made_with,
        "tools": tools_of(data),
        "devices": devices_of(data),
        "modes": modes,
        "counter_rows": lambda p: list(counter_rows(p)),
        "timed_by_trtexec": timed_by_trtexec,
        "ratios": ratio_rows,
        "ported": ported,
        "widened": widened,
        "unchecked": unchecked,
        "speed": speed_table(data),
        "zoo_rows": list(zoo_rows(data)),
        "part_rows": part_rows(data.files),
        "figures": figures,
    }


def command_of(data: RunData, artefact: str) -> str:
    """The command line that made an artefact, as it was typed in the run directory; an empty string
    when the artefact is not there.
    """
    stage = data.stage(artefact)
    return one_line(shlex.join(stage.command)).replace("`", "'") if stage else ""


def _visible(value: object) -> object:
    """A template's value with control characters made visible, line by line."""
    if not isinstance(value, str) or all(c.isprintable() or c in "\n\t" for c in value):
        return value
    return "\n".join(printable(line) for line in value.split("\n"))


def named_roots(data: RunData) -> list[tuple[str, FileRecord]]:
    """Role and record of the files that the port began with: weights, model card and code. Images
    are too many to be named.
    """
    made = makers(data.stages)
    found: dict[str, tuple[str, FileRecord]] = {}
    for stage in data.stages:
        for role, record in stage.records:
            if role in _NAMED_ROLES and (record.path not in made or role == "weights"):
                found.setdefault(record.path, (role, record))
    return list(found.values())


def conversion_rows(data: RunData) -> list[tuple[str, str]]:
    """What the export's sidecar says about the ONNX file: simple facts, by name."""
    stage = data.stage(data.files.onnx)
    if stage is None:
        return []
    facts = stage.proof.parameters | stage.proof.facts
    return [
        (key.replace("_", " "), _plain(value))
        for key, value in facts.items()
        if isinstance(value, int | float | str | bool)
    ]


def recipe_text(data: RunData) -> str:
    """The preprocessing recipe as compact YAML, from the sidecar of the samples, or ""."""
    recipe = _recipe(data.stage(data.files.prep))
    return (
        yaml.safe_dump(recipe, sort_keys=False, default_flow_style=None).strip() if recipe else ""
    )


def sample_of(data: RunData) -> dict[str, str]:
    """Shape and dtype of a preprocessed sample, for people."""
    recipe = _recipe(data.stage(data.files.prep))
    if not recipe:
        return {}
    height, width = recipe["crop"] or recipe["resize"]["size"]
    shape = (3, height, width) if recipe["layout"] == "NCHW" else (height, width, 3)
    return {"shape": " x ".join(map(str, shape)), "dtype": recipe["dtype"]}


def _recipe(stage: Stage | None) -> dict[str, Any]:
    return dict(stage.proof.parameters.get("recipe") or {}) if stage else {}


def end_to_end(stage: Stage) -> float | None:
    """The rate of an inference run from file to result, in images per second, from its sidecar;
    None for a run by a vendor's tool.
    """
    timed = stage.proof.facts.get("end_to_end")
    return timed.get("images_per_second") if isinstance(timed, dict) else None


def by_tool(stage: Stage) -> dict[str, Any]:
    """The ``tool`` of an inference and its ``rate`` of device time; empty without a tool."""
    rate, tool = stage.proof.facts.get("rate"), stage.proof.facts.get("runner")
    return (
        {"tool": tool, "rate": rate["images_per_second"]} if isinstance(rate, dict) and tool else {}
    )


def performance_rows(performance: Performance) -> Iterable[dict[str, Any]]:
    """A row a measurement: label, batch, boundary, rate, percentiles of a call, calls."""
    for m in performance.measurements:
        yield {
            "label": m.label,
            "batch": m.batch,
            "boundary": m.boundary,
            "rate": m.images_per_second,
            "calls": len(m.samples),
            "percentiles": [m.percentile_s(p) for p in PERCENTILES],
        }


def unchecked(performance: Performance) -> list[str]:
    """Why answers could not be checked, where that was tried."""
    known = [m.answers for m in performance.measurements if m.answers]
    return list(dict.fromkeys(a.reason for a in known if a.ok is None and a.reason))


def speed_table(data: RunData) -> str:
    """The comparison table that ``reports/table.py`` wrote, as Markdown; an empty string when it is
    not there.
    """
    path = data.root / f"{data.files.table}.md"
    return path.read_text(encoding="utf-8").strip() if path.is_file() else ""


def zoo_rows(data: RunData) -> Iterator[dict[str, Any]]:
    """A row of ModelZoo's newer table for each label and batch: accuracy where it was measured at
    that batch, and the rate that its tables state, a device's own per board; without a device
    the rate of calls.
    """
    rates: dict[tuple[str, int], float | None] = {}
    for label, performance in data.performances.items():
        device = {(m.label, m.batch) for m in performance.measurements if m.boundary == "device"}
        boards = {batch: one * chips for batch, one, chips in per_board(data, label)}
        for m in performance.measurements:
            if m.boundary == ("device" if (m.label, m.batch) in device else "call"):
                own = boards.get(m.batch) if m.label == label else None
                rates.setdefault((m.label, m.batch), own or m.images_per_second)
    accuracies = accuracy_texts(data)
    order = {label: at for at, label in enumerate(data.labels)}
    for label, batch in sorted(
        rates.keys() | accuracies.keys(), key=lambda key: (order.get(key[0], len(order)), *key)
    ):
        yield {
            "label": label,
            "batch": batch,
            "data": data.settings.images or ", ".join(data.settings.samples),
            "accuracy": accuracies.get((label, batch)) or "-",
            "rate": rates.get((label, batch)),
        }


def _plain(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
