"""Ascend devices: ``npu-smi`` tells what there is, ``atc`` converts, and aclruntime or Huawei's own
tools execute.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator

from portproof.core.shell import tool_folders
from portproof.health.host import Check, Finding, Host, needs
from portproof.host import cann
from portproof.host.npusmi import parse
from portproof.target import Target

_CANN = (
    "install the CANN toolkit and run 'source /usr/local/Ascend/ascend-toolkit/set_env.sh' first"
)
_WHEELS = "https://gitee.com/ascend/tools, ais-bench_workload"
_TOOLS = ("benchmark.x86_64", "benchmark.aarch64", "msame")


def checks(target: Target, host: Host) -> Iterator[Check]:
    """What an Ascend target needs: the chip itself, the converter, a runtime, and one of Huawei's
    measuring tools; and whether a port that was begun on a host with torch can go on here.
    """
    found = [
        needs(target, "device", [device(target, host)]),
        needs(target, "convert", [_converter(host)]),
        needs(target, "infer", [host.package("aclruntime", None, how=_how_to_get_aclruntime())]),
    ]
    yield from found
    yield needs(target, "vendor-tool", [_tools(host)])
    lacking = [c.capability for c in found if not c.ok]
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


def _converter(host: Host) -> Finding:
    atc = host.program("atc", _CANN, tuple(cann.program_folders()))
    version = cann.version()
    return Finding(True, f"{atc.text}, CANN {version}") if atc.ok and version else atc


def _how_to_get_aclruntime() -> str:
    """Where it may be: in the interpreter that this environment was made from, whose packages it
    may not see.
    """
    how = f"{_CANN}, then install the aclruntime wheel of ais_bench ({_WHEELS})"
    if sys.prefix == sys.base_prefix:
        return how
    return (
        f"{how}, or make the environment from the interpreter that has it: remove {sys.prefix},"
        " then PORTPROOF_PYTHON=PYTHON bash run_310p.sh"
    )


def _tools(host: Host) -> Finding:
    """All of Huawei's tools that are here."""
    found = [
        tool.text
        for tool in (host.program(name, "", tuple(tool_folders())) for name in _TOOLS)
        if tool.ok
    ]
    ais_bench = host.package("ais_bench", None)
    if ais_bench.ok:
        # Without it, its check of versions fails, and it takes a mode for older ones.
        mode = (
            ""
            if importlib.util.find_spec("pkg_resources")
            else " (without pkg_resources, from setuptools under 81, it runs in its mode 'tensor')"
        )
        found.append(ais_bench.text + mode)
    return (
        Finding(True, "; ".join(found))
        if found
        else Finding(
            False, f"none of {', '.join(_TOOLS)}, ais_bench is here; get ais_bench from {_WHEELS}"
        )
    )


def device(target: Target, host: Host) -> Finding:
    """Whether a chip of the target's kind is here."""
    listing = host.output(("npu-smi", "info"))
    if listing is None:
        return Finding(
            False,
            "'npu-smi info' does not run here; use a host with the Ascend driver, or measure there"
            " and bring the logs",
        )
    chips = [chip.name for chip in parse(listing)]
    known = {target.name, *target.aliases, str(target.soc_version).lower()}
    fitting = [chip for chip in chips if chip.lower() in known or f"ascend{chip.lower()}" in known]
    if fitting:
        return Finding(True, f"{len(fitting)} chips: {', '.join(dict.fromkeys(fitting))}")
    return Finding(
        False,
        f"this host has {', '.join(chips) or 'no chip that npu-smi lists'}, {target.soc_version}"
        " was expected",
    )
