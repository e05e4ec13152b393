"""Write the reports of a run directory: plots, READMEs, the HTML page, JUnit XML, and last
``report.json``, which seals them.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping
from pathlib import Path

from portproof.core.files import read_text, write_bytes, write_text
from portproof.core.jsonfile import one_record_a_line
from portproof.reports.page.flips import write_flips
from portproof.reports.page.html_page import html_page
from portproof.reports.port.blocks import updated
from portproof.reports.port.data import RunData, card_file, read_run
from portproof.reports.port.document import render
from portproof.reports.port.junit import junit_xml
from portproof.reports.port.languages import languages
from portproof.reports.port.plots import plots_of, svg_of
from portproof.reports.port.seal import report_of


def write_reports(run_dir: Path) -> RunData:
    """Write every report of a run directory; returns what the run directory says."""
    copy_card(read_run(run_dir))
    data = read_run(run_dir)
    write_flips(data)
    files, drawn = data.files, draw(data)
    for name, svg in drawn.items():
        write_bytes(run_dir / files.plot(name), svg)
    for language in languages():
        write_readme(data, run_dir / files.readme(language), language)
    write_text(run_dir / files.html, html_page(data))
    write_text(run_dir / files.junit, junit_xml(data))
    write_bytes(run_dir / files.report, one_record_a_line(report_of(data)))
    return data


def copy_card(data: RunData) -> None:
    """Keep the model card's file, if this host has the one that was read."""
    source = card_file(data.settings.model)
    if source is None:
        return
    content = source.read_bytes()
    if hashlib.sha256(content).hexdigest() in data.cards_read:
        write_bytes(data.root / data.files.card_copy, content)


def write_readme(data: RunData, out: Path, language: str, template: str = "readme") -> None:
    """Write a README; of an existing one, only the generated blocks are replaced."""
    fresh = render(data, language, template, plots_beside(data, out))
    write_text(
        out, updated(read_text(out, "README"), fresh, f"'{out}'") if out.is_file() else fresh
    )


def plots_beside(data: RunData, out: Path) -> Mapping[str, Mapping[str, str]]:
    """Link and words of each plot, if the document can link to the plots relatively."""
    folder = data.root / data.files.plots
    if not folder.is_dir() or not out.absolute().is_relative_to(data.root):
        return {}
    link = Path(os.path.relpath(folder, out.absolute().parent)).as_posix()
    return {
        p.name: {"link": f"{link}/{p.name}.svg", "text": p.text}
        for p in plots_of(data)
        if (folder / f"{p.name}.svg").is_file()
    }


def draw(data: RunData) -> dict[str, bytes]:
    """The plots as SVG, by name."""
    return {plot.name: svg_of(plot, data.simulated) for plot in plots_of(data)}
