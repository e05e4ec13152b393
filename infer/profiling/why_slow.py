"""One table that says why something is slow: the share of each kind of work, what differs between
two subjects, and the slowest single operators.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

import msgspec

from portproof.core.text import markdown
from portproof.infer.profiling.op_times import Profile

SCHEMA = "portproof.profile/1"
#: Single operators that the table names.
MOST = 10


class KindRow(msgspec.Struct, kw_only=True, frozen=True):
    """A kind of work: of each subject the seconds a call (of all calls where their number is not
    known) and the share of its whole; ``difference_s``: the second subject's less the first's,
    None where the two cannot be compared or there is one.
    """

    kind: str
    seconds: list[float]
    shares: list[float]
    difference_s: float | None = None


class WhySlow(msgspec.Struct, kw_only=True, frozen=True):
    """The comparison. ``per_call``: whether seconds are of one call. ``profiles``: as read."""

    schema: str = SCHEMA
    per_call: bool
    rows: list[KindRow]
    profiles: list[Profile]


def why_slow(profiles: Sequence[Profile]) -> WhySlow:
    """Compare profiles, of at least one subject; two also by what sets them apart."""
    per_call = all(p.calls for p in profiles)
    kinds = [p.by_kind() for p in profiles]
    scale = [1 / p.calls if per_call and p.calls else 1.0 for p in profiles]
    rows = []
    for kind in dict.fromkeys(name for found in kinds for name in found):
        raw = [found.get(kind, 0.0) for found in kinds]
        seconds = [x * s for x, s in zip(raw, scale, strict=True)]
        shares = [x / p.whole_s if p.whole_s else 0.0 for x, p in zip(raw, profiles, strict=True)]
        apart = seconds[1] - seconds[0] if len(seconds) == 2 and per_call else None
        rows.append(KindRow(kind=kind, seconds=seconds, shares=shares, difference_s=apart))
    # What costs most first: of two subjects, what sets them apart most.
    rows.sort(key=lambda r: -(abs(r.difference_s) if r.difference_s is not None else max(r.shares)))
    return WhySlow(per_call=per_call, rows=rows, profiles=list(profiles))


def as_markdown(found: WhySlow) -> str:
    """The tables, and the sentence that sums them up."""
    profiles = found.profiles
    lines = ["# Why it is slow", ""]
    for p in profiles:
        calls = f"{p.calls} calls" if p.calls else "an unknown number of calls"
        whole = (
            f"{1e3 * p.whole_s / p.calls:.3f} ms a call"
            if p.calls
            else f"{1e3 * p.whole_s:.3f} ms in all"
        )
        lines.append(f"{markdown(p.label)}: {p.source}; {calls}, {whole}.  ")
    if len({p.source for p in profiles}) > 1:
        lines.append(
            "The profilers differ, and each slows what it counts: compare what is large, not what"
            " is close.  "
        )
    if not found.per_call and len(profiles) > 1:
        lines.append("A file does not say how many calls it is of: only shares are compared.  ")
    lines += ["", *_kinds(found), "", summary(found), ""]
    for p in profiles:
        lines += [f"## The slowest operators of {markdown(p.label)}", "", *_slowest(p), ""]
    return "\n".join(lines).rstrip() + "\n"


def _kinds(found: WhySlow) -> list[str]:
    unit = "ms a call" if found.per_call else "ms in all"
    columns = [f"{markdown(p.label)} ({unit}) | share" for p in found.profiles]
    differs = len(found.profiles) == 2 and found.per_call
    if differs:
        columns.append("difference (ms) | of the difference")
    lines = ["| Kind of work | " + " | ".join(columns) + " |"]
    lines.append("|---" + "|---:" * (lines[0].count(" | ")) + "|")
    apart = sum(r.difference_s or 0.0 for r in found.rows)
    for row in found.rows:
        cells = [
            f"{1e3 * s:.3f} | {share:.1%}" for s, share in zip(row.seconds, row.shares, strict=True)
        ]
        if row.difference_s is not None:
            part = f"{row.difference_s / apart:.0%}" if apart else ""
            cells.append(f"{1e3 * row.difference_s:+.3f} | {part}")
        lines.append(f"| {row.kind} | {' | '.join(cells)} |")
    return lines


def summary(found: WhySlow) -> str:
    """What the table says, in one sentence."""
    first = found.profiles[0]
    if len(found.profiles) != 2:
        words = []
        for at, profile in enumerate(found.profiles):
            share, kind = max((row.shares[at], row.kind) for row in found.rows)
            words.append(f"{markdown(profile.label)} spends {share:.0%} of its time on {kind}")
        return "; ".join(words) + "."
    second = found.profiles[1]
    if not found.per_call:
        row = max(found.rows, key=lambda r: abs(r.shares[1] - r.shares[0]))
        return (
            f"The shares differ most in {row.kind}: {row.shares[0]:.0%} of {markdown(first.label)},"
            f" {row.shares[1]:.0%} of {markdown(second.label)}."
        )
    apart = sum(r.difference_s or 0.0 for r in found.rows)
    slow, fast = (second, first) if apart > 0 else (first, second)
    along = [r for r in found.rows if (r.difference_s or 0.0) * apart > 0]
    if not along:
        return f"{markdown(first.label)} and {markdown(second.label)} take the same time."
    top = along[0]
    return (
        f"{markdown(slow.label)} takes {1e3 * abs(apart):.3f} ms a call longer than"
        f" {markdown(fast.label)}; most of it is {top.kind}"
        f" ({1e3 * abs(top.difference_s or 0.0):.3f} ms)."
    )


def _slowest(profile: Profile) -> list[str]:
    scale = 1e3 / (profile.calls or 1)
    unit = "ms a call" if profile.calls else "ms in all"
    lines = [f"| Operator | Type | Kind of work | Times | {unit} | share |"]
    lines.append("|---|---|---|---:|---:|---:|")
    for o in sorted(profile.operators, key=lambda o: -o.seconds)[:MOST]:
        share = o.seconds / profile.whole_s if profile.whole_s else 0.0
        name, kind = markdown(_short(o.name)), markdown(_short(o.type))
        lines.append(
            f"| {name} | {kind} | {o.kind} | {o.count} | {scale * o.seconds:.3f} | {share:.1%} |"
        )
    return lines


def _short(text: str) -> str:
    return text if len(text) <= 60 else text[:57] + "..."


def as_json(found: WhySlow) -> str:
    """The comparison with all operators, as a JSON text."""
    return json.dumps(msgspec.to_builtins(found), indent=1, ensure_ascii=False) + "\n"
