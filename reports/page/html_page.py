"""The report as one HTML page: every language inside, nothing loaded from elsewhere.

Its only script sorts tables and switches language and colours; the page's policy names the hash of
that script, so no other can run.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterator, Sequence
from typing import Any

from portproof.core.files import sha256_of
from portproof.core.jsonfile import json_in
from portproof.measurement import BOUNDARIES, Measurement, Performance
from portproof.reports.page.charts import Box, Point, box_chart, line_chart
from portproof.reports.page.flips import class_rows, flip_rows
from portproof.reports.port.data import RunData
from portproof.reports.port.document import render_html, words_of
from portproof.reports.port.figures import ReportFigure, figures_of
from portproof.reports.port.languages import TEMPLATES, languages
from portproof.reports.port.plots import boundary_of, quantiles
from portproof.reports.port.rounding import rate
from portproof.reports.port.seal import origins_of
from portproof.reports.port.sentences import translated

_MIB = 1 << 20


def html_page(data: RunData) -> str:
    """The page."""
    script = (TEMPLATES / "page.js").read_text(encoding="utf-8")
    words = {language: words_of(language) for language in languages()}
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    context: dict[str, Any] = {
        "script": script,
        "style": (TEMPLATES / "page.css").read_text(encoding="utf-8"),
        "script_hash": digest,
        "words": words,
        "tongues": {name: _translator(known) for name, known in words.items()},
        "origins": list(origins_of(data)),
        "cross": _cross(data),
        "flips": {label: list(flip_rows(data, label)) for label in data.comparisons},
        "classes": {label: class_rows(data, label) for label in data.comparisons},
        "charts": {label: dict(_charts(p)) for label, p in data.performances.items()},
        "sources": sources_of(data),
        "anchor": anchor,
    }
    return render_html(data, context)


def _translator(words: dict[str, Any]) -> Any:
    return lambda text: translated(text, words)


def anchor(name: str) -> str:
    """A figure's id as the name of its row in the page.

    >>> anchor("310p card/bs 1")
    'f-310p_card/bs_1'
    """
    return "f-" + re.sub(r"\s", "_", name)


def _cross(data: RunData) -> dict[str, Any]:
    """The comparison table that ``portproof table`` wrote, as data; empty if it is not there."""
    path = data.root / f"{data.files.table}.json"
    content: Any = json_in(path.read_bytes()) if path.is_file() else {}
    if not isinstance(content, dict):
        return {}
    known = {f.id: f for f in figures_of(data)}
    holders = {data.perf_file(label): label for label in data.performances}
    for row in content.get("rows", []):
        for label, cell in row["cells"].items():
            if cell:
                where = f"{label}/bs{row['batch']}/{cell['boundary']}"
                name = f"{holders.get(cell['source'])}/perf/{where}/rate"
                cell["figure"] = name if name in known else ""
    return content


def sources_of(data: RunData) -> dict[str, tuple[int | None, str]]:
    """Of each figure by its id: the line of its file that holds it, where a line is one record, and
    the first 16 digits of the file's SHA-256.
    """
    hashes = {
        name: sha256_of(data.root / name)[:16]
        for name in dict.fromkeys(f.file for f in figures_of(data))
        if (data.root / name).is_file()
    }
    lines = {name: _lines(data, name) for name in hashes}
    return {
        f.id: (_line_of(f, lines.get(f.file, {})), hashes.get(f.file, "")) for f in figures_of(data)
    }


def _lines(data: RunData, name: str) -> dict[str, int]:
    """What stands in a JSON file at the beginning of a line, and at which: keys, and measurements
    by label, batch and boundary.
    """
    found: dict[str, int] = {}
    if not name.endswith(".json"):
        return found
    text = (data.root / name).read_text(encoding="utf-8", errors="replace")
    for number, line in enumerate(text.splitlines(), start=1):
        if record := _RECORD.match(line):
            found["/".join(record.groups())] = number
        elif key := _KEY.match(line):
            found.setdefault(key[1], number)
    return found


_KEY = re.compile(r'\s*"(\w+)": ')
_BOUNDARY = "|".join(map(re.escape, BOUNDARIES))
_RECORD = re.compile(rf'\s*\{{"label":"([^"]*)".*?"batch":(\d+),"boundary":"({_BOUNDARY})"')


def _line_of(figure: ReportFigure, lines: dict[str, int]) -> int | None:
    parts = figure.id.split("/")
    if len(parts) >= 6 and parts[1] == "perf":
        return lines.get("/".join([parts[2], parts[3].removeprefix("bs"), parts[4]]))
    return lines.get(parts[-1])


def _charts(performance: Performance) -> Iterator[tuple[str, str]]:
    """The charts of a measurement file, by what they show."""
    boundary = boundary_of(performance)
    timed = [m for m in performance.measurements if m.boundary == boundary and m.valid]
    if timed:
        yield "rate", _rate_chart(timed)
        yield "latency", _latency_chart(timed)
    if performance.timeline:
        yield from _timelines(performance)


def _rate_chart(timed: list[Measurement]) -> str:
    batches = sorted({m.batch for m in timed})
    series = [
        (
            name,
            [
                Point(
                    batches.index(m.batch),
                    m.images_per_second or 0.0,
                    f"{m.label}, batch {m.batch}: {rate(m.images_per_second)} images/s",
                )
                for m in sorted(timed, key=lambda m: m.batch)
                if m.label == name
            ],
        )
        for name in dict.fromkeys(m.label for m in timed)
    ]
    ticks = [(float(at), str(batch)) for at, batch in enumerate(batches)]
    words = "; ".join(p.text for _, points in series for p in points)
    return line_chart(series, ticks, ("batch", "images/s"), words)


def _latency_chart(timed: list[Measurement]) -> str:
    names = list(dict.fromkeys(m.label for m in timed))
    boxes = []
    for m in sorted(timed, key=lambda m: m.batch):
        ends = quantiles(m)
        p5, q1, median, q3, p95 = map(rate, ends)
        text = (
            f"{m.label}, batch {m.batch}: median {median} ms, quartiles {q1} to {q3}, 5th to 95th"
            f" percentile {p5} to {p95}, {len(m.samples)} calls"
        )
        boxes.append(Box(f"{m.label} {m.batch}", names.index(m.label), ends, text))
    return box_chart(boxes, ("batch", "ms"), "; ".join(box.text for box in boxes))


def _timelines(performance: Performance) -> Iterator[tuple[str, str]]:
    """Processor, memory and devices over the seconds of the bench."""
    moments = performance.timeline
    devices = sorted({name for m in moments for name in m.devices})
    use = [("processor", [(m.at_s, _percent(m.cpu_fraction)) for m in moments])]
    memory = [("processes", [(m.at_s, _mib(m.memory_bytes)) for m in moments])]
    for name in devices:
        seen = [(m.at_s, m.devices.get(name, {})) for m in moments]
        use.append((name, [(at, _percent(d.get("utilisation"))) for at, d in seen]))
        memory.append((name, [(at, _mib(d.get("memory_used_bytes"))) for at, d in seen]))
    for key, unit, found in (("use", "%", use), ("memory", "MiB", memory)):
        known = [
            (name, points) for name, values in found if (points := _points(name, values, unit))
        ]
        if known:
            end = moments[-1].at_s
            ticks = [(end * part / 4, f"{end * part / 4:.3g}") for part in range(5)]
            highest = "; ".join(
                f"{name}: at most {max(p.y for p in points):.4g} {unit}" for name, points in known
            )
            yield key, line_chart(known, ticks, ("s", unit), highest, dots=len(moments) <= 120)


def _points(name: str, values: Sequence[tuple[float, float | None]], unit: str) -> list[Point]:
    return [Point(x, y, f"{name}, {x:g} s: {y:.4g} {unit}") for x, y in values if y is not None]


def _percent(fraction: float | None) -> float | None:
    return None if fraction is None else 100 * fraction


def _mib(count: float | None) -> float | None:
    return None if count is None else count / _MIB
