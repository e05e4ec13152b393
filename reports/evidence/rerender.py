"""Every rendered report of a run directory, made again in memory and compared with its file."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator
from pathlib import Path

from portproof.core.errors import InputError
from portproof.core.files import read_text
from portproof.reports.cross_device.assemble import FORMATS, columns
from portproof.reports.cross_device.populate import build
from portproof.reports.cross_device.table import Table
from portproof.reports.evidence.findings import Finding, changed
from portproof.reports.page.html_page import html_page
from portproof.reports.port.blocks import blocks_in
from portproof.reports.port.data import RunData
from portproof.reports.port.document import render
from portproof.reports.port.junit import junit_xml
from portproof.reports.port.languages import languages
from portproof.reports.port.write import draw, plots_beside
from portproof.rundir.plan import table_boundary, table_columns, table_over

Check = Callable[[Path], Iterator[Finding]]


def report_files(data: RunData) -> dict[str, Check]:
    """Path in the run directory -> how to compare that file with what the directory gives."""
    files, drawn = data.files, draw(data)
    found = {files.readme(language): _readme(data, language) for language in languages()}
    found[files.html] = _whole(files.html, lambda: html_page(data))
    found[files.junit] = _whole(files.junit, lambda: junit_xml(data))
    for name, svg in drawn.items():
        found[files.plot(name)] = _whole(files.plot(name), svg.decode)
    # A table that could not be made, since a target was not timed, is missing from the first.
    if (data.root / f"{files.table}.md").is_file():
        table = functools.cache(lambda: _table(data))
        for ending, form in FORMATS.items():
            found[f"{files.table}.{ending}"] = _whole(
                f"{files.table}.{ending}",
                lambda form=form: form(table(), []),  # type: ignore[misc]
            )
    return found


def _table(data: RunData) -> Table:
    # The table names its sources as they were typed, relative to the run directory.
    with contextlib.chdir(data.root):
        return build(
            columns(table_columns(data.files)),
            boundary=table_boundary(data.files),
            over=table_over(data.files),
        )


def _whole(name: str, text: Callable[[], str]) -> Check:
    """Compare a whole file."""

    def check(path: Path) -> Iterator[Finding]:
        try:
            fresh = text()
        except InputError as error:
            yield changed(name, f"it cannot be made again: {error}")
            return
        yield from _lines(name, path.read_bytes().decode("utf-8", errors="replace"), fresh)

    return check


def _readme(data: RunData, language: str) -> Check:
    """Compare the generated blocks of a README; what its author wrote outside them is not for us to
    judge.
    """

    def check(path: Path) -> Iterator[Finding]:
        name = path.relative_to(data.root).as_posix()
        fresh = render(data, language, plots=plots_beside(data, path))
        try:
            text = read_text(path, "README")
            present = {
                block.name: (block, text[block.start : block.end])
                for block in blocks_in(text, f"'{name}'")
            }
        except InputError as error:
            yield changed(name, str(error))
            return
        for block in blocks_in(fresh, "the new report"):
            if block.name in present:
                old, words = present[block.name]
                yield from _lines(
                    name, words, fresh[block.start : block.end], text.count("\n", 0, old.start)
                )

    return check


def _lines(name: str, stated: str, derived: str, before: int = 0) -> Iterator[Finding]:
    """Each line that is not what it should be, the first few of them; ``before``: lines that are
    before these in the file.
    """
    if stated == derived:
        return
    one, other = stated.split("\n"), derived.split("\n")
    wrong = [n for n, (a, b) in enumerate(zip(one, other, strict=False)) if a != b]
    for n in wrong[:3]:
        yield changed(
            name,
            f"line {before + n + 1} says {_around(one[n], other[n])}, the run directory gives"
            f" {_around(other[n], one[n])}",
        )
    if not wrong or len(one) != len(other):
        yield changed(name, f"it has {len(one)} lines where the run directory gives {len(other)}")


def _around(text: str, other: str) -> str:
    """The part of a line about the first character in which it differs from another."""
    at = next(
        (i for i, (a, b) in enumerate(zip(text, other, strict=False)) if a != b),
        min(len(text), len(other)),
    )
    return repr(text[max(0, at - 20) : at + 40])
