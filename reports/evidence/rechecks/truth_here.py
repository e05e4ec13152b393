"""What a task's figures were judged by: the truth, and how results became predictions."""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from portproof.card import Card
from portproof.core.files import sha256_of
from portproof.metrics.evaluation.origin import Decoding
from portproof.proof.lineage import Stage
from portproof.proof.sidecar import FileRecord
from portproof.reports.evidence.findings import Finding, not_derived

#: Where the truth stands among the words of a command: after one result, or after two.
_PLACES = {"evaluate": 3, "compare_task": 4}
#: Sums of floating-point numbers, whose order a processor and its library decide.
ROUNDING = 1e-9
_ROLES = ("truth", "postprocess", "port postprocess")


@dataclass(frozen=True)
class Judged:
    """The truth on this host; ``files``: those that the post-processing read; ``task``."""

    truth: Path
    files: tuple[Path, ...]
    task: str

    def decoding(self, parameters: dict[str, Any]) -> Decoding:
        """The decoding that a sidecar's parameters describe."""
        record, own = parameters["postprocess"], parameters["card"] or {}
        if not isinstance(record, dict):
            return Decoding(dtype=parameters["dtype"])
        card = {
            "name": "verify",
            "builder": "verify.py:none",
            "inputs": own.get("inputs") or [{"name": "input", "shape": [1]}],
            "outputs": own.get("outputs") or [{"name": "output"}],
            "recipe": own.get("recipe"),
            "task": self.task,
            "postprocess": record,
        }
        known = msgspec.convert({k: v for k, v in card.items() if v is not None}, Card)
        path = str(self._folder(record) / "card.yaml")
        return Decoding(card=msgspec.structs.replace(known, path=path), dtype=parameters["dtype"])

    def _folder(self, record: dict[str, Any]) -> Path:
        """Where the names of files in the record begin."""
        for file in self.files:
            for name in record.values():
                if isinstance(name, str) and str(file).endswith(f"/{name}"):
                    return Path(str(file).removesuffix(name))
        return Path()


def as_judged(stage: Stage, run_dir: Path) -> Generator[Finding, None, Judged | None]:
    """What the stage was judged by, None if it is not on this host as it was, or is a user's code,
    which a verification does not run.
    """
    records = {role: stage.proof.inputs.get(role, []) for role in _ROLES}
    for role in _ROLES:
        if (gone := _other(records[role], run_dir)) is not None:
            what = f"'{gone}' ({role}) is not on this host as it was read"
            yield not_derived(stage.artefact, f"{what}, so its figures are held by their hashes")
            return None
    files = tuple(run_dir / r.path for role in _ROLES[1:] for r in records[role])
    if any(file.suffix == ".py" for file in files):
        yield not_derived(
            stage.artefact,
            "its post-processing is the user's own code, which a verification does not run",
        )
        return None
    truth = run_dir / stage.command[_PLACES[stage.proof.stage]]
    return Judged(truth, files, stage.proof.parameters["task"])


def _other(records: list[FileRecord], run_dir: Path) -> str | None:
    """The first file that is not here, or not as it was."""
    for record in records:
        path = run_dir / record.path
        if not path.is_file() or sha256_of(path) != record.sha256:
            return record.path
    return None
