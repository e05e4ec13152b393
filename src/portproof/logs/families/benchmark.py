"""``perf_*`` files of ``benchmark.x86_64`` and ``benchmark.aarch64`` (Ascend), and PortProof's own
files in the same form.

Five sections, rates in samples a second, times in ms, six significant digits. What READMEs report
is the *Interface* rate of the ``[infer]`` section: the device's own. The tool does not write the
batch size; the ratio of the ``[infer]`` and ``[post]`` rates recovers it, since ``[post]`` counts
batches: N / ceil(N / batch). Files in the wild are pasted on one line, lack commas or whole fields,
or carry full-width punctuation; each field is read alone, and a field that is not there is not made
up.
"""

from __future__ import annotations

import itertools
import os
import re

from portproof.core.errors import InputError
from portproof.logs.consistency import (
    READ_SLACK,
    batch_of_rates,
    mean_batch,
    near,
    rate_times_latency,
    samples_of,
)
from portproof.logs.families.benchmark_sections import (
    NAMES,
    ORDER,
    ROUNDING,
    SECTION,
    Section,
    fields_of,
)
from portproof.logs.lines import Line
from portproof.logs.logged import DEVICE, END_TO_END, Figure, Run

FAMILY = "benchmark"
MARKS = ("[e2e", "[data read", "[preprocess", "[infer", "[post", "# PortProof ")

_OWN = re.compile(r"# PortProof (\S+) boundary=(call|end_to_end)(?![\w+|])(.*)")
_FILE_NAME = re.compile(r"perf_(\w+?)_batchsize_(\d{1,5})_device_(\d{1,3})")
#: Samples below which a run is so short that its sections' times differ by some percent.
_FEW = 1000


class _Log:
    """The sections of one run, as they are met."""

    def __init__(
        self, line: int, version: str | None, boundary: str | None, simulated: bool
    ) -> None:
        self.line, self.version, self.boundary, self.simulated = line, version, boundary, simulated
        self.sections: dict[str, Section] = {}

    def value(self, section: str, name: str) -> float | None:
        """A field's value, or None."""
        found = self.sections[section].fields.get(name) if section in self.sections else None
        return found[0] if found else None


class Reader:
    """Collects sections into runs: one that repeats, or comes too early, begins the next."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.logs: list[_Log] = []
        self.own: tuple[str, str, bool] | None = None
        self.unknown_head: Line | None = None
        self.cut: list[str] = []

    def feed(self, line: Line) -> None:
        """Take one line; it may hold all five sections."""
        if "# PortProof " in line.text:
            own = _OWN.search(line.text)
            self.own = (own[1], own[2], "REHEARSAL" in own[3]) if own else None
            self.unknown_head = None if own else line
        heads = list(SECTION.finditer(line.text))
        for head, following in itertools.zip_longest(heads, heads[1:]):
            name = NAMES[head[1]]
            text = line.text[head.end() : following.start() if following else len(line.text)]
            fields, cut = fields_of(text, line, ends_file=line.cut and following is None)
            self.cut += cut
            if fields.fields:
                self._log_for(name, line.number).sections[name] = fields

    def _log_for(self, section: str, line: int) -> _Log:
        current = self.logs[-1] if self.logs else None
        if current is None or any(
            ORDER.index(met) >= ORDER.index(section) for met in current.sections
        ):
            if self.unknown_head:
                raise InputError(
                    f"'{self.source}', line {self.unknown_head.number}:"
                    f" '{self.unknown_head.text.strip()[:80]}' is not how PortProof heads its perf"
                    " files (boundary=call or boundary=end_to_end was expected); measure again"
                    " with this version"
                )
            version, boundary, simulated = self.own or (None, None, False)
            current = _Log(line, version, boundary, simulated)
            self.logs.append(current)
            self.own = None
        return current

    def runs(self) -> list[Run]:
        """The runs, each with its batch and its own checks."""
        found = [_run(log, self.source) for log in self.logs]
        if found:
            found[-1].warnings += self.cut
        return found


def _run(log: _Log, source: str) -> Run:
    run = Run(
        source,
        "portproof" if log.boundary else FAMILY,
        log.line,
        tool_version=log.version,
        simulated=log.simulated,
    )
    whole = (
        log.value("e2e", "rate")
        if log.boundary
        else set(log.sections) == set(ORDER) and log.value("infer", "interface")
    )
    run.status = "ok" if whole else "incomplete"
    name = _FILE_NAME.search(os.path.basename(source))
    if name:
        run.facts = {"model_type": name[1], "device_id": int(name[3])}
    if log.simulated:
        run.warnings.append("REHEARSAL: these times come from a simulated device")
    run.figures = _figures(log)
    samples = _sample_count(log, run)
    if samples is not None:
        run.figures.append(samples)
    _find_batch(log, run, int(name[2]) if name else None, samples.value if samples else None)
    _check_sections(log, run)
    return run


def _figures(log: _Log) -> list[Figure]:
    """The printed figures. The boundary of a section's own rate and latency is not documented, so
    it is None.
    """
    figures = []
    device, per = log.boundary or DEVICE, "device" if log.boundary else "chip"
    for name, section in log.sections.items():
        for key, (value, line) in section.fields.items():
            if name == "e2e":
                entry = (
                    ("throughput", value, "images/s")
                    if key == "rate"
                    else ("walltime", value / 1000, "s")
                )
                figures.append(Figure(*entry, END_TO_END, None, per, line))
            elif key == "interface":
                figures.insert(
                    0, Figure("throughput", value, "images/s", device, "infer", per, line)
                )
            elif key == "rate":
                figures.append(
                    Figure(
                        "throughput",
                        value,
                        "batches/s" if name == "post" else "images/s",
                        None,
                        name,
                        per,
                        line,
                    )
                )
            else:
                figures.append(Figure("latency_mean", value / 1000, "s", None, name, per, line))
    return figures


def _sample_count(log: _Log, run: Run) -> Figure | None:
    """Samples = end-to-end rate x time: a whole number within the six printed digits."""
    rate, latency = log.value("e2e", "rate"), log.value("e2e", "latency")
    product = samples_of(run)
    if rate is None or latency is None or product is None:
        return None
    slack = product * ROUNDING + 1e-3
    if abs(product - round(product)) > slack:
        run.warnings.append(
            f"rate x time is not a whole number of samples: {rate:g}/s x {latency / 1000:g} s ="
            f" {product:.6g}"
        )
        return None
    line = log.sections["e2e"].fields["rate"][1]
    return Figure(
        "samples",
        round(product),
        "1",
        None,
        None,
        None,
        line,
        derived=f"{rate:g}/s x {latency / 1000:g} s = {product:.6f}",
    )


def _find_batch(log: _Log, run: Run, named: int | None, samples: float | None) -> None:
    """Set the batch: from the rates if they give it, else the hint in the file's name."""
    infer, post = log.value("infer", "rate"), log.value("post", "rate")
    ratio, measured = batch_of_rates(run), None
    if ratio is not None:
        fitting = _batches_for(ratio, samples)
        if named and samples and samples < _FEW and near(mean_batch(named, samples), ratio, 0.05):
            fitting.append(named)
        measured = named if named in fitting else fitting[0] if len(fitting) == 1 else None
        if named is not None and named not in fitting:
            run.warnings.append(
                f"the name says batch {named}, the [infer] and [post] rates say {ratio:.4g}"
                f" ({infer:g} / {post:g})"
                + (f": the run was made with batch {measured}" if measured else "")
            )
    if measured is not None:
        run.batch, run.batch_source = measured, "rates of [infer] and [post]"
    elif named is not None and ratio is None:
        run.batch, run.batch_source = named, "file name (a hint)"


def _batches_for(ratio: float, samples: float | None) -> list[int]:
    """Batch sizes b that explain the ratio best, N / ceil(N / b) or b where N is not known, if any
    does within one percent.

    Several remain where so few samples were run that they cannot be told apart.
    """
    if not 0.9 <= ratio <= 65536:
        return []
    around = range(max(int(ratio), 1), int(ratio) + 2)
    best = min(around, key=lambda batch: abs(mean_batch(batch, samples) - ratio))
    if not near(mean_batch(best, samples), ratio, 0.01):
        return []
    found = [best]
    while (
        samples
        and len(found) < 4096
        and mean_batch(found[-1] + 1, samples) == mean_batch(best, samples)
    ):
        found.append(found[-1] + 1)
    return found


def _check_sections(log: _Log, run: Run) -> None:
    """Read rate x module latency must be one second; sections that lack a field are named."""
    rate, latency = log.value("read", "rate"), log.value("read", "latency")
    product = rate_times_latency(run, "read")
    if product is not None and not near(product, 1, READ_SLACK):
        run.warnings.append(
            f"[data read] rate x latency is not 1: {rate:g}/s x {latency:g} ms = {product:.4g}"
        )
    for name in ORDER[1:]:
        if name in log.sections:
            lacking = [f for f in ("rate", "latency") if log.value(name, f) is None]
            if lacking and run.status == "ok":
                run.warnings.append(f"[{name}] lacks its {' and '.join(lacking)}")
