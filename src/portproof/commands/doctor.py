"""Say what this host can do for every target, what is missing, and how to get it."""

from __future__ import annotations

import argparse

from portproof.core.arguments import Parser, run_stage


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
    target = None
    for check in checks:
        if check.target != target:
            target = check.target
            print(f"{target}")
        print(f"  {'ok     ' if check.ok else 'MISSING'} {check.capability:<12} {check.why}")
    return 0


if __name__ == "__main__":
    run_stage(parser, work)
