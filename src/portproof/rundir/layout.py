"""The layout of a run directory: the only place that spells a file name or makes a label.

::

    RUN_DIR/port.yaml  model.onnx  card.yaml  prep/<id>.bin  prep.info  compare.json  .lock
            <label>/bs<N>/result/<id>_<k>.bin  <label>/bs<N>/result.json  <label>/bs<N>/perf_*.txt
            <label>/perf.json  <label>/card.json  report/README.md ...  logs/<step>.log
            parts/<part>/model.onnx ... and parts/<part>/<label>/fed/result of several models

All names are relative to the run directory, so that it can be copied to another host.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType

from portproof.core import plugins
from portproof.rundir.settings import FILE, Settings, read_settings
from portproof.target import Target, find_target, target_names

#: The label of the reference, which is also the backend that runs it.
REFERENCE = "eager"
#: The task whose outcomes are a table of ranks.
CLASSIFICATION = "classification"


@dataclass(frozen=True)
class Side:
    """One column of a port. ``name``: of the target, or of the backend that represents it.
    ``target``: None for the reference. ``tuned``: the same target with operators tuned by aoe,
    which is timed and has no accuracy run of its own.
    """

    name: str
    target: Target | None = None
    tuned: bool = False

    @property
    def label(self) -> str:
        """The label in files, tables and reports, such as ``310p`` or ``310p_aoe``."""
        return f"{self.name}_aoe" if self.tuned else self.name

    @property
    def is_in_alternation(self) -> bool:
        """Whether it is the reference, or timed in alternation with it; a device is timed alone."""
        return self.target is None or vendor_of(self.target).BOUNDARY == "call"

    def step_name(self, batch: int) -> str:
        """How steps call the side; those of a device name the batch, since it has several."""
        return self.label if self.is_in_alternation else f"{self.label} bs{batch}"


def vendor_of(target: Target) -> ModuleType:
    """The module of a target's vendor (:mod:`portproof.rundir.vendors`)."""
    return plugins.load("portproof.rundir.vendors", target.vendor, "vendor")


def match_side(label: str) -> Side | None:
    """The side of a device whose label a user typed, in any case, by name or alias; None for
    another label.

    >>> match_side("310P_aoe").tuned, match_side("710").target.name, match_side("eager")
    (True, '310p', None)
    """
    wanted = label.strip().lower()
    sides = [
        Side(name, target, tuned)
        for target in map(find_target, target_names())
        for name in (target.name, *target.aliases)
        for tuned in (False, True)
    ]
    return next((side for side in sides if side.label == wanted), None)


class RunDir:
    """A run directory with its settings. Methods give names relative to ``root``; ``batch`` may be
    the text ``{batch}``, as commands take it.
    """

    settings_file = FILE
    onnx = "model.onnx"
    #: The model card with all that was looked up, for the device's host.
    card = "card.yaml"
    prep = "prep"
    info = "prep.info"
    table = "report/table"
    report = "report/report.json"
    report_log = "logs/report.log"
    #: The simulated programs.
    rehearsal = ".rehearsal"
    html = "report/report.html"
    junit = "report/junit.xml"
    plots = "report/plots"
    #: The model card as it was when the report was written.
    card_copy = "report/card.yaml"

    def __init__(self, root: Path, settings: Settings) -> None:
        self.root, self.settings = root, settings

    @functools.cached_property
    def targets(self) -> tuple[Target, ...]:
        """The targets, in the order in which they were named."""
        return tuple(find_target(name) for name in self.settings.targets)

    def sides_of(self, target: Target) -> Sequence[Side]:
        """The sides of a target: first the one that is compared, then those that are only timed."""
        sides: Sequence[Side] = vendor_of(target).sides(self.settings, target)
        return sides

    @functools.cached_property
    def compared(self) -> tuple[Side, ...]:
        """The side of each target that has an accuracy run."""
        return tuple(self.sides_of(target)[0] for target in self.targets)

    @functools.cached_property
    def timed(self) -> tuple[Side, ...]:
        """Every side that is timed, apart from the reference."""
        return tuple(side for target in self.targets for side in self.sides_of(target))

    @functools.cached_property
    def alternated(self) -> tuple[Side, ...]:
        """The sides that are timed in alternation with the reference, all in one bench."""
        return tuple(side for side in self.timed if side.is_in_alternation)

    @functools.cached_property
    def benched(self) -> tuple[Side, ...]:
        """The sides with a measurement file of their own: the first of those in alternation has
        that of all of them.
        """
        return tuple(side for side in self.timed if side not in self.alternated[1:])

    @property
    def bases(self) -> list[str]:
        """The labels that those in alternation are set against: the reference, and each side in
        fp32 whose backend runs lower precisions too.
        """
        known = [side.target for side in self.alternated if side.target]
        reduced = {target.backend for target in known if target.precision != "fp32"}
        return [REFERENCE] + [
            side.label
            for side, target in zip(self.alternated, known, strict=True)
            if target.precision == "fp32" and target.backend in reduced
        ]

    def side(self, label: str) -> Side:
        """The side of a label that this port has."""
        sides = (Side(REFERENCE), *self.timed)
        return next(side for side in sides if side.label == label)

    @property
    def accuracy_batch(self) -> int:
        """The batch size of the accuracy runs that are compared: the largest to bench that is not
        over 16, as ports report bs1 and bs16.
        """
        batches = self.settings.batches
        return max((b for b in batches if b <= 16), default=min(batches))

    @property
    def accuracy_batches(self) -> list[int]:
        """The batch sizes of a device's accuracy runs: bs1 and bs16 if both are to be timed."""
        return sorted({min(self.settings.batches), self.accuracy_batch})

    def folder(self, side: Side, batch: int | str) -> str:
        """The folder of a side at a batch: its model file, results and figures."""
        return f"{side.label}/bs{batch}"

    def model(self, side: Side, batch: int | str, stem: str, suffix: str) -> str:
        """The model file of a side at a batch, as the converters name it."""
        return f"{self.folder(side, batch)}/{stem}_bs{batch}{suffix}"

    def reduced(self, precision: str) -> str:
        """The ONNX file of a precision."""
        return self.onnx if precision == "fp32" else f"model_{precision}.onnx"

    def result(self, side: Side, batch: int) -> str:
        """The folder of results."""
        return f"{self.folder(side, batch)}/result"

    def accuracy(self, side: Side, batch: int) -> str:
        """The figures of a result folder (``result.json`` of the source document)."""
        return f"{self.folder(side, batch)}/result.json"

    def outcomes(self, side: Side, batch: int) -> str:
        """What every sample of a result folder adds: a table, of other tasks arrays."""
        suffix = "csv" if self.settings.task == CLASSIFICATION else "npz"
        return f"{self.folder(side, batch)}/outcomes.{suffix}"

    def perf_file(self, side: Side, batch: int, device: int = 0) -> str:
        """The rate of an accuracy run, in the form of the benchmark tool."""
        return f"{self.folder(side, batch)}/perf_vision_batchsize_{batch}_device_{device}.txt"

    def perf(self, side: Side) -> str:
        """The file with the measurement of a side."""
        holder = self.alternated[0] if side in self.alternated else side
        return f"{holder.label}/perf.json"

    def board(self, side: Side) -> str:
        """The measurement of all chips of a board together."""
        return f"{side.label}/card.json"

    def comparison(self, side: Side) -> str:
        """The comparison of a side with the reference: the first target's is at the top."""
        return "compare.json" if side == self.compared[0] else f"{side.label}/compare.json"

    def readme(self, language: str) -> str:
        """The README of a port in a language."""
        return "report/README.md" if language == "en" else f"report/README.{language}.md"

    def plot(self, name: str) -> str:
        """A plot of the report."""
        return f"{self.plots}/{name}.svg"

    def log(self, step: str) -> str:
        """The log of a step. That of judging against a baseline comes after the report, which seals
        all in ``logs``.
        """
        folder = "against" if step == "against" else "logs"
        return f"{folder}/{step.replace(' ', '_').replace('/', '_')}.log"


class PartDir(RunDir):
    """The files of one part of a port of several models, all under ``parts/<name>``. Its settings
    are those of a port of this model alone, whose samples are what the reference feeds it.
    """

    def __init__(self, root: Path, settings: Settings, name: str) -> None:
        super().__init__(root, settings)
        self.name, self.top = name, f"parts/{name}"
        self.onnx, self.card = f"{self.top}/{RunDir.onnx}", f"{self.top}/{RunDir.card}"
        self.prep, self.info = f"{self.top}/{RunDir.prep}", f"{self.top}/{RunDir.info}"

    def folder(self, side: Side, batch: int | str) -> str:
        """Of the part."""
        return f"{self.top}/{super().folder(side, batch)}"

    def reduced(self, precision: str) -> str:
        """Of the part."""
        return self.onnx if precision == "fp32" else f"{self.top}/{super().reduced(precision)}"

    def perf(self, side: Side) -> str:
        """Of the part."""
        return f"{self.top}/{super().perf(side)}"

    def board(self, side: Side) -> str:
        """Of the part."""
        return f"{self.top}/{super().board(side)}"

    def comparison(self, side: Side) -> str:
        """Of the part: each side's has a place of its own."""
        return f"{self.top}/{side.label}/compare.json"


class FedDir(PartDir):
    """The same part fed by the parts before it on one side, each with its own errors."""

    def __init__(self, root: Path, settings: Settings, name: str, label: str) -> None:
        super().__init__(root, settings, name)
        self.fed = f"{self.top}/{label}/fed"
        self.prep, self.info = f"{self.fed}/{RunDir.prep}", f"{self.fed}/{RunDir.info}"

    @property
    def accuracy_batches(self) -> list[int]:
        """The one whose results go on to the next part, and are judged at the end."""
        return [self.accuracy_batch]

    def result(self, side: Side, batch: int) -> str:
        """What the fed part answers."""
        return f"{self.fed}/result"

    def perf_file(self, side: Side, batch: int, device: int = 0) -> str:
        """Beside it."""
        return f"{self.fed}/perf_vision_batchsize_{batch}_device_{device}.txt"


def open_run(root: Path) -> RunDir:
    """A run directory and its settings; :class:`InputError` if the folder is not one."""
    return RunDir(root, read_settings(root))
