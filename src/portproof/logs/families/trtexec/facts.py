"""Facts of a run in a trtexec log: version, command line, batch, and its mode."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from portproof.core.text import listed

_FLAG = re.compile(
    r"--(shapes|optShapes|batch|streams|infStreams|device)[= ]('[^']*'\S*|\"[^\"]*\"\S*|\S+)"
)
#: Title of an option, as trtexec prints it with "Enabled" or "Disabled" -> its name here.
MODES = {"CUDA Graph": "graph", "Spin-wait": "spin", "Data transfers": "transfers"}
#: Said of inputs whose first dimension may be no batch.
_WORDS = (
    "the inputs are all 2-d ({shapes}): samples by words, or words by samples as in BERT's"
    " demonstration; the batch is not known"
)
_WORD_INPUT = re.compile(r"ids?\b|mask|token|segment|seq|position|word", re.IGNORECASE)
_DIMENSIONS = re.compile(r"\d{1,9}(?:x\d{1,9})*")


def first_dimensions(shapes: str) -> list[int]:
    """First dimension of each input of ``--shapes``; a name may hold colons, a scalar has no
    dimension.

    >>> first_dimensions("x:0:4x1x28x28,mask:4x10"), first_dimensions("s:scalar")
    ([4, 4], [])
    """
    found = []
    for item in shapes.strip("'\"").split(","):
        dimensions = item.rpartition(":")[2]
        if _DIMENSIONS.fullmatch(dimensions):
            found.append(int(dimensions.split("x")[0]))
    return found


@dataclass(slots=True)
class Facts:
    """Gathered line by line. ``modes``: which of the options that change what a time means were
    printed as enabled, under the names of :data:`MODES`. ``bindings``: input -> dimensions as
    printed, ``4x3x224x224``. ``variation_percent``: the coefficient of variance of the compute time
    that trtexec warns of. ``graph_failed``: the CUDA graph was not captured. ``started``: when the
    inference began, in local time, cut to the second. ``error``: the first error.
    """

    command: str | None = None
    version: str | None = None
    device: str | None = None
    compute_capability: str | None = None
    precision: str | None = None
    modes: dict[str, bool] = field(default_factory=dict)
    streams_option: int | None = None
    implicit_batch: int | None = None
    bindings: dict[str, str] = field(default_factory=dict)
    types: dict[str, str] = field(default_factory=dict)
    overridden: list[tuple[str, str, int]] = field(default_factory=list)
    variation_percent: float | None = None
    graph_failed: bool = False
    started: str | None = None
    error: str | None = None

    def has_flag(self, name: str) -> bool:
        """Whether the command line has a flag."""
        return re.search(rf"--{name}\b", self.command or "") is not None

    def does_work(self) -> bool:
        """Whether the command line asks for more than the help text, which ends with PASSED in some
        versions.
        """
        return (
            re.search(r"\s--\w", self.command or "") is not None
            and re.search(r"\s(--help|-h)\b", self.command or "") is None
        )

    def option(self, *names: str) -> str | None:
        """The value of the first of these flags on the command line, or None where it is there
        with several (a profile each).
        """
        given: dict[str, set[str]] = {}
        for name, value in _FLAG.findall(self.command or ""):
            given.setdefault(name, set()).add(value)
        found = next((given[name] for name in names if name in given), set())
        return next(iter(found)) if len(found) == 1 else None

    @property
    def major(self) -> int | None:
        """The major version, where known."""
        return int(self.version.split(".")[0]) if self.version else None

    @property
    def streams(self) -> int:
        """Inference streams."""
        given = self.option("infStreams", "streams")
        return int(given) if given and given.isdecimal() else self.streams_option or 1

    def implicit(self) -> int | None:
        """The batch of an implicit-batch engine (Caffe, UFF, ``--batch=N``; up to 8.x), whose
        printed rate already counts samples.
        """
        if self.has_flag("onnx") or self.has_flag("explicitBatch") or (self.major or 0) >= 9:
            return None
        given = self.option("batch")
        return int(given) if given and given.isdecimal() and int(given) > 0 else self.implicit_batch

    def batch(self) -> tuple[int | None, str | None, list[str]]:
        """Batch, from what it is known, and warnings: from the bindings made, the shapes put in for
        missing ones, or the command line.
        """
        warnings = [
            f"the run measured batch {shape.split('x')[0]} because no shapes were given: {name}"
            f" became {shape} (line {line})"
            for name, shape, line in self.overridden
        ]
        if implicit := self.implicit():
            return implicit, "implicit batch", warnings
        overridden = [int(shape.split("x")[0]) for _, shape, _ in self.overridden]
        given = first_dimensions(self.option("shapes", "optShapes") or "")
        sources = (
            ([int(d.split("x")[0]) for d in self.bindings.values()], "input bindings"),
            (overridden, "shapes put in by trtexec"),
            (given, "command line"),
        )
        dimensions, source = next(((d, s) for d, s in sources if d), ([], ""))
        if not dimensions:
            return None, None, warnings
        if len(set(dimensions)) > 1:
            return (
                None,
                None,
                [
                    *warnings,
                    f"the inputs begin with different dimensions, {dimensions}: the batch is not"
                    " known",
                ],
            )
        if self._may_be_words() and dimensions[0] > 1:
            return (
                None,
                None,
                [*warnings, _WORDS.format(shapes=listed(list(self._shapes().values())))],
            )
        if given and set(given) != set(dimensions):
            warnings.append(
                f"the command line asks for batch {given[0]}, the {source} have {dimensions[0]}"
            )
        return (dimensions[0], source, warnings) if dimensions[0] > 0 else (None, None, warnings)

    def _shapes(self) -> dict[str, str]:
        """The dimensions of each input that are known, by its name."""
        given = (self.option("shapes", "optShapes") or "").strip("'\"").split(",")
        named = {name.strip("'\""): shape for name, _, shape in (i.rpartition(":") for i in given)}
        put_in = {name: shape for name, shape, _ in self.overridden}
        shapes = self.bindings or put_in or named
        return {name: shape for name, shape in shapes.items() if _DIMENSIONS.fullmatch(shape)}

    def _may_be_words(self) -> bool:
        """Whether all inputs have two dimensions, the first is the longer, and they are of whole
        numbers by their type, their names or their number: words by samples, perhaps.
        """
        shapes = self._shapes()
        sizes = [[int(size) for size in text.split("x")] for text in shapes.values()]
        if not sizes or any(len(s) != 2 or s[0] <= s[1] for s in sizes):
            return False
        if self.types:
            return all(kind.startswith("int") for kind in self.types.values())
        return len(sizes) > 1 or any(map(_WORD_INPUT.search, shapes))

    def transfers(self, copies_all_zero: bool) -> bool:
        """Whether inputs and outputs were copied: on by default up to 10.x, off from 11.0, and off
        where every copy took no time.
        """
        if copies_all_zero or self.has_flag("noDataTransfers"):
            return False
        by_version = (self.major or 0) < 11 or self.has_flag("includeDataTransfers")
        return self.modes.get("transfers", by_version)

    def as_dict(self) -> dict[str, Any]:
        """The facts of the run that are known, by name."""
        names = ["command", "device", "compute_capability", "precision", "modes", "bindings"]
        names += ["overridden", "variation_percent", "graph_failed", "started", "error"]
        return {name: value for name in names if (value := getattr(self, name))}
