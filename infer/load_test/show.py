"""A load test as text for a terminal: the figures as rows, a column a run."""

from __future__ import annotations

from collections.abc import Callable

from portproof.core.text import printable, said_once
from portproof.infer.load_test.record import LoadRun, LoadTest
from portproof.rehearsal import MARK


def _ms(seconds: float | None) -> str:
    return "-" if seconds is None else f"{1e3 * seconds:.3f}"


def _rate(value: float | None) -> str:
    return "-" if value is None else f"{value:.2f}"


def _answers(run: LoadRun) -> str:
    if run.answers is None or run.answers.ok is None:
        return "not checked"
    return "checked" if run.answers.ok else "WRONG"


_ROWS: tuple[tuple[str, Callable[[LoadRun], str]], ...] = (
    ("", lambda r: printable(r.label)),
    ("batch", lambda r: str(r.batch)),
    ("scenario", lambda r: r.scenario),
    ("clients", lambda r: str(r.clients)),
    ("requests", lambda r: str(r.requests)),
    ("requests/s", lambda r: _rate(r.requests_per_second)),
    ("images/s", lambda r: _rate(r.images_per_second)),
    ("mean ms", lambda r: _ms(r.mean_s)),
    ("p50 ms", lambda r: _ms(r.percentile_s(50))),
    ("p90 ms", lambda r: _ms(r.percentile_s(90))),
    ("p99 ms", lambda r: _ms(r.percentile_s(99))),
    *(
        (f"slowest {place} ms", lambda r, place=place: _ms(r.slowest_s(place)))
        for place in (50, 20, 10, 1)
    ),
    ("processor %", lambda r: f"{r.cpu_percent:.1f}"),
    ("answers", _answers),
)


def load_table(test: LoadTest) -> str:
    """The table, and the doubts about it."""
    rows = [[name, *(cell(run) for run in test.runs)] for name, cell in _ROWS]
    # What the scenario does not tell is no row.
    rows = [row for row in rows if any(cell != "-" for cell in row[1:])]
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    lines = [
        "  ".join(
            [
                row[0].ljust(widths[0]),
                *(c.rjust(w) for c, w in zip(row[1:], widths[1:], strict=True)),
            ]
        )
        for row in rows
    ]
    mark = [f"{MARK}: a simulated device, nothing here was measured"] if test.simulated else []
    wrong = [f"wrong answers: {printable(why)}" for why in test.wrong]
    doubts = [f"unstable: {printable(why)}" for why in said_once(test.reasons)]
    several = (r.loadgen.samples_a_query for r in test.runs if r.loadgen)
    notes = {f"the latencies are those of queries of {n} samples" for n in several if n > 1}
    return "\n".join([*mark, *lines, *notes, *wrong, *doubts])
