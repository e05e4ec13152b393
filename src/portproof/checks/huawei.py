"""Ascend devices: ``npu-smi`` tells what there is, ``atc`` converts, and aclruntime or Huawei's own tools execute."""

from __future__ import annotations

from collections.abc import Iterator

from portproof.diagnosis import Check, Finding, Host, needs
from portproof.npusmi import parse
from portproof.target import Target

_CANN = "install the CANN toolkit and run 'source /usr/local/Ascend/ascend-toolkit/set_env.sh' first"
_TOOLS = ("benchmark.x86_64", "benchmark.aarch64", "ais_bench", "msame")


def checks(target: Target, host: Host) -> Iterator[Check]:
    """What an Ascend target needs: the chip itself, the converter, a runtime, and one of Huawei's measuring tools."""
    yield needs(target, "device", [device(target, host)])
    yield needs(target, "convert", [host.program("atc", _CANN)])
    yield needs(target, "infer", [host.package("aclruntime", None, how=f"{_CANN}, then install the aclruntime wheel of ais_bench")])
    tools = [host.program(name, "") for name in _TOOLS]
    found = next((tool for tool in tools if tool.ok), None)
    yield needs(
        target,
        "vendor-tool",
        [found or Finding(False, f"none of {', '.join(_TOOLS)} is on PATH; get ais_bench from https://gitee.com/ascend/tools")],
    )


def device(target: Target, host: Host) -> Finding:
    """Whether a chip of the target's kind is here."""
    listing = host.output(("npu-smi", "info"))
    if listing is None:
        return Finding(False, "'npu-smi info' does not run here; use a host with the Ascend driver, or measure there and bring the logs")
    chips = [chip.name for chip in parse(listing)]
    known = {target.name, *target.aliases, str(target.soc_version).lower()}
    fitting = [chip for chip in chips if chip.lower() in known or f"ascend{chip.lower()}" in known]
    if fitting:
        return Finding(True, f"{len(fitting)} chips: {', '.join(dict.fromkeys(fitting))}")
    return Finding(False, f"this host has {', '.join(chips) or 'no chip that npu-smi lists'}, {target.soc_version} was expected")
