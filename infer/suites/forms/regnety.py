"""The form of sections 6 and 7 of a ModelZoo README, in its own words: Top-1 to Top-5 by batch, the
published accuracy, the rate by batch and device, ratios, and the best batch of each device.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from portproof.card import Card
from portproof.core.arguments import pairs_of
from portproof.core.files import write_text
from portproof.core.text import printable
from portproof.infer.suites.page import Row, environment, head, paragraphs, remarks
from portproof.infer.suites.suite_file import Suite
from portproof.preprocess.cards.resolve import resolve_card

_PUBLISHED = (
    "| model | top1 | top1_err | top5 | top5_err | param_count | img_size | cropt_pct |"
    " interpolation |"
)


def write(suite: Suite, rows: Sequence[Row], out: Path) -> None:
    """Write the page: both sections for each model."""
    lines = [*head(suite, rows, "Accuracy and performance"), *environment(rows)]
    for row in rows:
        lines += [f"# {printable(row.entry.name)}", ""]
        if row.found is None:
            lines += [f"{printable(row.reason)}", ""]
            continue
        lines += [*_accuracy(suite, row), "", *_speed(suite, row), *paragraphs(remarks(row)), ""]
    write_text(out / "README.md", "\n".join(lines).rstrip() + "\n")


def _accuracy(suite: Suite, row: Row) -> Iterator[str]:
    """Section 6, the accuracy (精度)."""
    assert row.found is not None
    counted, card = row.found.top_n, resolve_card(row.entry.model)
    yield "## 6 精度对比 (accuracy)"
    if not counted:
        yield "\nNot counted: the suite has no `top_n`."
        return
    yield f"\nRight classes: {printable(next(iter(counted.values())).labels)}."
    labels = list(dict.fromkeys(label for label, _ in counted))
    for number, label in enumerate(labels, start=1):
        yield f"\n### 6.{number} {printable(label)}离线推理TopN精度统计"
        for (name, batch), figures in counted.items():
            if name == label:
                yield f"\nbatch{batch}的精度\n\n```\n{figures.line}\n```"
    yield f"\n### 6.{len(labels) + 1} 开源TopN精度 (published)\n"
    yield from _published(card, row.found.parameters)
    yield f"\n### 6.{len(labels) + 2} 精度对比\n"
    base = labels[0]
    for label in labels[1:]:
        worst = max(
            abs(figures.accuracy[0] - counted[base, batch].accuracy[0])
            for (name, batch), figures in counted.items()
            if name == label
        )
        yield (
            f"{printable(label)}: Top-1 differs from that of {printable(base)} by"
            f" {100 * worst:.2f} percentage points at most, at the same batch."
        )


def _published(card: Card, parameters: int | None) -> Iterator[str]:
    yield _PUBLISHED
    yield "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"
    known, recipe = card.published, card.preprocessing
    top = [known.top1, known.top5] if known else [None, None]
    figures = [f"{x:.3f} | {100 - x:.3f}" if x is not None else " | " for x in top]
    count = f"{parameters / 1e6:.2f}" if parameters else ""
    crop, resize = recipe.crop, recipe.resize
    share = f"{crop[0] / resize.size[0]:.3f}" if crop and resize else ""
    kind = resize.interpolation if resize else ""
    size = recipe.shape[1]
    yield f"| {card.name} | {' | '.join(figures)} | {count} | {size} | {share} | {kind} |"


def _speed(suite: Suite, row: Row) -> Iterator[str]:
    """Section 7, the rate (性能): of the median call."""
    batches = row.entry.batches or suite.batches
    rates = {
        (s.label, b): m.batch / m.median_s
        for s in suite.subjects
        for b in batches
        if (m := row.measured(s.label, b)) is not None and m.median_s
    }
    labels = [s.label for s in suite.subjects if any(label == s.label for label, _ in rates)]
    yield "## 7 性能对比 (speed)\n"
    yield "Images per second: the batch over the median call, host call to host result.\n"
    for number, label in enumerate(labels, start=1):
        yield f"### 7.{number} {printable(label)}性能数据\n"
        for batch in batches:
            if (label, batch) in rates:
                yield f"batch{batch} {printable(label)}吞吐率：{rates[label, batch]:.3f}fps  "
        yield ""
    yield f"### 7.{len(labels) + 1} 性能对比\n"
    over = [x for x in suite.over or (suite.subjects[0].label,) if x in labels]
    yield from _table(labels, batches, rates, pairs_of(labels, over) if len(labels) > 1 else ())


def _table(
    labels: Sequence[str],
    batches: Sequence[int],
    rates: dict[tuple[str, int], float],
    pairs: Sequence[tuple[str, str]],
) -> Iterator[str]:
    """Rates, then ratios, and below them those of the best batches."""
    best = {
        label: max(rate for (name, _), rate in rates.items() if name == label) for label in labels
    }
    columns = [*labels, *(f"{a}/{b}" for a, b in pairs)]
    yield "| | " + " | ".join(map(printable, columns)) + " |"
    yield "| --- |" + " --- |" * len(columns)
    for batch in batches:
        here = {label: rates.get((label, batch)) for label in labels}
        yield _line(f"bs{batch}", here, pairs)
    yield _line("最优batch", dict(best), pairs)
    for a, b in pairs:
        times = f"{best[a] / best[b]:.3f}"
        yield f"\n最优的{printable(a)}性能达到了最优的{printable(b)}性能的{times}倍。"


def _line(name: str, rates: dict[str, float | None], pairs: Sequence[tuple[str, str]]) -> str:
    cells = [f"{rate:.3f}" if rate else "" for rate in rates.values()]
    for a, b in pairs:
        over, under = rates[a], rates[b]
        cells.append(f"{over / under:.8f}" if over and under else "")
    return f"| {name} | {' | '.join(cells)} |"
