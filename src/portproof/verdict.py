"""The verdict of a gate, and its exit code."""

from __future__ import annotations

import enum

from portproof.core.errors import EXIT_DONE, EXIT_FAIL, EXIT_UNDECIDED


class Verdict(enum.StrEnum):
    """The answer of a gate. Its value is the word in files and reports."""

    PASS = "PASS"
    FAIL = "FAIL"
    #: Too few samples for either.
    UNDECIDED = "UNDECIDED"
    #: The clock cannot be trusted.
    UNSTABLE = "UNSTABLE"

    @property
    def exit_code(self) -> int:
        """The exit code of a command that ends with this verdict.

        >>> [verdict.exit_code for verdict in Verdict]
        [0, 1, 4, 4]
        """
        return {Verdict.PASS: EXIT_DONE, Verdict.FAIL: EXIT_FAIL}.get(self, EXIT_UNDECIDED)
