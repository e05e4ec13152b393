"""``trtexec`` (NVIDIA TensorRT) 7.0 to 11.x: its text, from stdout, stderr or both, in one pipe or
pasted into a report.

7.x prints sections (``Host Latency``, ``Enqueue Time``, ``GPU Compute``) of one figure a line that
share their keys; 8.0 and later print one line a metric. Wrappers put anything before a line, and
pasted logs lack line ends, so figures are found by their section, wherever it is. A FAILED run
has no result; without a verdict, whole figures make an incomplete run (see :mod:`.figures`).
"""

from __future__ import annotations

import math
import re

from portproof.host.tensorrt_versions import BANNER, version_of
from portproof.logs.families.trtexec.decimal_commas import DecimalCommas
from portproof.logs.families.trtexec.facts import MODES
from portproof.logs.families.trtexec.figures import Summary, finish
from portproof.logs.lines import NUMBER, Line
from portproof.logs.logged import Run

_HEADS = {
    "End-to-End Host Latency": "end_to_end",
    "Enqueue Time": "enqueue",
    "H2D Latency": "h2d",
    "D2H Latency": "d2h",
    "GPU Compute Time": "compute",
    "Latency": "latency",
    "Host Latency": "latency",
    "Host latency": "latency",
    "GPU Compute": "compute",
}
_TOTALS = {
    "Total Host Walltime": "walltime",
    "walltime": "walltime",
    "Total GPU Compute Time": "compute_total",
    "total compute time": "compute_total",
}
#: Keys of the options blocks.
_OPTIONS = ["TensorRT version", "Batch", "Streams", "Selected Device", "Compute Capability"]
_OPTIONS += ["Precision", *MODES]
_STATISTICS = ("min:", "min =", "max:", "max =", "mean:", "mean =", "median", "percentile")
MARKS = (
    "&&&& ",
    *("Latency", "Host latency", "Enqueue Time", "GPU Compute", "hroughput"),
    *("alltime:", "compute time", *_STATISTICS),
    *("=== Performance summary", "=== Model Options", "Timing trace has", "Starting inference"),
    *("nput binding for", "no shapes were provided", "Shape missing for input"),
    *(f"{option}:" for option in _OPTIONS),
    *("Multiple inference streams", "timing is not reported", "[E]", "[F]", "[W]"),
)

_TIME = r"\d\d/\d\d/\d{4}-\d\d:\d\d:\d\d"
_PARTS = re.compile(rf"(?=&&&& |\[{_TIME}\])")
_STAMP = re.compile(rf"\[({_TIME})\]\s?\[([IWEFV])\]")
#: A number, or what C++ prints in its place when no timings remain.
_PRINTED = rf"{NUMBER}|-?inf|-?nan"
_TOKEN = re.compile(
    r"(?:^|\])\s*"
    r"(?P<head>End-to-End Host Latency|Enqueue Time|[HD]2[HD] Latency|GPU Compute Time|Latency)"
    r"\s?[:：]"
    r"|(?:^|\])\s*(?P<old>Host [Ll]atency|Enqueue Time|GPU Compute)\s*(?=$|\[)"
    r"|\b(?P<flat>Host [Ll]atency|Enqueue Time|GPU Compute)\s+(?=min\s?[:：])"
    rf"|\b(?P<kind>min|max|mean|median)\s*[:：=]\s*(?P<value>{_PRINTED})\s*ms\b"
    rf"|\bpercentile\((?P<p>[0-9][0-9.]{{0,7}})%\)\s*[:：=]\s*(?P<pvalue>{_PRINTED})\s*ms\b"
    rf"|\bpercentile\s*[:：]\s*(?P<oldvalue>{_PRINTED})\s*ms at (?P<oldp>[0-9][0-9.]{{0,7}})\s*%"
    rf"|(?:^|\])\s*(?P<rate>[Tt]hroughput)\s*[:：]\s*(?P<qps>{_PRINTED})\s*qps\b"
    r"(?!\s*[,，.。;；*x×=(（])"
    rf"|(?:^|\])\s*(?P<total>{'|'.join(_TOTALS)})\s*[:：]\s*(?P<seconds>{_PRINTED})\s*s\b"
)
_UNKNOWN_HEAD = re.compile(r"[A-Za-z]\s?[:：]\s*$")
_TRACE = re.compile(rf"Timing trace has (\d{{1,12}}) queries over ({NUMBER}) s")
_BINDING = re.compile(
    r"\b[Ii]nput binding for (\S.{0,200}?) with dimensions (\d{1,9}(?:x\d{1,9})*)(?:x|\b)"
    r"(?: and type (\w{1,10}))?"
)
_OVERRIDDEN = re.compile(
    r"(?:Dynamic dimensions required for input: |Shape missing for input with dynamic shape:"
    r" )(.{1,200}?)(?:, but no shapes .{0,60}|\s*)"
    r"Automatically (?:overriding|setting) shape to: (\d{1,9}(?:x\d{1,9})*)"
)
_UNSTABLE = re.compile(rf"GPU compute time is unstable, with coefficient of variance = ({NUMBER})%")
#: Not what is merely advised: "--useCudaGraph (utilize CUDA graphs where possible) may increase the
#: throughput".
_GRAPH_FAILED = re.compile("CUDA graph capture|--useCudaGraph flag has been ignored", re.IGNORECASE)
_FATAL = re.compile(
    "Engine could not be created|Engine set up failed|Failed to create engine|Unknown option|"
    "Parsing model failed|Failed to parse onnx|Error occurred during inference|"
    "Accuracy validation FAILED|out of memory.{0,40}fatal|Could not find any implementation"
)
_WARNING = re.compile(r"\* ((?:Throughput may be bound|Multiple inference streams).{0,200})")


class Reader:
    """One :class:`.Summary` a run: a banner, a title, or a repeated figure begins the next."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.found: list[Summary] = []
        self.open: Summary | None = None
        self.section: str | None = None
        self.commas = DecimalCommas()

    def feed(self, line: Line) -> None:
        """Take one line, which may be a whole log pasted on one."""
        for part in _PARTS.split(line.text):
            text = self.commas.as_points(part)
            if self.commas.first_here:
                remark = f"decimal commas are read as points (line {line.number})"
                self._attach(line.number).warnings.append(remark)
            if "&&&& " in text and (banner := BANNER.search(text)):
                self._banner(banner, line.number)
            elif text and "Average on" not in text:
                self._facts(Line(line.number, text, line.cut))
                tokens = list(_TOKEN.finditer(text))
                if tokens:
                    self._follow(tokens[0], text)
                for token in tokens:
                    if (
                        token["rate"] != "throughput" or self.section or _STAMP.search(text)
                    ):  # other tools write it so, too
                        self._token(token, line.number)

    def _summary(self, line: int) -> Summary:
        if self.open is None:
            self.open = Summary(line)
            self.found.append(self.open)
        return self.open

    def _next(self) -> None:
        """End the open run without a verdict."""
        self.open = self.section = None

    def _banner(self, banner: re.Match[str], line: int) -> None:
        if banner[1] == "RUNNING" and not (self.open and self.open.only_stderr):
            self._next()
        summary = self._summary(line)
        summary.only_stderr = False
        if banner[2] and int(banner[2]) >= 7000:
            summary.facts.version = _dotted(banner[2])
        summary.facts.command = summary.facts.command or banner[3]
        if banner[1] != "RUNNING":
            summary.verdict = banner[1]
            summary.active = summary.active or banner[1] == "FAILED" or summary.facts.does_work()
            self._next()

    def _follow(self, first: re.Match[str], text: str) -> None:
        """Leave the section where a line's first statistic is under a head that is not known,
        one torn by another stream's line, say.
        """
        if not (first["head"] or first["old"] or first["flat"]) and _UNKNOWN_HEAD.search(
            text, 0, first.start()
        ):
            self.section = None

    def _token(self, token: re.Match[str], line: int) -> None:
        if head := token["head"] or token["old"] or token["flat"]:
            if head in ("Host Latency", "Host latency") and self.open and self.open.numbers:
                self._next()
            self.section = _HEADS[head]
        elif token["rate"]:
            if token["rate"] == "Throughput" and self.open and self.open.numbers:
                self._next()
            self._put("qps", token["qps"], line)
        elif token["total"]:
            self._put(_TOTALS[token["total"]], token["seconds"], line)
        elif self.section is not None:
            percentile = token["p"] or token["oldp"]
            if percentile and percentile.count(".") > 1:
                return
            kind = f"p{float(percentile):g}" if percentile else token["kind"]
            self._put(
                f"{self.section}_{kind}",
                token["value"] or token["pvalue"] or token["oldvalue"],
                line,
            )

    def _put(self, name: str, number: str, line: int) -> None:
        value = float(number)
        if not math.isfinite(value):
            self._summary(line).not_numbers.setdefault(name, (number, line))
            return
        if self.open is not None and name in self.open.numbers:
            section = self.section
            self._next()
            self.section = section
        summary = self._summary(line)
        summary.numbers[name] = (value, line)
        summary.only_stderr = False

    def _facts(self, line: Line) -> None:
        """Take what is on a line besides figures."""
        text = line.text
        if "=== Performance summary" in text and self.open and self.open.numbers:
            self._next()
        stamp = _STAMP.search(text)
        if stamp:
            self._stamped(stamp, line)
        self._options(text)
        if "nput binding for" in text and (binding := _BINDING.search(text)):
            facts = self._summary(line.number).facts
            facts.bindings[binding[1]] = binding[2]
            facts.types |= {binding[1]: binding[3]} if binding[3] else {}
        elif trace := _TRACE.search(text):
            self._summary(line.number).trace = (int(trace[1]), float(trace[2]), line.number)
        elif "Automatically" in text and (overridden := _OVERRIDDEN.search(text)):
            facts = self._summary(line.number).facts
            facts.overridden.append((overridden[1].strip(), overridden[2], line.number))
        if "* " in text:
            self._remarks(line)
        if "timing is not reported" in text:
            self._summary(line.number).warnings.append(
                f"trtexec did not report times, since it was profiling (line {line.number})"
            )

    def _stamped(self, stamp: re.Match[str], line: Line) -> None:
        """What the severity of a line says: that the run is active, warned, or failed."""
        text, severity = line.text, stamp[2]
        if "=== Model Options" in text or "Starting inference" in text:
            self._summary(line.number).active = True
        if "Starting inference" in text:
            self._summary(line.number).facts.started = stamp[1]
        if severity in "IV" and self.open:
            self.open.only_stderr = False
        if severity in "EF":
            self._error(text[stamp.end() :].strip()[:200], line.number)
        elif severity == "W" and _GRAPH_FAILED.search(text):
            self._attach(line.number).facts.graph_failed = True
        elif severity == "W" and ("[TRT]" in text or "* " in text):
            self._attach(line.number).active = True

    def _remarks(self, line: Line) -> None:
        """The warnings that trtexec prints under its summary."""
        if unstable := _UNSTABLE.search(line.text):
            self._attach(line.number).facts.variation_percent = float(unstable[1])
            self._attach(line.number).warnings.append(
                f"the GPU compute time is unstable: coefficient of variance {unstable[1]} % (line"
                f" {line.number})"
            )
        elif warning := _WARNING.search(line.text):
            summary = self._attach(line.number)
            summary.many_streams = summary.many_streams or warning[1].startswith("Multiple")
            summary.warnings.append(f"{warning[1].strip()} (line {line.number})")

    def _attach(self, line: int) -> Summary:
        """The run that a remark belongs to: the open one; after a verdict the last one, since
        stderr may come late; else a new one.
        """
        return self.open or (self.found[-1] if self.found else self._summary(line))

    def _error(self, text: str, line: int) -> None:
        summary = self._attach(line)
        summary.active = True
        summary.facts.error = summary.facts.error or text
        if summary.error is None or (_FATAL.search(text) and not summary.fatal):
            summary.error = f"{text} (line {line})"
        summary.fatal = summary.fatal or _FATAL.search(text) is not None

    def _options(self, text: str) -> None:
        """Facts of the options blocks; they belong to a run whose banner was seen."""
        if self.open is None:
            return
        facts = self.open.facts
        key, separator, value = (part.strip() for part in text.rpartition("]")[2].partition(":"))
        if not separator:
            return
        if key == "TensorRT version" and facts.version is None:
            facts.version = (
                _dotted(value)
                if value.isdecimal() and len(value) >= 4
                else value
                if re.fullmatch(r"[\d.]{3,20}", value)
                else None
            )
        elif key == "Selected Device":
            facts.device = value[:100]
        elif key == "Precision":
            facts.precision = value[:100]
        elif key == "Compute Capability":
            facts.compute_capability = value[:10]
        elif key in MODES and value in ("Enabled", "Disabled"):
            facts.modes[MODES[key]] = value == "Enabled"
        elif key in ("Streams", "Inference Streams") and value.isdecimal():
            facts.streams_option = int(value[:6])
        elif key == "Batch" and value.isdecimal():
            facts.implicit_batch = int(value[:9])

    def runs(self) -> list[Run]:
        """The runs found. A banner without any activity is a help text and not a run."""
        return [
            finish(summary, self.source)
            for summary in self.found
            if summary.numbers or summary.active
        ]


def _dotted(number: str) -> str:
    """The version of a banner's number, with dots."""
    return ".".join(map(str, version_of(number)))
