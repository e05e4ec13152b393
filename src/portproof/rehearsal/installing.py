"""Put the simulated programs where they are found: folders for ``PATH`` and ``PYTHONPATH``."""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Mapping
from pathlib import Path

from portproof.core.files import write_text
from portproof.core.shell import own_source
from portproof.rehearsal import ACTIVE, DEVICES, SOC

#: Program -> module of ``programs``. A program is simulated as soon as its module is there.
PROGRAMS = {
    "atc": "atc",
    "aoe": "atc",
    "npu-smi": "npu_smi",
    "msame": "msame",
    "benchmark.x86_64": "benchmark",
    "benchmark.aarch64": "benchmark",
}


def install(
    folder: Path,
    soc_version: str,
    environment: Mapping[str, str] = os.environ,
    devices: int | None = None,
) -> dict[str, str]:
    """Write the programs into ``folder`` and return the environment in which they are found before
    any others. ``devices``: how many chips there are, unless the environment says.

    The programs name this interpreter and this source, since vendor programs run without our
    entries in ``PATH`` and ``PYTHONPATH``.
    """
    source = own_source()
    own = Path(__file__).parent / "programs"
    for name, module in PROGRAMS.items():
        if (own / f"{module}.py").is_file():
            call = (
                f"exec env PYTHONPATH={shlex.quote(source)} {shlex.quote(sys.executable)} -m"
                f" portproof.rehearsal.programs.{module}"
            )
            _write(
                folder / "bin" / name,
                f'#!/bin/sh\n# {name}: REHEARSAL\n{call} "$@"\n',
                executable=True,
            )
    find = f"import sys\nsys.path.append({source!r})\n"
    _write(
        folder / "python" / "aclruntime.py",
        f"{find}from portproof.rehearsal.device import aclruntime\nsys.modules[__name__] ="
        " aclruntime\n",
    )
    _write(folder / "python" / "ais_bench" / "__init__.py", "")
    _write(
        folder / "python" / "ais_bench" / "__main__.py",
        f"{find}import runpy\nrunpy.run_module('portproof.rehearsal.programs.ais_bench',"
        " run_name='__main__')\n",
    )
    found = dict(environment)
    found["PATH"] = os.pathsep.join([str(folder / "bin"), found.get("PATH", os.defpath)])
    found["PYTHONPATH"] = os.pathsep.join(
        filter(None, [str(folder / "python"), found.get("PYTHONPATH")])
    )
    if devices:
        found.setdefault(DEVICES, str(devices))
    return found | {ACTIVE: "1", SOC: soc_version}


def _write(path: Path, text: str, executable: bool = False) -> None:
    """Write a file unless it is there already, so that a run that continues changes nothing."""
    if not path.is_file() or path.read_text(encoding="utf-8") != text:
        write_text(path, text)
        if executable:
            path.chmod(0o755)
