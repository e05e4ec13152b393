"""Open any log, recognise its family by content, and return its runs, each checked."""

from __future__ import annotations

import concurrent.futures
import functools
import importlib
import json
import os
import pkgutil
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from typing import IO, Any

import portproof.logs.families
from portproof import rehearsal
from portproof.core.errors import InputError, sentence_for
from portproof.core.files import open_regular
from portproof.logs import slowed
from portproof.logs.consistency import check
from portproof.logs.lines import TextBlock, blocks, encoding_of, offered
from portproof.logs.logged import Run

#: Larger JSON files are refused rather than loaded: trtexec writes about 20 MB for three seconds of
#: a fast model.
MAX_JSON_BYTES = 512 << 20

#: From this many files on, starting processes costs less than it saves; each takes this many files
#: at a time.
MANY, CHUNK = 1000, 100

#: Folders of results, never of logs; one holds as many files as the data set has images.
RESULT_FOLDERS = ("result", "prep", "outcomes", "profiler", "dump", ".git")
LOG_SUFFIXES = ("", ".log", ".txt", ".json", ".out", ".err")

_NAMED_BATCH = re.compile(
    r"(?:^|[^A-Za-z])(?:bs|batch|batch_?size)[_-]?([1-9][0-9]{0,3})(?![0-9])", re.IGNORECASE
)
_BATCH_FOLDER = re.compile(r"bs([1-9][0-9]{0,3})")
#: How a JSON object or an array of objects begins; a line of a log may begin with ``[`` too.
_JSON_HEAD = re.compile(r"\ufeff?\s*(?:\{\s*[\"}]|\[\s*[{\]])")
_HEADING = re.compile(r"^#{1,6} +\S", re.MULTILINE)


@functools.cache
def families() -> tuple[ModuleType, ...]:
    """The family modules of ``families``, by name."""
    names = sorted(m.name for m in pkgutil.iter_modules(portproof.logs.families.__path__))
    modules = [importlib.import_module(f"portproof.logs.families.{name}") for name in names]
    return tuple(m for m in modules if hasattr(m, "FAMILY"))


def read(path: str | os.PathLike[str]) -> list[Run]:
    """The runs in a log, in their order.

    Raises :class:`InputError` if the file is missing, no regular file, binary, damaged JSON, or
    holds no run of any known tool.
    """
    source = os.fspath(path)
    runs = _runs_in(source)
    if not runs:
        raise InputError(
            f"'{source}' holds no run of a known tool"
            f" ({', '.join(dict.fromkeys(m.FAMILY for m in families()))}); a log of one of them was"
            " expected"
        )
    for run in runs:
        check(run)
    if len(runs) == 1 and runs[0].batch is None:
        _hint_batch(runs[0], Path(source))
    return runs


def only(path: str | os.PathLike[str], family: str) -> Run:
    """The one run of a family in a log; :class:`InputError` if there is none, or several."""
    runs = [run for run in read(path) if run.family == family]
    if len(runs) != 1:
        raise InputError(f"'{os.fspath(path)}' holds {len(runs)} runs of {family}, 1 was expected")
    return runs[0]


def _runs_in(source: str) -> list[Run]:
    with open_regular(source, "log") as file:
        head = file.read(4096)
        file.seek(0)
        encoding = encoding_of(head, source)
        is_json = _JSON_HEAD.match(head.decode(encoding, errors="replace"))
        return _read_json(file, source, encoding) if is_json else _read_text(file, source)


def read_many(paths: Iterable[str | os.PathLike[str]]) -> tuple[list[Run], list[str]]:
    """The runs of several logs, and one sentence for each file that could not be read. Many files
    are read by several processes.
    """
    every = [os.fspath(path) for path in paths]
    workers = min(os.cpu_count() or 1, 8)
    if len(every) < MANY or workers == 1:
        return _read_each(every)
    runs: list[Run] = []
    problems: list[str] = []
    with concurrent.futures.ProcessPoolExecutor(workers) as pool:
        for found, unreadable in pool.map(
            _read_each, [every[i : i + CHUNK] for i in range(0, len(every), CHUNK)]
        ):
            runs += found
            problems += unreadable
    return runs, problems


def _read_each(paths: list[str]) -> tuple[list[Run], list[str]]:
    runs: list[Run] = []
    problems: list[str] = []
    for path in paths:
        try:
            runs += read(path)
        except InputError as error:
            problems.append(str(error))
        except OSError as error:
            problems.append(sentence_for(error)[0])
    return runs, problems


def logs_in(folder: str | os.PathLike[str]) -> Iterator[Path]:
    """Files that may be logs, sorted; results, hidden files and sidecars are passed over."""
    for where, folders, names in os.walk(folder):
        folders[:] = sorted(
            f
            for f in folders
            if f not in RESULT_FOLDERS and not f.startswith((".", "dumpOutput_device"))
        )
        for name in sorted(names):
            if (
                not name.startswith(".")
                and not name.endswith(".proof.json")
                and Path(name).suffix in LOG_SUFFIXES
            ):
                yield Path(where, name)


def _hint_batch(run: Run, file: Path) -> None:
    """Note the batch in the name of the file or of its folder ``bs16``: it is only a hint."""
    named = _NAMED_BATCH.search(file.stem) or _BATCH_FOLDER.fullmatch(file.absolute().parent.name)
    if named and run.status != "failed":
        run.facts.setdefault("batch_hint", int(named[1]))


def _read_json(file: IO[bytes], source: str, encoding: str) -> list[Run]:
    if os.fstat(file.fileno()).st_size > MAX_JSON_BYTES:
        raise InputError(
            f"'{source}' is a JSON file of more than {MAX_JSON_BYTES >> 20} MiB; a summary or a"
            " times file was expected"
        )
    text = file.read().decode(encoding, errors="replace").removeprefix("\ufeff")
    try:
        data: Any = json.loads(text)
    except (ValueError, RecursionError) as error:
        file.seek(0)
        if runs := _read_text(file, source):
            return runs
        raise InputError(
            f"'{source}' begins as JSON but is damaged ({error}); write it again or give the tool's"
            " console log"
        ) from error
    for family in families():
        found = family.from_json(data, text, source) if hasattr(family, "from_json") else None
        if found is not None:
            return _noted(list(found), rehearsal.MARK in text)
    return []


def _read_text(file: IO[bytes], source: str) -> list[Run]:
    readers: dict[int, Any] = {}
    signs: list[slowed.Sign] = []
    headings = fences = 0
    rehearsed = False
    for block in blocks(file, source):
        rehearsed = rehearsed or rehearsal.MARK in block.text
        for line, bits in offered(block, _marks()):
            for i, family in enumerate(families()):
                if bits >> i & 1:
                    if i not in readers:
                        readers[i] = family.Reader(source)
                    readers[i].feed(line)
        signs += slowed.signs_in(block)
        headings, fences = headings + _headings(block), fences + block.text.count("```")
    runs = sorted(
        (run for reader in readers.values() for run in reader.runs()), key=lambda run: run.line
    )
    if runs and headings >= 2 and fences >= 2:
        raise InputError(f"'{source}' is a document, not a log; reports/audit.py reads documents")
    slowed.doubt(runs, signs)
    return _noted(runs, rehearsed)


def _noted(runs: list[Run], rehearsed: bool) -> list[Run]:
    """The runs, noted as simulated where a simulated tool marked its log."""
    for run in runs:
        if rehearsed and not run.simulated:
            run.simulated = True
            run.warnings.append(f"{rehearsal.MARK}: these times come from a simulated device")
    return runs


def _headings(block: TextBlock) -> int:
    return (
        len(_HEADING.findall(block.text))
        if "\n#" in block.text or block.text.startswith("#")
        else 0
    )


@functools.cache
def _marks() -> dict[str, int]:
    """Every mark of every family, with the bits of the families that want it."""
    found: dict[str, int] = {}
    for i, module in enumerate(families()):
        for mark in getattr(module, "MARKS", ()):
            found[mark] = found.get(mark, 0) | 1 << i
    return found
