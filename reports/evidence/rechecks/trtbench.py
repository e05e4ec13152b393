"""A measurement by trtexec of the version that had a command of its own for it."""

from portproof.reports.evidence.rechecks.bench import recheck

__all__ = ["recheck"]
