"""Vendor tools that execute an ``.om`` in a process of their own: one file each, found by its name,
that defines what :class:`Tool` lists. What they share is in ``parts``.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, cast

from portproof.convert.ascend.om_facts import OmFacts
from portproof.core.errors import InputError
from portproof.manifest import Sample


@dataclass(frozen=True, slots=True)
class ToolJob:
    """One run of a tool: a model (absolute path) of a batch on a device, in a scratch folder of
    its own that is empty. ``log``: where its output is kept. ``gear``: the flags that choose a gear
    of a dynamic model, as ais_bench and msame spell them. ``facts``: those of the model's sidecar.
    """

    model: Path
    batch: int
    device: int
    scratch: Path
    log: Path
    form: str = "bin"
    gear: tuple[str, ...] = ()
    facts: OmFacts | None = None
    timeout_s: float | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """The result of a run: result files by sample id, outputs in the model's order; the tool's own
    file of figures, if any; the rate that it measured, in images per second of device time; and
    further facts that it gives.
    """

    results: dict[str, list[Path]]
    figures: Path | None
    images_per_second: float
    facts: dict[str, Any]


class Tool(Protocol):
    """The module of a tool."""

    #: Distributions whose versions decide its figures.
    PACKAGES: tuple[str, ...]
    #: Result forms that it can write.
    FORMS: tuple[str, ...]
    #: Kinds of input that it can be timed with.
    INPUTS: tuple[str, ...]

    def infer(self, job: ToolJob, samples: Sequence[Sample]) -> Outcome:
        """Run the model over samples; :class:`ToolError` with the end of the log unless the tool
        succeeded and every result is there.
        """

    def time_calls(self, job: ToolJob, count: int, inputs: Sequence[Path]) -> list[float]:
        """Seconds of ``count`` executions on the device. ``inputs``: one file a model input that
        holds the whole batch; none: the tool makes its own.
        """


def names() -> list[str]:
    """The names of all tools, sorted; none is imported."""
    return sorted(m.name for m in pkgutil.iter_modules(__path__) if not m.ispkg)


def find(name: str) -> Tool:
    """The tool of that name; :class:`InputError` lists the names there are."""
    if name not in names():
        raise InputError(f"there is no vendor tool '{name}'; there are {', '.join(names())}")
    return cast(Tool, importlib.import_module(f"portproof.infer.vendor.{name}"))
