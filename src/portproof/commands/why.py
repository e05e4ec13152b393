"""Say what a port would do again in a run directory, and why, without running anything."""

from __future__ import annotations

import argparse

from portproof.core.arguments import Parser, run_stage


def parser() -> Parser:
    """The command line."""
    p = Parser(
        "Say what 'portproof port' would do again in a run directory, and why; nothing is run."
        " Reports are always written again.",
        example="portproof why runs/digits-cpu",
    )
    p.add_argument("run_dir", metavar="RUN_DIR", help="the run directory of 'portproof port'")
    p.add_argument(
        "--json", action="store_true", help="a list of {artefact, stage, state, why} on stdout"
    )
    return p


def work(options: argparse.Namespace) -> int:
    """Print an answer for every artefact; return the exit code."""
    from portproof.core.files import existing_folder
    from portproof.core.text import printable
    from portproof.rundir.answers import answers

    found = answers(existing_folder(options.run_dir, "run directory").absolute())
    if options.json:
        import msgspec

        print(msgspec.json.format(msgspec.json.encode(found), indent=1).decode())
        return 0
    width = max((len(a.artefact) for a in found), default=0)
    for answer in found:
        print(printable(f"{answer.state:<10}  {answer.artefact:<{width}}  {answer.why}").rstrip())
    stale = sum(answer.state != "up to date" for answer in found)
    print(
        f"{len(found) - stale} of {len(found)} are up to date"
        + ("" if stale else ": a port would only write its reports again")
    )
    return 0


if __name__ == "__main__":
    run_stage(parser, work)
