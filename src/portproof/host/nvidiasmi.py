"""``nvidia-smi``: which NVIDIA GPUs there are, their compute capability and their driver."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from portproof.core.errors import ToolError

#: What is asked, newest form first: drivers before 495 know no compute_cap.
_QUERIES = (("name", "compute_cap", "driver_version"), ("name", "driver_version"))
_NO_GPU = "No devices were found"
_TIMEOUT_S = 60.0


@dataclass(frozen=True, slots=True)
class GpuFacts:
    """One GPU; ``None`` is what its driver does not say."""

    name: str
    compute_capability: str | None = None
    driver: str | None = None

    def __str__(self) -> str:
        """As ``nvidia-smi`` lists it: ``Tesla T4, 7.5, 535.54``."""
        return ", ".join(filter(None, (self.name, self.compute_capability, self.driver)))


def _answer(command: tuple[str, ...]) -> str | None:
    if shutil.which(command[0]) is None:
        return None
    try:
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=_TIMEOUT_S, check=False
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise ToolError("nvidia-smi does not answer; check the driver") from error
    return done.stdout if done.returncode == 0 else None


def query(answer: Callable[[tuple[str, ...]], str | None] = _answer) -> list[GpuFacts] | None:
    """The GPUs of this host; None if ``nvidia-smi`` is not here or fails. ``answer`` runs a command
    and returns what it prints, None if it fails.

    Raises :class:`ToolError` if it does not answer within a minute.
    """
    for fields in _QUERIES:
        listing = answer(("nvidia-smi", f"--query-gpu={','.join(fields)}", "--format=csv,noheader"))
        if listing is not None:
            return [
                _gpu(fields, line)
                for line in listing.splitlines()
                if line.strip() and line.strip() != _NO_GPU
            ]
    return None


def gpu_here() -> str | None:
    """The GPUs of this host as one line for a sidecar; None without one."""
    return named(query())


def named(gpus: Sequence[GpuFacts] | None) -> str | None:
    """GPUs as one line for a sidecar; None without one."""
    return "; ".join(map(str, gpus)) if gpus else None


def _gpu(fields: Sequence[str], line: str) -> GpuFacts:
    values = dict(zip(fields, (word.strip() for word in line.split(",")), strict=False))
    return GpuFacts(values["name"], values.get("compute_cap"), values.get("driver_version"))
