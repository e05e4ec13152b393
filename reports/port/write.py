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
from portproof.reports.port.blocks import updated
from portproof.reports.port.data import CARD_COPY, RunData, card_file, read_run
from portproof.reports.port.document import languages, render
from portproof.reports.port.junit import junit_xml
from portproof.reports.port.page import html_page
from portproof.reports.port.plots import plots_of, svg_of
from portproof.reports.port.seal import REPORT, report_of

PLOTS = "report/plots"
README_NAMES = {
    language: "README.md" if language == "en" else f"README.{language}.md"
    for language in languages()
}


def write_reports(run_dir: Path) -> RunData:
    """Write every report of a run directory into its ``report`` folder; returns what the run
    directory says.
    """
    copy_card(run_dir)
    data = read_run(run_dir)
    drawn = draw(data)
    for name, svg in drawn.items():
        write_bytes(run_dir / plot_file(name), svg)
    for language, name in README_NAMES.items():
        write_readme(data, run_dir / "report" / name, language)
    write_text(run_dir / "report" / "report.html", html_page(data, drawn))
    write_text(run_dir / "report" / "junit.xml", junit_xml(data))
    write_bytes(run_dir / REPORT, one_record_a_line(report_of(data)))
    return data


def copy_card(run_dir: Path) -> None:
    """Keep the model card's file with the run directory, where this host has the very file that the
    export read.
    """
    data = read_run(run_dir)
    source, export = card_file(data.settings.model), data.stage("model.onnx")
    if source is None or export is None:
        return
    content = source.read_bytes()
    if hashlib.sha256(content).hexdigest() in {
        record.sha256 for record in export.proof.inputs.get("card", [])
    }:
        write_bytes(run_dir / CARD_COPY, content)


def write_readme(data: RunData, out: Path, language: str, template: str = "readme") -> None:
    """Write a README; of an existing one, only the generated blocks are replaced."""
    fresh = render(data, language, template, plots_beside(data, out))
    write_text(
        out, updated(read_text(out, "README"), fresh, f"'{out}'") if out.is_file() else fresh
    )


def plots_beside(data: RunData, out: Path) -> Mapping[str, Mapping[str, str]]:
    """Link and words of each plot, where the document's place can link to the run directory's plots
    relatively.
    """
    folder = data.root / PLOTS
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


def plot_file(name: str) -> str:
    """Where a plot stands, relative to the run directory."""
    return f"{PLOTS}/{name}.svg"
