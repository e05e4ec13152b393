"""Say what this host can do for every target, what is missing, and how to get it."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from typing import TYPE_CHECKING

from portproof.core.arguments import Parser, run_stage

if TYPE_CHECKING:
    from portproof.health.host import Check


def parser() -> Parser:
    """The command line."""
    p = Parser(
        "Check what this host can do for every target. The exit code is 0 whatever is missing:"
        " nothing may be needed.",
        example="portproof doctor --target cpu,310p",
    )
    p.add_values(
        "--target", default=[], help="only these targets, names in catalog/targets (default: all)"
    )
    p.add_argument(
        "--all", action="store_true", help="every check of every target, not a line a target"
    )
    p.add_argument(
        "--json", action="store_true", help="a list of {target, capability, ok, why} on stdout"
    )
    return p


def work(options: argparse.Namespace) -> int:
    """Print the checks; return the exit code."""
    from portproof.health.host import diagnose

    checks = diagnose(options.target)
    if options.json:
        import msgspec

        print(msgspec.json.format(msgspec.json.encode(checks), indent=1).decode())
        return 0
    if options.all or options.target:
        _print_all(checks)
    else:
        _print_summary(checks)
    return 0


def _print_all(checks: Sequence[Check]) -> None:
    target = None
    for check in checks:
        if check.target != target:
            target = check.target
            print(f"{target}")
        print(f"  {'ok     ' if check.ok else 'MISSING'} {check.capability:<12} {check.why}")


def _print_summary(checks: Sequence[Check]) -> None:
    """A line a target: whether a whole port can run here."""
    whole = [check for check in checks if check.capability == "port"]
    width = max(len(check.target) for check in whole)
    for check in whole:
        print(f"{'ok     ' if check.ok else 'MISSING'} {check.target:<{width}}  {check.why}")
    print("\nevery check, and how to get what is missing: portproof doctor --target NAME, or --all")


if __name__ == "__main__":
    run_stage(parser, work)
