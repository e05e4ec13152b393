"""A ``_summary.json`` of ais_bench, pasted into a log without braces or with broken lines."""

from __future__ import annotations

import math
import re

from portproof.logs.families.ais_bench.summary import FAMILY, GROUPS, throughput_figure
from portproof.logs.lines import NUMBER, Line
from portproof.logs.logged import Figure, Run


class JsonFragment:
    """Reads the keys line by line, wherever they are."""

    TOKEN = re.compile(
        rf'"(?P<group>{"|".join(GROUPS)})"\s*:'
        r'|"(?P<kind>min|max|mean|median|percentile\(99%\)|count)"\s*:'
        rf"\s*(?P<value>{NUMBER})(?=\s*(?:[,}}\]]|$))"
        rf'|"throughput"\s*:\s*(?P<rate>{NUMBER})(?=\s*(?:[,}}]|$))'
    )

    def __init__(self, source: str) -> None:
        self.source = source
        self.run: Run | None = None
        self.done: list[Run] = []
        self.group: tuple[str, str | None] | None = None

    def feed(self, line: Line) -> None:
        """Take one line with quotation marks."""
        for token in self.TOKEN.finditer(line.text):
            if line.cut and token.end() == len(line.text) and not token["group"]:
                continue
            if token["group"]:
                self.group = GROUPS[token["group"]]
                self.run = self.run or Run(self.source, FAMILY, line.number)
            elif self.run is None:
                continue
            elif token["rate"]:
                self.run.figures.insert(
                    0, throughput_figure(self.run, float(token["rate"]), line.number)
                )
                self.run.status = "ok"
                self.done.append(self.run)
                self.run = self.group = None
            elif self.group and token["kind"] != "count":
                self._statistic(token["kind"], float(token["value"]), line.number)

    def _statistic(self, kind: str, milliseconds: float, line: int) -> None:
        if self.run is None or self.group is None or not math.isfinite(milliseconds):
            return
        name = f"{self.group[0]}_{'p99' if kind.startswith('percentile') else kind}"
        if self.run.figure(name) is None:
            self.run.figures.append(
                Figure(name, milliseconds / 1000, "s", self.group[1], "infer", "chip", line)
            )

    def runs(self) -> list[Run]:
        """The runs found, the last one incomplete if its throughput is missing."""
        return [*self.done, *([self.run] if self.run and self.run.figures else [])]
