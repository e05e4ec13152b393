"""The figures of a comparison of outputs, as JSON and for people."""

from __future__ import annotations

from typing import Literal

import msgspec

from portproof.core.text import printable
from portproof.verdict import Verdict


class Worst(msgspec.Struct, frozen=True):
    """A sample far from its reference: its relative error and its error over the ruler's."""

    id: str
    relative: float | None
    ratio: float | None


class OutputFigures(msgspec.Struct, frozen=True, kw_only=True):
    """One output. Means are over all samples; what is infinite is null. ``ratio``: the port's
    errors over the ruler's, with the bounds of its 95 % interval.
    """

    output: int
    name: str
    verdict: Verdict
    reason: str
    cosine_mean: float
    cosine_least: float
    relative_mean: float | None
    relative_largest: float | None
    ruler_relative_mean: float
    snr_db_mean: float | None
    largest_difference: float | None
    argmax_agreement: float | None
    ratio: float | None
    ratio_low: float | None
    ratio_high: float | None
    worst: list[Worst]


class OutputComparison(msgspec.Struct, frozen=True, kw_only=True):
    """The figures of all outputs. ``verdict``: the worst of theirs. ``ruler_samples``: how many
    samples the reference was run on.
    """

    verdict: Verdict
    precision: str
    allowed: float
    samples: int
    ruler_samples: int
    outputs: list[OutputFigures]
    reference: str
    port: str
    simulated: bool = False
    schema: Literal["portproof.outputs/1"] = "portproof.outputs/1"

    def to_json(self) -> bytes:
        """The JSON text, indented, with a newline at the end."""
        return msgspec.json.format(msgspec.json.encode(self), indent=2) + b"\n"

    def to_text(self) -> str:
        """The figures for people."""
        lines = ["REHEARSAL: the results are simulated"] if self.simulated else []
        lines += [
            f"{self.samples} samples; ruler: the reference rounded to {self.precision}, on"
            f" {self.ruler_samples} samples",
            "",
            "output                cosine (least)   relative L2   of the ruler   largest   argmax",
        ]
        for o in self.outputs:
            argmax = "-" if o.argmax_agreement is None else f"{o.argmax_agreement:.2%}"
            lines.append(
                f"{o.output} {printable(o.name)[:18]:18s}"
                f"  {o.cosine_mean:.6f} ({o.cosine_least:.4f})"
                f"  {_short(o.relative_mean):>10}   {_short(o.ruler_relative_mean):>10}"
                f"  {_short(o.largest_difference):>10}  {argmax:>7}"
            )
        for o in self.outputs:
            lines += ["", f"{o.verdict.value} output {o.output} ({printable(o.name)}): {o.reason}"]
            lines += [
                f"  {printable(w.id)}: relative error {_short(w.relative)},"
                f" {_short(w.ratio)} times the ruler's"
                for w in o.worst
            ]
        return "\n".join([*lines, "", f"{self.verdict.value}"])


def _short(value: float | None) -> str:
    return "infinite" if value is None else f"{value:.2e}"
