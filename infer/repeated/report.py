"""The builds run, timed and compared: how far they are apart, and whether the verdict is theirs."""

from __future__ import annotations

import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from portproof.backend import Array
from portproof.core import progress
from portproof.core.errors import InputError, ToolError
from portproof.core.files import read_file, tail_of, write_text
from portproof.core.jsonfile import json_in
from portproof.core.shell import run_program
from portproof.infer.offline.inference import run
from portproof.infer.offline.write import result_name
from portproof.infer.repeated.make import BUILDERS, VariantBuild, Wanted
from portproof.infer.timing.job import bench, plan_for
from portproof.manifest import read_info
from portproof.rehearsal import MARK
from portproof.verdict import Verdict

#: Exit codes of a comparison that was made: PASS, FAIL, UNDECIDED.
_MADE = (0, 1, 4)


class Build(msgspec.Struct, frozen=True, kw_only=True):
    """One build. ``flips``: samples whose first output has its largest number elsewhere than the
    first build's; ``largest_difference``: of all outputs, over the range of the first build's.
    ``images_per_second``: null where nothing was timed; of a rehearsal simulated.
    """

    label: str
    says: str
    flips: int
    largest_difference: float
    images_per_second: float | None
    accuracy: float | None
    difference_pp: float | None
    verdict: str | None


class Variance(msgspec.Struct, frozen=True, kw_only=True):
    """``speed_ratio``: the fastest build's rate over the slowest one's; ``accuracy_spread_pp``: the
    best build's accuracy minus the worst one's, in percentage points. ``depends``: whether the
    verdict is another one for another build; null without verdicts.
    """

    builder: str
    rehearsal: bool
    samples: int
    builds: list[Build]
    speed_ratio: float | None
    speed_deviation: float | None
    accuracy_spread_pp: float | None
    verdicts: list[str]
    depends: bool | None

    def to_json(self) -> str:
        """The JSON text, indented."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2).decode()

    def to_text(self) -> str:
        """A row a build, then what differs."""
        head = f"{len(self.builds)} builds by {self.builder}, {self.samples} samples"
        rows = [f"{MARK}: simulated builds, not measured. {head}" if self.rehearsal else head, ""]
        for b in self.builds:
            rate = "-" if b.images_per_second is None else f"{b.images_per_second:.1f} images/s"
            accuracy = "" if b.accuracy is None else f"  {100 * b.accuracy:.2f} %  {b.verdict}"
            rows.append(
                f"  {b.label:18s} {rate:>18s}  {b.flips} flips, outputs within"
                f" {b.largest_difference:.1e}{accuracy}  ({b.says})"
            )
        rows.append("")
        if self.speed_ratio is not None and self.speed_deviation is not None:
            rows.append(
                f"speed: the fastest build is {self.speed_ratio:.3f} times the slowest; standard"
                f" deviation {100 * self.speed_deviation:.1f} % of the mean"
            )
        if self.accuracy_spread_pp is not None:
            rows.append(f"accuracy: spread {self.accuracy_spread_pp:.2f} points")
        if self.depends is not None:
            rows.append(
                f"the verdict DEPENDS on the build: {', '.join(self.verdicts)}"
                if self.depends
                else f"the verdict is {self.verdicts[0]} for every build"
            )
        return "\n".join(rows)

    @property
    def exit_code(self) -> int:
        """4 where the verdict depends on the build or is undecided, 1 where it is FAIL."""
        if self.depends or Verdict.UNDECIDED in self.verdicts:
            return 4
        return 1 if Verdict.FAIL in self.verdicts else 0


@dataclass(frozen=True, slots=True)
class VarianceRequest:
    """What ``infer/variance.py`` is asked; the options as its help explains them."""

    model: str
    info: str
    out: str
    builder: str = "ort"
    count: int = 6
    batch: int = 1
    card: str | None = None
    labels: str | None = None
    reference: str | None = None
    margin_pp: float = 1.0
    target: str = "310p"
    precision: str = "fp32"
    seed: int = 0
    timed: bool = True
    blocks: int | None = None
    block_s: float | None = None


def variance(request: VarianceRequest) -> Variance:
    """Build, run, time, compare; the JSON is written to ``out/variance.json``. What is there and up
    to date is not run again.
    """
    if request.count < 2:
        raise InputError(f"--builds is {request.count}, two at least were expected")
    if (request.labels is None) != (request.reference is None):
        raise InputError(
            "a verdict needs --labels and --reference (the reference's results), one of them is"
            " missing"
        )
    folder = Path(request.out)
    folder.mkdir(parents=True, exist_ok=True)
    wanted = Wanted(
        Path(request.model), folder, request.count, request.batch, request.target,
        request.precision, request.seed,
    )  # fmt: skip
    builds = BUILDERS[request.builder](wanted)
    for build in builds:
        options = {k: v for k, v in build.options.items() if k != "threads"}
        threads = int(build.options["threads"]) if "threads" in build.options else None
        run(
            build.file,
            request.info,
            _results(folder, build),
            backend=build.backend,
            batch=request.batch,
            card=request.card,
            threads=threads,
            options=options,
        )
    rates = _rates(request, builds, folder)
    result = _judged(request, builds, rates, folder)
    write_text(folder / "variance.json", result.to_json() + "\n")
    return result


def _results(folder: Path, build: VariantBuild) -> Path:
    return folder / build.label / "result"


def _rates(
    request: VarianceRequest, builds: Sequence[VariantBuild], folder: Path
) -> dict[str, float | None]:
    """Images per second by label, all builds in alternation. Of simulated ones the first is timed
    and the others are its multiples.
    """
    if not request.timed:
        return {}
    timed = builds[:1] if request.builder == "rehearsal" else builds
    options = {f"{b.label}.{k}": v for b in timed for k, v in b.options.items()}
    subjects = [f"{b.label}={b.backend}:{b.file}" for b in timed]
    performance = bench(
        subjects,
        [request.batch],
        card=request.card,
        info=request.info,
        plan=plan_for(subjects, (), blocks=request.blocks, block_s=request.block_s, starts=None),
        options=options,
        out=str(folder / "perf.json"),
    )
    rates = {m.label: m.images_per_second for m in performance.measurements}
    if request.builder != "rehearsal":
        return rates
    base, first = rates.get(builds[0].label), builds[0].speed or 1.0
    return {b.label: base and base * (b.speed or 1.0) / first for b in builds}


def _judged(
    request: VarianceRequest,
    builds: Sequence[VariantBuild],
    rates: dict[str, float | None],
    folder: Path,
) -> Variance:
    ids = [sample.id for sample in read_info(request.info)]
    first = _outputs(_results(folder, builds[0]), ids)
    entries = []
    with progress.meter("builds", len(builds), "builds") as meter:
        for build in builds:
            flips, gap = _apart(first, _outputs(_results(folder, build), ids))
            found = _compared(request, build, folder)
            entries.append(
                Build(
                    label=build.label,
                    says=build.says,
                    flips=flips,
                    largest_difference=gap,
                    images_per_second=rates.get(build.label),
                    accuracy=found.get("port_accuracy"),
                    difference_pp=found.get("difference_pp"),
                    verdict=found.get("verdict"),
                )
            )
            meter.advance(1)
    known = [b.images_per_second for b in entries if b.images_per_second]
    accuracies = [b.accuracy for b in entries if b.accuracy is not None]
    verdicts = [b.verdict for b in entries if b.verdict is not None]
    return Variance(
        builder=request.builder,
        rehearsal=request.builder == "rehearsal",
        samples=len(ids),
        builds=entries,
        speed_ratio=max(known) / min(known) if len(known) > 1 else None,
        speed_deviation=statistics.stdev(known) / statistics.mean(known)
        if len(known) > 1
        else None,
        accuracy_spread_pp=100 * (max(accuracies) - min(accuracies)) if accuracies else None,
        verdicts=verdicts,
        depends=len(set(verdicts)) > 1 if verdicts else None,
    )


def _outputs(folder: Path, ids: Sequence[str]) -> list[Array]:
    """The first output of every sample, as numbers."""
    return [np.fromfile(folder / result_name(name, 1, "bin"), np.float32) for name in ids]


def _apart(one: Sequence[Array], other: Sequence[Array]) -> tuple[int, float]:
    """Samples whose largest number is elsewhere, and the largest difference over the range."""
    flips, gap, spread = 0, 0.0, 0.0
    for a, b in zip(one, other, strict=True):
        if a.size != b.size:
            raise ToolError("two builds answer another number of values for one sample")
        flips += int(a.argmax() != b.argmax())
        gap = max(gap, float(np.max(np.abs(a.astype(np.float64) - b), initial=0.0)))
        spread = max(spread, float(np.ptp(a)) if a.size else 0.0)
    return flips, gap / spread if spread else gap


def _compared(request: VarianceRequest, build: VariantBuild, folder: Path) -> dict[str, Any]:
    """What the command ``compare`` says of a build; it is of a later stage, so it is run, not
    imported.
    """
    if request.labels is None or request.reference is None:
        return {}
    out = folder / build.label / "compare.json"
    command = [
        sys.executable, "-m", "portproof", "compare", request.reference,
        _results(folder, build), request.labels, "--margin-pp", f"{request.margin_pp:g}",
        "--out", out, "--quiet",
    ]  # fmt: skip
    done = run_program(command, folder / build.label / "compare.log", environment=_environment())
    if done.exit_code not in _MADE:
        raise InputError(f"the results of {build.label} cannot be compared: {tail_of(done.log, 1)}")
    content = json_in(read_file(out, "comparison"))
    if not isinstance(content, dict):
        raise ToolError(f"'{out}' is no comparison")
    return content


def _environment() -> dict[str, str]:
    """This process's own, with the product where it was found."""
    import os

    import portproof

    root = str(Path(portproof.__file__).resolve().parents[1])
    paths = [root, os.environ.get("PYTHONPATH", "")]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, paths))}
