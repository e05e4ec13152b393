"""The plots of a report as SVG, and in words. Equal data gives equal bytes."""

from __future__ import annotations

import html
import io
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from portproof.core.errors import MissingPackageError
from portproof.core.text import printable
from portproof.measurement import Boundary, Measurement, Performance, nearest_rank
from portproof.reports.port.data import RunData
from portproof.reports.port.figures import wilson
from portproof.reports.port.rounding import milliseconds, percent, rate

#: Distinguishable without colour vision (Okabe and Ito).
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")


@dataclass(frozen=True)
class Plot:
    """A plot: its file's stem, title, words, and how to draw it on matplotlib axes."""

    name: str
    title: str
    text: str
    draw: Callable[[Any], None]


def plots_of(data: RunData) -> list[Plot]:
    """The plots for which the run directory has figures; worked out once. Nothing is drawn yet."""
    return data.once(plots_of, lambda: list(_plots(data)))


def _plots(data: RunData) -> Iterator[Plot]:
    intervals = _top1(data)
    if intervals:
        title, text = "Top-1 accuracy with 95 % intervals", _accuracy_text(intervals)
        yield Plot("accuracy", title, text, lambda axes: _accuracy(axes, intervals))
    for label, performance in data.performances.items():
        boundary = boundary_of(performance)
        timed = [m for m in performance.measurements if m.boundary == boundary and m.valid]
        if timed:
            yield _throughput_plot(label, performance, timed)
            yield _latency_plot(label, timed)


def svg_of(plot: Plot, simulated: bool) -> bytes:
    """A plot drawn as an SVG with its title and description inside; :class:`MissingPackageError`
    when matplotlib is not installed.
    """
    try:
        import matplotlib
    except ImportError:
        raise MissingPackageError("matplotlib", "drawing plots", "report") from None
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    settings: Any = {
        "svg.hashsalt": "portproof",
        "svg.fonttype": "none",
        "text.parse_math": False,
        "font.family": "sans-serif",
        "font.size": 10,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "grid.alpha": 0.3,
    }
    with matplotlib.rc_context(settings):
        figure = Figure(figsize=(7.2, 4.2), layout="constrained")
        FigureCanvasSVG(figure)
        axes = figure.add_subplot()
        plot.draw(axes)
        axes.set_title(("REHEARSAL (simulated): " if simulated else "") + plot.title)
        buffer = io.BytesIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return _described(buffer.getvalue().decode(), plot).encode()


def _described(svg: str, plot: Plot) -> str:
    """The text alternative as the SVG's own title and description, which screen readers read."""
    words = (
        f"<title>{html.escape(printable(plot.title))}</title>\n"
        f" <desc>{html.escape(printable(plot.text))}</desc>\n"
    )
    return re.sub(r"<svg ([^>]*)>\n", lambda m: f'<svg role="img" {m[1]}>\n {words}', svg, count=1)


def _top1(data: RunData) -> list[tuple[str, int, int]]:
    """(name, samples right, samples) of each accuracy run, from the outcomes."""
    tables = [(label, b, data.outcomes(label, b)) for label, bs in data.results.items() for b in bs]
    return [(f"{label} bs{b}", o.hits(1)[0], len(o)) for label, b, o in tables if o is not None]


def _accuracy_text(rows: list[tuple[str, int, int]]) -> str:
    parts = []
    for name, hits, samples in rows:
        low, high = wilson(hits, samples)
        parts.append(f"{name} {percent(hits / samples)} ({percent(low)} to {percent(high)})")
    return "Top-1 accuracy and its 95 % interval: " + "; ".join(parts) + "."


def _accuracy(axes: Any, rows: list[tuple[str, int, int]]) -> None:
    for at, (_, hits, samples) in enumerate(rows):
        low, high = wilson(hits, samples)
        middle = 100 * hits / samples
        axes.errorbar(
            middle,
            at,
            xerr=[[max(0.0, middle - 100 * low)], [max(0.0, 100 * high - middle)]],
            fmt="o",
            capsize=4,
            color=COLOURS[at % len(COLOURS)],
        )
    axes.set_yticks(range(len(rows)), [printable(name) for name, _, _ in rows])
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlabel("Top-1 accuracy, %")


def boundary_of(performance: Performance) -> Boundary:
    """The boundary that is shown: the device's own time where all that was timed has it, as in the
    comparison table, else that of a call.
    """
    on_device = {m.label for m in performance.measurements if m.boundary == "device"}
    return (
        "device"
        if on_device and on_device == {m.label for m in performance.measurements}
        else "call"
    )


#: So many names of boxes have room beside each other.
_MOST_UPRIGHT = 12
#: What was timed, for people.
_TIMED = {"device": "device time", "call": "host call to host result"}


def _throughput_plot(label: str, performance: Performance, timed: list[Measurement]) -> Plot:
    names = list(dict.fromkeys(m.label for m in timed))
    parts = [
        f"{n}: "
        + ", ".join(f"batch {m.batch} {rate(m.images_per_second)}" for m in timed if m.label == n)
        for n in names
    ]
    unstable = " The clock was unstable." if performance.status == "unstable" else ""
    what = _TIMED[timed[0].boundary]

    def draw(axes: Any) -> None:
        for at, name in enumerate(names):
            own = sorted((m for m in timed if m.label == name), key=lambda m: m.batch)
            axes.plot(
                [m.batch for m in own],
                [m.images_per_second for m in own],
                "o-",
                color=COLOURS[at % len(COLOURS)],
                label=printable(name),
            )
        batches = sorted({m.batch for m in timed})
        axes.set_xscale("log", base=2)
        axes.set_xticks(batches, [str(b) for b in batches])
        axes.set_xticks([], minor=True)
        axes.set_ylim(bottom=0)
        axes.set_xlabel("batch")
        axes.set_ylabel(f"images/s ({what})")
        axes.legend()

    text = f"Images per second by batch, {what}. {'; '.join(parts)}.{unstable}"
    return Plot(f"{label}-throughput", f"Throughput of {label} against batch", text, draw)


def _latency_plot(label: str, timed: list[Measurement]) -> Plot:
    rows = sorted(timed, key=lambda m: m.batch)
    parts = []
    for m in rows:
        ends = [s for s in map(m.percentile_s, (5, 95)) if s is not None]
        within = f" ({' to '.join(map(milliseconds, ends))})" if ends else ""
        parts.append(f"{m.label} batch {m.batch} {milliseconds(m.median_s)} ms{within}")

    def draw(axes: Any) -> None:
        names = list(dict.fromkeys(m.label for m in timed))
        boxes = axes.bxp([_box(m) for m in rows], showfliers=False, patch_artist=True, widths=0.6)
        for box, m in zip(boxes["boxes"], rows, strict=True):
            box.set(facecolor=COLOURS[names.index(m.label) % len(COLOURS)], alpha=0.5)
        axes.set_xticks(
            range(1, len(rows) + 1),
            [f"{printable(m.label)}\nbs{m.batch}" for m in rows],
            # Side by side, the names of several columns would cover each other.
            rotation=90 if len(rows) > _MOST_UPRIGHT else 0,
        )
        axes.set_yscale("log")
        # The usual labels of a logarithmic axis are mathematics, which is switched off: names from
        # outside must not be read as such.
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")
        axes.yaxis.set_minor_formatter(lambda value, _: "")
        axes.set_ylabel(f"ms for a batch ({_TIMED[timed[0].boundary]})")
        axes.set_xlabel("box: quartiles and median; whiskers: 5th and 95th percentile")

    text = (
        f"Time of a batch in milliseconds, {_TIMED[timed[0].boundary]}, median and in brackets the"
        " 5th and 95th percentile, where there are enough calls to tell them:"
        f" {'; '.join(parts)}."
    )
    return Plot(f"{label}-latency", f"Latency distributions of {label}", text, draw)


def quantiles(m: Measurement) -> tuple[float, float, float, float, float]:
    """The 5th percentile, the quartiles with the median, and the 95th percentile of the calls, in
    ms.
    """
    ordered = sorted(m.samples)
    p5, q1, median, q3, p95 = (1000 * nearest_rank(ordered, p) for p in (5, 25, 50, 75, 95))
    return p5, q1, median, q3, p95


def _box(m: Measurement) -> dict[str, float]:
    """Whiskers, quartiles and median of a box, in ms, as matplotlib's ``bxp`` takes them."""
    return dict(zip(("whislo", "q1", "med", "q3", "whishi"), quantiles(m), strict=True))
