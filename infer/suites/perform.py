"""A suite from its file to its page: one process a model; one that fails is a row that says why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from portproof.core import plugins, progress
from portproof.core.errors import InputError, PortProofError
from portproof.infer.suites.isolation import in_own_process, is_absent
from portproof.infer.suites.one_model import time_model
from portproof.infer.suites.page import Found, Row, from_page
from portproof.infer.suites.suite_file import (
    Suite,
    SuiteModel,
    folder_of,
    read_suite,
    with_batches,
    with_requests,
)
from portproof.infer.timing.job import changed
from portproof.infer.timing.protocol import Plan
from portproof.proof.lock import locked_artefact


@dataclass(frozen=True, slots=True)
class Benched:
    """All rows, in the suite's order."""

    rows: list[Row]

    @property
    def failed(self) -> list[str]:
        """What failed, a sentence each; what is not installed here did not."""
        models = [f"{r.entry.name}: {r.why}" for r in self.rows if r.why and not r.absent]
        subjects = [
            f"{r.entry.name}, {x.label}: {x.why}"
            for r in self.rows
            if r.found
            for x in r.found.left
            if not x.absent
        ]
        return models + subjects

    @property
    def wrong(self) -> list[str]:
        """Which subjects answered wrongly, a sentence each."""
        return [f"{r.entry.name}: {why}" for r in self.rows if r.found for why in _wrong(r.found)]


def _wrong(found: Found) -> list[str]:
    return found.performance.wrong


def run_suite(
    path: str | Path,
    out: Path,
    only: list[str] | None = None,
    length: Mapping[str, float | None] | None = None,
    *,
    batches: list[int] | None = None,
    clients: int | None = None,
    requests: int | None = None,
) -> Benched:
    """Time the models of a suite (``only`` some of them) and write its page after each.

    ``length``: fields of a :class:`Plan` by name; what is not there or None is the suite's own
    number of calls, in blocks as usual.
    """
    suite = with_batches(with_requests(read_suite(path), clients, requests), batches)
    entries = _chosen(suite, only or [], str(path))
    plan = _plan(suite, {k: v for k, v in (length or {}).items() if v is not None})
    if out.exists() and not out.is_dir():
        raise InputError(f"'{out}' is a file, and a suite writes a folder: give another --out")
    form = plugins.load("portproof.infer.suites.forms", suite.form, "form")
    rows: list[Row] = []
    with locked_artefact(out, "--out"):
        out.mkdir(parents=True, exist_ok=True)
        for entry in entries:
            rows.append(_row(suite, entry, out / folder_of(entry.name), plan))
            form.write(suite, rows, out)
    return Benched(rows)


def _plan(suite: Suite, given: dict[str, Any]) -> Plan:
    """How long each bench is; a suite under load is as long as its requests take."""
    if suite.requests is not None and given:
        flag = min(given).replace("block_s", "block-seconds")
        raise InputError(
            f"--{flag} has no meaning for a suite under load, whose length is --requests; leave it"
            " out"
        )
    return changed(Plan(iterations=suite.calls), given)


def _chosen(suite: Suite, only: list[str], path: str) -> list[SuiteModel]:
    names = [entry.name for entry in suite.entries]
    for text in only:
        if not any(entry.is_called(text) for entry in suite.entries):
            raise InputError(f"suite '{path}' has no model '{text}'; it has {', '.join(names)}")
    return [e for e in suite.entries if not only or any(e.is_called(text) for text in only)]


def _row(suite: Suite, entry: SuiteModel, folder: Path, plan: Plan | None) -> Row:
    progress.say(f"suite: {entry.name}")
    try:
        return Row(entry, in_own_process(time_model, suite, entry, folder, plan))
    except PortProofError as error:
        absent = is_absent(error)
        progress.warn(f"{entry.name}: {error}")
        return Row(entry, why=from_page(str(error), folder.parent), absent=absent)
