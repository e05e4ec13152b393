"""Summaries of MLPerf LoadGen (``mlperf_log_summary.txt``).

LoadGen times a query from its issue to its completion, so every figure is at the boundary
``call``. Of a language model a sample is a prompt: its rates are ``samples/s`` and ``tokens/s``,
not images. In the Offline scenario there is one query and every latency is the run time: they are
not reported. ``VALID`` beside an error is not enough: setting ``max_query_count`` in the Server
scenario logs an error and still says VALID.
"""

from __future__ import annotations

import math
import re

from portproof.logs.lines import Line
from portproof.logs.logged import CALL, Figure, Run

FAMILY = "loadgen"
MARKS = (
    "MLPerf Results Summary",
    "Scenario :",
    "Mode     :",
    "SUT name :",
    "amples per second",
    "okens per second",
    "First Token latency",
    "per Output Token",
    "latency (ns)",
    "QPS w/",
    "Result is",
    "satisfied",
    "samples_per_query :",
    "encountered",
    "min_query_count :",
)

#: A key and its value, after whatever a wrapper put before them.
_PAIR = re.compile(
    r"(SUT name|Scenario|Mode|(?:(?:Completed |Scheduled )?[Ss]amples|(?:Completed )?[Tt]okens) per"
    r" second|[0-9.]{1,6}(?:th)? percentile latency \(ns\)|"
    r"(?:Min|Max|Mean) latency \(ns\)|QPS w/o? loadgen overhead|Result is|[A-Z][a-z ]{2,30}"
    r" satisfied|samples_per_query) *: *(.*?)\s*$"
)
_TOKEN = re.compile(r"\b[Tt]okens per second|First Token latency|per Output Token")
_ERRORS = re.compile(r"\b([1-9][0-9]{0,9} ERRORS? encountered)", re.IGNORECASE)
_VALUE = re.compile(r"([0-9]+(?:\.[0-9]*)?(?:[eE][-+]?[0-9]+)?)\s*$")
_PERCENTILE = re.compile(r"([0-9]{1,2}(?:\.[0-9]+)?)(?:th)? percentile latency \(ns\)")
_BEGIN = re.compile(r"\bSUT name : ")
_RATES = {"Samples per second", "Completed samples per second"}
_PLAIN = {"Min latency (ns)": "min", "Max latency (ns)": "max", "Mean latency (ns)": "mean"}


class Reader:
    """A run begins at the results' title, or where its system is named, and takes every ``key :
    value`` line after it.
    """

    def __init__(self, source: str) -> None:
        self.source = source
        self.found: list[_Summary] = []

    def feed(self, line: Line) -> None:
        """Take one line."""
        if "MLPerf Results Summary" in line.text:
            self.found.append(_Summary(self.source, line.number))
            return
        if _BEGIN.search(line.text) and (not self.found or self.found[-1].words):
            self.found.append(_Summary(self.source, line.number))
        if self.found:
            self.found[-1].feed(line)

    def runs(self) -> list[Run]:
        """The runs of the summaries found."""
        return [summary.run() for summary in self.found if summary.words]


class _Summary:
    """One summary's lines: words, and figures with their lines."""

    def __init__(self, source: str, line: int) -> None:
        self.source, self.line = source, line
        self.words: dict[str, str] = {}
        self.numbers: dict[str, tuple[float, int]] = {}
        self.failed: list[str] = []
        self.errors: str | None = None
        #: A sample of a language model is a prompt, and no image.
        self.of_language = False

    def feed(self, line: Line) -> None:
        """Keep a ``key : value`` line; a last line that is cut is left out, since a number may have
        lost digits.
        """
        if errors := _ERRORS.search(line.text):
            self.errors = errors[1]
        self.of_language = self.of_language or _TOKEN.search(line.text) is not None
        pair = _PAIR.search(line.text)
        if pair is None or (line.cut and not pair[2].isalpha()):
            return
        key, value = pair[1], pair[2]
        if key.endswith("satisfied") and value.lower() == "no":
            self.failed.append(f"{key} : {value}")
        number = _VALUE.match(value)
        if number and math.isfinite(float(number[1])):
            self.numbers.setdefault(key, (float(number[1]), line.number))
        else:
            self.words.setdefault(key, value)

    def run(self) -> Run:
        """The run, with figures unless the result is invalid."""
        run = Run(self.source, FAMILY, self.line)
        run.facts = {
            name.lower(): self.words[name]
            for name in ("SUT name", "Scenario", "Mode")
            if name in self.words
        }
        result = self.words.get("Result is")
        run.status = {"VALID": "ok", "INVALID": "failed"}.get(result or "", "incomplete")  # type: ignore[assignment]
        scenario = self.words.get("Scenario", "").replace(" ", "")  # "Single Stream" until 2020
        per_query = self.numbers.get("samples_per_query")
        if scenario in ("SingleStream", "MultiStream") and per_query and per_query[0] >= 1:
            run.batch, run.batch_source = int(per_query[0]), "samples_per_query"
        if run.status == "failed":
            run.warnings.append(
                f"the result is INVALID ({', '.join(self.failed) or 'no constraint is named'})"
            )
            return run
        if self.errors:
            run.warnings.append(
                f"the result is {result or 'not given'}, and LoadGen says '{self.errors}': see its"
                " detailed log"
            )
        if not self.words.get("Mode", "Performance").startswith("Performance"):
            run.warnings.append(f"mode {self.words['Mode']} measures no performance")
            return run
        run.figures = [
            *self._rates(),
            *(self._latencies() if scenario not in ("", "Offline") else []),
        ]
        return run

    def _rates(self) -> list[Figure]:
        names = dict.fromkeys(_RATES, "throughput") | {
            "QPS w/ loadgen overhead": "throughput",
            "QPS w/o loadgen overhead": "throughput_without_overhead",
            "Scheduled samples per second": "throughput_scheduled",
            "Tokens per second": "throughput_tokens",
            "Completed tokens per second": "throughput_tokens",
        }
        if "Completed samples per second" not in self.numbers:
            names["Scheduled samples per second"] = (
                "throughput"  # the headline of Server in old versions
            )
        found = []
        samples = "samples/s" if self.of_language else "images/s"
        for key, name in names.items():
            if key in self.numbers:
                value, line = self.numbers[key]
                unit = "tokens/s" if name == "throughput_tokens" else samples
                if value > 0:
                    found.append(Figure(name, value, unit, CALL, None, "device", line))
        return found

    def _latencies(self) -> list[Figure]:
        found: dict[str, Figure] = {}
        for key, (value, line) in self.numbers.items():
            percentile = _PERCENTILE.fullmatch(key)
            kind = _PLAIN.get(key) or (f"p{float(percentile[1]):g}" if percentile else None)
            if kind:
                name = "latency_median" if kind == "p50" else f"latency_{kind}"
                found.setdefault(name, Figure(name, value / 1e9, "s", CALL, None, "device", line))
        return list(found.values())
