"""``docs/devices.md``: what was really run where, from the attestations."""

from __future__ import annotations

from collections.abc import Sequence

from portproof.core.text import markdown
from portproof.reports.attestations.record import Attestation
from portproof.target import target_names

_HEAD = """# What was really run where

Made by `python reports/devices.py docs/attestations --out docs/devices.md` from the files of
that folder; a test keeps it so. A line is the claim of whoever signed it. After a first run on a
device, `portproof attest RUN_DIR --who NAME --out docs/attestations/FILE.yaml` makes the next.

| target | device | model | verdicts | versions | who, when | report.json, SHA-256 |
|---|---|---|---|---|---|---|
"""


def devices_page(attestations: Sequence[Attestation]) -> str:
    """The page: a row an attestation, then the targets that nobody has run."""
    rows = "".join(f"| {' | '.join(_cells(a))} |\n" for a in attestations)
    run = {target for a in attestations if not a.emulated for target in a.targets}
    rest = [name for name in target_names() if name not in run]
    notes = [
        f"* {markdown(', '.join(a.targets))}: {markdown(a.note)}" for a in attestations if a.note
    ]
    text = _HEAD + rows
    if notes:
        text += "\n" + "\n".join(notes) + "\n"
    if rest:
        text += f"\nNobody has attested a run on a real device of: {', '.join(rest)}.\n"
    return text


def _cells(a: Attestation) -> list[str]:
    device = ", ".join(a.devices) + (f" (EMULATED: {a.emulated})" if a.emulated else "")
    versions = ", ".join(f"{name} {version}" for name, version in sorted(a.versions.items()))
    sha256 = f"`{a.report_sha256[:16]}`" if a.report_sha256 else "no port"
    texts = (", ".join(a.targets), device, a.model, "; ".join(a.verdicts) or "-", versions)
    return [*map(markdown, texts), markdown(f"{a.who}, {a.date}"), sha256]
