"""The processor: ONNX Runtime executes the model."""

from __future__ import annotations

from collections.abc import Iterator

from portproof.health.host import Check, Host, needs
from portproof.target import Target


def checks(target: Target, host: Host) -> Iterator[Check]:
    """What the host's processor needs."""
    yield Check(
        target.name, "device", True, f"the processor of this host, {host.processors} of them"
    )
    yield needs(target, "infer", [host.package("onnxruntime", "ort")])
