"""Check the figures of a port's README against the logs, products and tables that it shows."""

from __future__ import annotations

import argparse
import os
import sys
from typing import TYPE_CHECKING

if not __package__:  # a clone: make `portproof` importable, and nothing else of the checkout
    sys.path[0] = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "src")

from portproof.core.arguments import Parser, run_stage
from portproof.core.errors import EXIT_DONE, EXIT_FAIL

if TYPE_CHECKING:
    from portproof.reports.claims.agreement import Audit


def parser() -> Parser:
    """The command line."""
    p = Parser(
        "Re-derive every figure of a port's README from what the README itself shows: its logs,"
        " products, tables and ratios.\nExit code 1 when a contradiction was found, 0 when none"
        " was.",
        example="python reports/audit.py README.md",
    )
    p.add_argument(
        "documents", metavar="README.md", nargs="+", help="a README in Markdown, Chinese or English"
    )
    p.add_argument(
        "--json", action="store_true", help="print one JSON list, with one object a document"
    )
    p.add_progress_options()
    return p


def work(options: argparse.Namespace) -> int:
    """Audit the documents; return 1 when any of them contradicts itself."""
    import json

    from portproof.core import progress
    from portproof.reports.claims.audit import audit

    progress.configure(options.quiet, options.log_json)
    audits = [audit(path) for path in options.documents]
    if options.json:
        print(json.dumps([result.as_record() for result in audits], ensure_ascii=False, indent=2))
    else:
        for result in audits:
            show(result)
        if len(audits) > 1:
            checked, not_read = (
                sum(getattr(result, name) for result in audits)
                for name in ("checked", "tables_not_read")
            )
            print(f"{len(audits)} documents: {counted(checked, not_read)}")
    return EXIT_FAIL if any(result.contradictions for result in audits) else EXIT_DONE


def show(result: Audit) -> None:
    """Print one document's findings for people."""
    from portproof.core.text import printable

    print(
        f"{printable(result.document)}: {result.checked} figures checked,"
        f" {len(result.contradictions)} contradictions, {len(result.ambiguous)} undecided,"
        f" {len(result.unchecked)} notes on what was not checked"
    )
    for finding in result.in_order():
        mark = "CONTRADICTION" if finding in result.contradictions else "undecided"
        source = (
            "" if finding.from_line in (None, finding.line) else f" (from line {finding.from_line})"
        )
        print(
            f"  line {finding.line:>5}  {mark:<13}  {finding.kind:<12}  stated"
            f" {printable(finding.stated)}"
        )
        print(f"  {'':<11}  {'':<13}  {'':<12}  follows {printable(finding.derived)}{source}")
    for note in sorted(result.unchecked, key=lambda u: u.line):
        print(f"  line {note.line:>5}  not checked    {printable(note.why)}")
    print(f"  {counted(result.checked, result.tables_not_read)}")


def counted(checked: int, not_read: int) -> str:
    """The last line: how much of a document, or of all, the findings speak for."""
    tables = f"{not_read} {'table' if not_read == 1 else 'tables'} with figures not read"
    return f"{checked} {'figure' if checked == 1 else 'figures'} checked, {tables}"


if __name__ == "__main__":
    run_stage(parser, work)
