"""Tables as columns of figures, whatever they are of: rates, times, accuracies, and what is worked
out from two of them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from portproof.reports.claims.read.grids import Grid
from portproof.reports.claims.read.printed import NUMBER, Printed, as_printed

RATE, TIME, ACCURACY, QUOTIENT, DIFFERENCE = "rate", "time", "accuracy", "quotient", "difference"

_FIGURE = re.compile(
    rf"[~≈+]?\s?(-?)\s?({NUMBER})\s?(%|倍|[xX*](?![\w]))?"
    r"\s?(?:fps|qps|ms|us|s|samples?/s(?:ec)?|im(?:a)?ge?s?/s(?:ec)?|tokens?/s(?:ec)?|/s|it/s)?",
    re.IGNORECASE,
)
_AT_BATCH = re.compile(r"\s?\((?:bs|batch) ?\d{1,4}\)$", re.IGNORECASE)
_THOUSANDS = re.compile(r"(?<![\d,.])\d{1,3}(?:,\d{3})+(?:\.\d+)?(?![\d,])")
_QUOTIENT = re.compile(
    r"speed[ -]?up|加速比?|倍数|倍率|性能比|比值|提升|\bratio\b|improvement|\bgain\b|\bfaster\b",
    re.IGNORECASE,
)
#: Ratios of something else than two columns of results.
_OTHER_RATIO = re.compile(
    r"compress|prun|spars|size|aspect|flops|param|剪枝|压缩|稀疏|mask|hit|duty|learning",
    re.IGNORECASE,
)
_DIFFERENCE = re.compile(
    r"\bdrop\b|\bdiff(?:erence)?\b|degradation|\bdelta\b|[Δ△]|\bgap\b|精度(?:损失|下降|变化)|差值?\s*$",
    re.IGNORECASE,
)
_RATE = re.compile(
    r"fps|qps|through?put|im(?:a)?ge?s?/s|samples?/s|seq(?:uence)?s?/s|tokens?/s|it/s|性能|吞吐",
    re.IGNORECASE,
)
_TIME = re.compile(
    r"latency|时延|延迟|耗时|\btimes?\b|(?<![A-Za-z])(?:ms|us|μs|µs)(?![A-Za-z])|\(s\)|\[s\]",
    re.IGNORECASE,
)
_ACCURACY = re.compile(
    r"精度|acc|top[ -]?\d|map(?![a-z])|\bap\b|iou|psnr|ssim|f1|dice|recall|precision|rank",
    re.IGNORECASE,
)
_SETTING = re.compile(
    r"b[ae]t?ch|(?<![A-Za-z])bs(?![A-Za-z])|gpus\b|#|seq|len|epoch|steps?\b|params?|flops|size|memory"
    r"|threads?|clients|concurren|resolution|shape|beam|layers?|heads?|version|year|iter|lr\b|显存|内存",
    re.IGNORECASE,
)
_OVER = re.compile(
    r"(.{1,40}?)(?:\s?[/÷]\s?|\s+(?:vs\.?|over|to)\s+|与|比)(.{1,40})", re.IGNORECASE
)
#: Words that say what is measured and not of what.
_QUANTITY_WORDS = re.compile(
    r"\([^()]*\)|\[[^\[\]]*\]|speed[ -]?up|ratio|through?put|latency|fps|qps"
    r"|performance|average|avg|mean|im(?:a)?ge?s?/s(?:ec)?|samples?/s(?:ec)?|time|of|性能比?|吞吐[率量]?|加速比?|比值|时延|(?<![a-z])ms(?![a-z])",
    re.IGNORECASE,
)
#: A title in a second row of titles: words, or a percentile.
_SUBTITLE = re.compile(r"[^\d]{1,40}|p?\d\d(?:th)?\s?%?", re.IGNORECASE)


@dataclass(frozen=True)
class Cell:
    """A figure with the index of its line; ``percent``: with its sign. ``value`` has its sign."""

    figure: Printed
    line: int
    percent: bool
    value: float

    @property
    def shown(self) -> str:
        """The figure as printed."""
        sign = "-" if self.value < 0 else ""
        return f"{sign}{self.figure.text}{'%' if self.percent else ''}"


@dataclass(frozen=True)
class FigureColumn:
    """A column with figures: by row of the table (None: no single figure there)."""

    header: str
    label: str
    kind: str | None
    cells: tuple[Cell | None, ...]
    named: tuple[str, str] | None = None


def figure(text: str, line: int) -> Cell | None:
    """The one figure of a cell, None if it holds none or several.

    >>> figure("1,164.0 fps", 0).figure.text, figure("-0.24%", 0).value, figure("1/2", 0)
    ('1164.0', -0.24, None)
    """
    text = _THOUSANDS.sub(lambda number: number[0].replace(",", ""), text.strip(" *_$~"))
    match = _FIGURE.fullmatch(_AT_BATCH.sub("", text))
    if match is None:
        return None
    read = as_printed(match[2])
    return Cell(read, line, match[3] == "%", -read.value if match[1] else read.value)


def figure_columns(grid: Grid) -> list[FigureColumn]:
    """The columns of a table that hold at least two figures, settings (batches, sizes) left out."""
    columns = []
    titles = _titles(grid)
    labels = [label_of(title) for title in titles]
    for index, title in enumerate(titles):
        cells = tuple(figure(row[index].text, row[index].line) for row in grid.rows[1:])
        if not any(cells):
            continue
        others = [label for at, label in enumerate(labels) if at != index and label]
        named = _named(title, others)
        kind = kind_of(title, named is not None)
        is_setting = _SETTING.search(title) or _OTHER_RATIO.search(title) or not title.strip()
        if kind is None and is_setting:
            continue
        columns.append(FigureColumn(title, labels[index], kind, cells, named))
    return columns


def figures_in(grid: Grid) -> tuple[int, list[str]]:
    """How many figures a table shows beside the titles of its rows, and in which columns."""
    count, titles = 0, []
    for index, title in enumerate(grid.rows[0][1:], start=1):
        shown = sum(figure(row[index].text, row[index].line) is not None for row in grid.rows[1:])
        count += shown
        titles += [title.text.strip() or "(no title)"] if shown else []
    return count, titles


def _titles(grid: Grid) -> list[str]:
    """The titles of the columns; of two rows of titles, each with the nearest one above it."""
    first = [cell.text for cell in grid.rows[0]]
    second = [cell.text for cell in grid.rows[1]] if len(grid.rows) > 2 else []
    words = [text for text in second if text and not _SUBTITLE.fullmatch(text)]
    if not second or words or all(first):
        return first
    for at, text in enumerate(first):
        first[at] = text or (first[at - 1] if at else "")
    return [f"{above} {below}".strip() for above, below in zip(first, second, strict=True)]


def kind_of(header: str, named: bool) -> str | None:
    """What a title says that its column holds; ``named``: it names two others as A/B."""
    if _OTHER_RATIO.search(header):
        return None
    if named or _QUOTIENT.search(header):
        return QUOTIENT
    if _DIFFERENCE.search(header):
        return DIFFERENCE
    for kind, pattern in ((RATE, _RATE), (TIME, _TIME), (ACCURACY, _ACCURACY)):
        if pattern.search(header):
            return kind
    return None


def label_of(header: str) -> str:
    """What a title says that its column is of.

    >>> label_of("TF <br/> Latency (ms)"), label_of("fp16 fps")
    ('tf br/', 'fp16')
    """
    bare = _QUANTITY_WORDS.sub(" ", header.lower())
    return " ".join(re.sub(r"[<>|*]", " ", bare).split()).strip(" -_:,")


def _named(header: str, others: list[str]) -> tuple[str, str] | None:
    """The labels A and B of a title "A/B" when other columns bear both."""
    match = _OVER.fullmatch(re.sub(r"\([^()]*\)", "", header).strip())
    if match is None:
        return None
    top, bottom = label_of(match[1]), label_of(match[2])
    return (top, bottom) if top != bottom and top in others and bottom in others else None
