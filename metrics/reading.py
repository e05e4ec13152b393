"""Opens any log, recognises its family by content, and returns the runs in it, each checked against itself."""

from __future__ import annotations

import functools
import importlib
import json
import os
import pkgutil
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import portproof.metrics.logs
from portproof.errors import InputError
from portproof.files import existing_file
from portproof.metrics.checks import check
from portproof.metrics.lines import Block, blocks, offered
from portproof.metrics.runs import Run

#: Larger JSON files are refused rather than loaded: trtexec writes about 20 MB for three seconds of a fast model.
MAX_JSON_BYTES = 512 << 20

#: Folders of results, never of logs; one holds as many files as the data set has images.
RESULT_FOLDERS = ("result", "prep", "outcomes", "profiler", "dump", ".git")
LOG_SUFFIXES = ("", ".log", ".txt", ".json", ".out", ".err")

_NAMED_BATCH = re.compile(r"(?:^|[^A-Za-z])(?:bs|batch|batch_?size)[_-]?([1-9][0-9]{0,3})(?![0-9])", re.IGNORECASE)
_BATCH_FOLDER = re.compile(r"bs([1-9][0-9]{0,3})")
_HEADING = re.compile(r"^#{1,6} +\S", re.MULTILINE)


@functools.cache
def families() -> tuple[ModuleType, ...]:
    """The family modules of ``metrics/logs``, by name."""
    names = sorted(m.name for m in pkgutil.iter_modules(portproof.metrics.logs.__path__))
    modules = [importlib.import_module(f"portproof.metrics.logs.{name}") for name in names]
    return tuple(m for m in modules if hasattr(m, "FAMILY"))


def read(path: str | os.PathLike[str]) -> list[Run]:
    """The runs in a log, in the order in which they stand there.

    Raises :class:`InputError` when the file is missing, binary, damaged JSON, or holds no run of any known tool.
    """
    source = os.fspath(path)
    file = existing_file(path, "log")
    runs = _read_json(file, source) if _looks_like_json(file) else _read_text(file, source)
    if not runs:
        raise InputError(
            f"'{source}' holds no run of a known tool ({', '.join(dict.fromkeys(m.FAMILY for m in families()))}); a log of one of them was expected"
        )
    for run in runs:
        check(run)
    if len(runs) == 1 and runs[0].batch is None:
        _hint_batch(runs[0], file)
    return runs


def read_many(paths: Iterable[str | os.PathLike[str]]) -> tuple[list[Run], list[str]]:
    """The runs of several logs, and one sentence for each file that could not be read."""
    runs: list[Run] = []
    problems: list[str] = []
    for path in paths:
        try:
            runs += read(path)
        except InputError as error:
            problems.append(str(error))
    return runs, problems


def logs_in(folder: str | os.PathLike[str]) -> Iterator[Path]:
    """Files of a folder tree that may be logs, sorted; folders of results, hidden files and sidecars are passed over."""
    for where, folders, names in os.walk(folder):
        folders[:] = sorted(f for f in folders if f not in RESULT_FOLDERS and not f.startswith((".", "dumpOutput_device")))
        for name in sorted(names):
            if not name.startswith(".") and not name.endswith(".proof.json") and Path(name).suffix in LOG_SUFFIXES:
                yield Path(where, name)


def _hint_batch(run: Run, file: Path) -> None:
    """Note the batch that the name of the file, or of its folder ``bs16``, hints at; a hint is never the run's batch."""
    named = _NAMED_BATCH.search(file.stem) or _BATCH_FOLDER.fullmatch(file.absolute().parent.name)
    if named and run.status != "failed":
        run.facts.setdefault("batch_hint", int(named[1]))


def _looks_like_json(file: Path) -> bool:
    """Whether the file starts as a JSON object or array of objects does (a log line may start with ``[`` too)."""
    with file.open("rb") as opened:
        head = opened.read(4096)
    return re.match(rb"(?:\xef\xbb\xbf)?\s*(?:\{\s*[\"}]|\[\s*[{\]])", head) is not None


def _read_json(file: Path, source: str) -> list[Run]:
    if file.stat().st_size > MAX_JSON_BYTES:
        raise InputError(f"'{source}' is a JSON file of more than {MAX_JSON_BYTES >> 20} MiB; a summary or a times file was expected")
    text = file.read_text(encoding="utf-8-sig", errors="replace")
    try:
        data: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        runs = _read_text(file, source)
        if runs:
            return runs
        raise InputError(f"'{source}' begins as JSON but is damaged ({error}); write it again or give the tool's console log") from error
    for family in families():
        runs = family.from_json(data, text, source) if hasattr(family, "from_json") else None
        if runs is not None:
            return list(runs)
    return []


def _read_text(file: Path, source: str) -> list[Run]:
    readers = [(1 << i, m.Reader(source)) for i, m in enumerate(families()) if hasattr(m, "Reader")]
    headings = fences = 0
    for block in blocks(file):
        for line, bits in offered(block, _marks()):
            for bit, reader in readers:
                if bits & bit:
                    reader.feed(line)
        headings, fences = headings + _headings(block), fences + block.text.count("```")
    runs = sorted((run for _, reader in readers for run in reader.runs()), key=lambda run: run.line)
    if runs and headings >= 2 and fences >= 2:
        raise InputError(f"'{source}' is a document, not a log; reports/audit.py reads documents")
    return runs


def _headings(block: Block) -> int:
    return len(_HEADING.findall(block.text)) if "\n#" in block.text or block.text.startswith("#") else 0


@functools.cache
def _marks() -> dict[str, int]:
    """Every mark of every family, with the bits of the families that want it."""
    found: dict[str, int] = {}
    for i, module in enumerate(families()):
        for mark in getattr(module, "MARKS", ()):
            found[mark] = found.get(mark, 0) | 1 << i
    return found
