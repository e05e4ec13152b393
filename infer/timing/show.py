"""A measurement file as text for a terminal."""

from __future__ import annotations

from portproof.core.errors import EXIT_DONE, EXIT_FAIL, EXIT_UNDECIDED
from portproof.core.text import printable, said_once
from portproof.infer.load_test.record import LoadTest
from portproof.measurement import WIDENED, Measurement, Performance, Ratio, board_rows
from portproof.rehearsal import MARK

_HEAD = (
    "label",
    "batch",
    "boundary",
    "images/s",
    "median ms",
    "p90 ms",
    "p99 ms",
    "first ms",
    "load s",
    "answers",
)


def summary(performance: Performance) -> str:
    """A board's rates where several chips were timed together, else the table."""
    together = any(m.scope == "together" for m in performance.measurements)
    return board(performance) if together else table(performance)


def exit_code(performance: Performance | LoadTest) -> int:
    """What a bench leaves with: a wrong answer is a failure, an unstable clock decides nothing."""
    if performance.wrong:
        return EXIT_FAIL
    return EXIT_DONE if performance.status == "ok" else EXIT_UNDECIDED


def board(performance: Performance) -> str:
    """The board's rate at each batch and boundary, beside one chip's times the number of chips."""
    lines = []
    for row in board_rows(performance):
        chips = ", ".join(f"{device} {rate or 0:.1f}" for device, rate in row.each.items())
        lines.append(
            f"batch {row.batch}, {row.boundary}: {row.chips} chips together {row.together:.1f}"
            f" images/s ({chips}); one alone {row.alone:.1f}, times {row.chips} ="
            f" {row.product:.1f}; the board reaches {row.share:.3f} of that"
        )
    return "\n".join([*_mark(performance), *lines, *_doubts(performance)])


def table(performance: Performance) -> str:
    """Rates and latencies, ratios with their intervals, and the doubts about them. A percentile is
    a dash if there are too few calls to tell it.
    """
    rows = [_HEAD, *(_row(m) for m in performance.measurements)]
    widths = [max(len(row[i]) for row in rows) for i in range(len(_HEAD))]
    lines = [
        "  ".join(
            cell.ljust(w) if i in (0, 2) else cell.rjust(w)
            for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in rows
    ]
    ratios = map(_ratio, performance.ratios)
    widened = dict.fromkeys(m.label for m in performance.measurements if m.is_widened)
    notes = (
        f"{printable(label)}: {WIDENED}, so no rate of float16 arithmetic" for label in widened
    )
    return "\n".join([*_mark(performance), *lines, *notes, *ratios, *_doubts(performance)])


def _mark(performance: Performance) -> list[str]:
    mark = f"{MARK}: a simulated device, nothing here was measured"
    return [mark] if performance.simulated else []


def _doubts(performance: Performance) -> list[str]:
    return [
        *(f"wrong answers: {printable(why)}" for why in performance.wrong),
        *(f"unstable: {printable(why)}" for why in said_once(performance.reasons)),
    ]


def _row(m: Measurement) -> tuple[str, ...]:
    load, first = (None, None) if m.is_wrong else (m.load_s, m.first_inference_s)
    return (
        printable(m.label),
        str(m.batch),
        m.boundary,
        "-" if m.images_per_second is None else f"{m.images_per_second:.1f}",
        *(_ms(s) for s in (m.median_s, m.percentile_s(90), m.percentile_s(99), first)),
        "-" if load is None else f"{load:.2f}",
        _answers(m),
    )


def _answers(m: Measurement) -> str:
    if m.answers is None or m.answers.ok is None:
        return "not checked"
    return "checked" if m.answers.ok else "WRONG"


def _ms(seconds: float | None) -> str:
    return "-" if seconds is None else f"{1e3 * seconds:.3f}"


def _ratio(r: Ratio) -> str:
    interval = (
        "too few blocks for an interval"
        if r.ci95 is None
        else f"95 % interval {r.ci95[0]:.3f} to {r.ci95[1]:.3f}"
    )
    return (
        f"{printable(r.a)} / {printable(r.b)}, batch {r.batch}, {r.boundary}: {r.ratio:.3f} times"
        f" the rate ({interval})"
    )
