"""The seals of a report: the hashes of what no sidecar vouches for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from portproof.core.files import sha256_of
from portproof.reports.evidence.findings import Finding, changed
from portproof.reports.port.seal import REPORT, sealed_paths


def broken_seals(stated: dict[str, Any], run_dir: Path) -> Iterator[Finding]:
    """Files that the report sealed, each as it was, none missing; and no seal taken out: which
    files a report seals is known without it. Of a file and a seal that differ either may be the
    changed one, so the report is named too.
    """
    found = list(_broken(stated, run_dir))
    yield from found
    if found:
        yield changed(REPORT, f"{len(found)} of its seals are not those of the files")


def _broken(stated: dict[str, Any], run_dir: Path) -> Iterator[Finding]:
    files = sealed_in(stated)
    for path, file in files.items():
        place = run_dir / path
        if not place.is_file() or not place.resolve().is_relative_to(run_dir.resolve()):
            yield changed(path, "it is missing, and the report seals it")
        elif place.stat().st_size != file.get("size") or sha256_of(place) != file.get("sha256"):
            yield changed(path, "it was changed since the report was written")
    for path in sealed_paths(run_dir):
        if path not in files:
            yield changed(
                path, "the report does not seal it: its seal was taken out, or it came later"
            )


def doubled_names(run_dir: Path) -> Iterator[Finding]:
    """JSON files in which an object has a name twice: readers take one or the other, so that people
    and programs would see two values.
    """
    for path in sorted(run_dir.rglob("*.json")):
        if path.is_file() and not path.is_symlink():
            name = _doubled(path.read_bytes())
            if name is not None:
                what = f"an object in it has the name {name!r} twice, so that it says two things"
                yield changed(path.relative_to(run_dir).as_posix(), what)


def _doubled(data: bytes) -> str | None:
    found: list[str] = []

    def look(pairs: list[tuple[str, Any]]) -> None:
        names = [name for name, _ in pairs]
        if len(set(names)) < len(names):
            found.extend(name for name in names if names.count(name) > 1)

    try:
        json.loads(data, object_pairs_hook=look)
    except (ValueError, RecursionError):
        return None  # what reads the file says so
    return found[0] if found else None


def sealed_in(stated: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Path -> the seal, of what the report says that it seals."""
    files = stated.get("files")
    found = [f for f in files if isinstance(f, dict)] if isinstance(files, list) else []
    return {f["path"]: f for f in found if isinstance(f.get("path"), str)}
