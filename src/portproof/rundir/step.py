"""One step of a port: a command, run as a process of its own in the run directory."""

from __future__ import annotations

import shlex
from dataclasses import dataclass

from portproof.core.errors import EXIT_DONE, EXIT_FAIL, EXIT_UNDECIDED

#: Exit codes of a command that judges: the port goes on after each.
VERDICTS = (EXIT_DONE, EXIT_FAIL, EXIT_UNDECIDED)


@dataclass(frozen=True)
class Step:
    """One command: ``portproof COMMAND WORDS``, or a Python file if ``command`` ends in ``.py``.

    ``reads`` and ``makes``: files and folders, relative to the run directory if they are inside it;
    each of ``makes`` has a sidecar. ``accepted``: exit codes after which the port goes on.
    ``show``: what it prints is for the user. ``reports``: it runs even after a device or a tool
    failed, since a port that fails still gets its report. ``portable``: what it makes is of use on
    a host that cannot make it. ``needs``: the target whose device it needs. ``imports``: the
    packages without which it cannot run. ``decides``: its exit code is a part of the port's.
    """

    name: str
    command: str
    words: tuple[str, ...]
    reads: tuple[str, ...] = ()
    makes: tuple[str, ...] = ()
    accepted: tuple[int, ...] = (EXIT_DONE,)
    show: bool = False
    reports: bool = False
    portable: bool = False
    needs: str | None = None
    imports: tuple[str, ...] = ()
    decides: bool = False

    @property
    def argv(self) -> list[str]:
        """The arguments of the Python interpreter that runs it."""
        first = [self.command] if self.is_script else ["-m", "portproof", self.command]
        return [*first, *self.words]

    @property
    def is_script(self) -> bool:
        """Whether it is a Python file of no stage."""
        return self.command.endswith(".py")

    @property
    def spelled(self) -> str:
        """The step as a user would type it in the run directory."""
        return shlex.join(["python" if self.is_script else "portproof", self.command, *self.words])


def words(*parts: object) -> tuple[str, ...]:
    """The words of a command, as text."""
    return tuple(map(str, parts))
