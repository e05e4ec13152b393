"""Which package ``ais_bench`` is installed: the vendor's tool, or another one of the same name."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import sys
from pathlib import Path

WHEELS = "https://gitee.com/ascend/tools, ais-bench_workload"


def why_not() -> str | None:
    """None if ``python -m ais_bench`` runs the vendor's tool; else a clause that says what is
    missing. Imports nothing.

    PyPI's ``ais_bench_benchmark`` installs a package ``ais_bench`` too (source: its wheel of
    3.1.20260630), which cannot be run; the vendor's has ``ais_bench/__main__.py``.
    """
    spec = importlib.util.find_spec("ais_bench")
    if spec is None:
        return f"ais_bench is not installed for {sys.executable}"
    folders = [Path(folder) for folder in spec.submodule_search_locations or ()]
    if any((folder / "__main__.py").is_file() for folder in folders):
        return None
    owners = importlib.metadata.packages_distributions().get("ais_bench", ["an unknown package"])
    return (
        f"the package ais_bench of {sys.executable} comes with {', '.join(sorted(set(owners)))} and"
        " is not the vendor's tool: it has no __main__.py"
    )
