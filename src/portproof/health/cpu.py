"""The processor: the target's backend executes the model, ONNX Runtime reduces its precision."""

from __future__ import annotations

from collections.abc import Iterator

from portproof import backend as backends
from portproof.health.host import Check, Host, needs
from portproof.target import Target


def checks(target: Target, host: Host) -> Iterator[Check]:
    """What the host's processor needs."""
    yield Check(
        target.name, "device", True, f"the processor of this host, {host.processors} of them"
    )
    packages = backends.find(target.backend).PACKAGES
    yield needs(target, "infer", [host.package(name, target.backend) for name in packages])
    if target.precision != "fp32":
        yield needs(target, "convert", [host.package("onnxruntime", "convert")])
