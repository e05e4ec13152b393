"""One step of a port: a command, run as a process of its own in the run directory."""

from __future__ import annotations

from dataclasses import dataclass

from portproof.core.errors import EXIT_DONE, EXIT_FAIL, EXIT_UNDECIDED

#: Exit codes of a command that judges: the port goes on after each.
VERDICTS = (EXIT_DONE, EXIT_FAIL, EXIT_UNDECIDED)


@dataclass(frozen=True)
class Step:
    """One command: ``portproof COMMAND ARGUMENTS``, or a Python file when ``command`` ends in
    ``.py``.

    ``accepted``: exit codes after which the port goes on. ``show``: what it prints is for the user.
    ``reports``: it runs even after a device or a tool failed, since a port that fails still gets
    its report. ``artefact``: what it makes, if that is of use on another host that cannot make it.
    ``target``: whose device it needs.
    """

    name: str
    command: str
    arguments: tuple[str, ...]
    accepted: tuple[int, ...] = (EXIT_DONE,)
    show: bool = False
    reports: bool = False
    artefact: str | None = None
    target: str | None = None


def step(
    name: str,
    command: str,
    *arguments: object,
    accepted: tuple[int, ...] = (EXIT_DONE,),
    show: bool = False,
    reports: bool = False,
    artefact: str | None = None,
) -> Step:
    """A step, its arguments as text."""
    return Step(name, command, tuple(str(a) for a in arguments), accepted, show, reports, artefact)
