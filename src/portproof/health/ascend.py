"""Ascend devices: ``npu-smi`` lists them, ``atc`` converts, aclruntime or tools execute."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator

from portproof.core.shell import tool_folders
from portproof.health.host import Check, Host, HostFinding, needs
from portproof.host import ais_bench, cann
from portproof.host.npusmi import is_same_kind, parse
from portproof.target import Target

_CANN = (
    "install the CANN toolkit and run 'source /usr/local/Ascend/ascend-toolkit/set_env.sh' first"
)
_TOOLS = ("benchmark.x86_64", "benchmark.aarch64", "msame")


def checks(target: Target, host: Host) -> Iterator[Check]:
    """What an Ascend target needs: the chip itself, the converter, a runtime, and one of Huawei's
    measuring tools; and whether a port that was begun on a host with torch can go on here.
    """
    needed = [
        needs(target, "device", [device(target, host)]),
        needs(target, "convert", [_converter(host)]),
        needs(target, "infer", [host.package("aclruntime", None, how=_how_to_get_aclruntime())]),
    ]
    yield from needed
    yield needs(target, "vendor-tool", [_tools(host)])
    yield _pytorch(target, host)
    lacking = [c.capability for c in needed if not c.ok]
    port = f"portproof port --target {target.name} --run-dir DIR"
    why = (
        f"missing: {', '.join(lacking)}"
        if lacking
        else (
            "a port begun on a host with torch continues here: copy its run directory, then"
            f" '{port}'"
        )
    )
    yield Check(target.name, "continue", not lacking, why)


def _pytorch(target: Target, host: Host) -> Check:
    """PyTorch on the NPU, which no port needs."""
    names = ("torch_npu", "torchair")
    found = [host.package(name, None, how=cann.HOW_TO_GET_TORCH_NPU) for name in names]
    here = [finding.text for finding in found if finding.ok]
    why = "; ".join(here) or f"no port needs it, the backend torch_npu does: {found[0].text}"
    return Check(target.name, "torch_npu", True, why)


def _converter(host: Host) -> HostFinding:
    atc = host.program("atc", _CANN, tuple(cann.program_folders()))
    version = cann.version()
    return HostFinding(True, f"{atc.text}, CANN {version}") if atc.ok and version else atc


def _how_to_get_aclruntime() -> str:
    """Where it may be: in the interpreter that this environment was made from, whose packages it
    may not see.
    """
    how = f"{_CANN}, then install the aclruntime wheel of ais_bench ({ais_bench.WHEELS})"
    if sys.prefix == sys.base_prefix:
        return how
    return (
        f"{how}, or make the environment from the interpreter that has it: remove {sys.prefix},"
        " then PORTPROOF_PYTHON=PYTHON bash run_310p.sh"
    )


def _tools(host: Host) -> HostFinding:
    """The vendor's tools that are here."""
    tools = [host.program(name, "", tuple(tool_folders())) for name in _TOOLS]
    here = [tool.text for tool in tools if tool.ok]
    missing = ais_bench.why_not()
    if missing is None and (package := host.package("ais_bench", None)).ok:
        # Without it, its check of versions fails, and it takes a mode for older ones.
        mode = (
            ""
            if importlib.util.find_spec("pkg_resources")
            else " (without pkg_resources, from setuptools under 81, it runs in its mode 'tensor')"
        )
        here.append(package.text + mode)
    if here:
        return HostFinding(True, "; ".join(here))
    why = missing or host.package("ais_bench", None).text
    return HostFinding(
        False, f"none of {', '.join(_TOOLS)} is here, and {why}; get it from {ais_bench.WHEELS}"
    )


def device(target: Target, host: Host) -> HostFinding:
    """Whether a chip of the target's kind is here."""
    listing = host.output(("npu-smi", "info"))
    if listing is None:
        return HostFinding(
            False,
            "'npu-smi info' does not run here; use a host with the Ascend driver, or measure there"
            " and bring the logs",
        )
    chips = parse(listing)
    fitting = [c.name for c in chips if is_same_kind(c.soc_version, str(target.soc_version))]
    if fitting:
        return HostFinding(True, f"{len(fitting)} chips: {', '.join(dict.fromkeys(fitting))}")
    return HostFinding(
        False,
        f"this host has {', '.join(c.name for c in chips) or 'no chip that npu-smi lists'},"
        f" {target.soc_version} was expected",
    )
