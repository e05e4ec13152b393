"""What a host without the device says at the end of its half of a port."""

from __future__ import annotations

import os
import shlex

from portproof.rundir.layout import CLASSIFICATION, RunDir


def instructions(run: RunDir, lacking: str) -> str:
    """What was done here, what to copy, and what to type on the device's host. ``lacking``: the
    program of the device that is not here.
    """
    settings = run.settings
    targets = ",".join(settings.targets)
    copied = [str(run.root)]
    words = ["portproof", "port", "--target", targets, "--run-dir", run.root.name]
    if os.path.isabs(settings.labels):
        copied.append(settings.labels)
        words += ["--labels", os.path.basename(settings.labels)]
    if settings.task != CLASSIFICATION and not settings.demonstration:
        copied.append(os.path.dirname(settings.model))  # what the card names lies beside it
        words += ["--model", os.path.join(*settings.model.rsplit(os.sep, 2)[-2:])]
    if settings.runner != "om":
        words += ["--runner", settings.runner]
    if settings.devices != (0,):
        words += ["--devices", ",".join(map(str, settings.devices))]
    if settings.tune:
        words += ["--tune"]
    if settings.gate != "accuracy":
        words += ["--gate", settings.gate]
    return "\n".join(
        [
            f"done here: what needs no device. '{lacking}' is not on this host, so the rest is for"
            f" one that has the device ({targets}):",
            f"  copy  {' '.join(map(shlex.quote, copied))}",
            f"  type  {shlex.join(words)}",
            "verdict: UNDECIDED until then",
        ]
    )
