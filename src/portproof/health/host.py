"""What this host can do for every target, what is missing, and how to get it.

Nothing heavy is imported here: packages are looked for, and tried in a process of their own, since
a broken one can end its process.
"""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import importlib.util
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import msgspec

from portproof import backend
from portproof.core.errors import InputError
from portproof.core.shell import find_program
from portproof.core.text import printable
from portproof.target import Target, find_target, target_names

#: Seconds after which a program or an import that does not answer counts as broken.
TIMEOUT_S = 60

#: What every target needs: capability -> packages (import name, extra of portproof).
COMMON: dict[str, tuple[tuple[str, str], ...]] = {
    "export": (
        ("torch", "convert"),
        ("onnx", "convert"),
        ("onnxruntime", "convert"),
        ("onnxslim", "convert"),
    ),
    "reference": (("torch", "convert"),),
    "preprocess": (("numpy", ""), ("PIL", "")),
    "metrics": (("numpy", ""), ("scipy", "")),
    "report": (("jinja2", "report"), ("matplotlib", "report")),
}
#: Import names that are not the name under which a package is installed.
_DISTRIBUTIONS = {"PIL": "Pillow", "jinja2": "Jinja2"}

#: What a whole port on a target needs beside what all targets need.
_OF_A_PORT = ("device", "convert", "infer")


class Check(msgspec.Struct, frozen=True):
    """One capability for one target. ``why``: what was found, or else how to get it."""

    target: str
    capability: str
    ok: bool
    why: str


@dataclass(frozen=True)
class HostFinding:
    """Whether one thing is there, and a clause about it; of a program where."""

    ok: bool
    text: str
    path: Path | None = None


class Host:
    """This computer, asked. Every question is asked once."""

    @property
    def processors(self) -> int:
        """How many processors this process may use."""
        return (
            len(os.sched_getaffinity(0))
            if hasattr(os, "sched_getaffinity")
            else os.cpu_count() or 1
        )

    @functools.cache  # noqa: B019  one host lives as long as the process
    def package(
        self, name: str, extra: str | None, how: str = "", distribution: str = ""
    ) -> HostFinding:
        """A Python package: whether it can be imported. ``extra``: the extra of portproof that
        brings it; ``how``: else how to get it.
        """
        distribution = distribution or _DISTRIBUTIONS.get(name, name)
        if importlib.util.find_spec(name) is None:
            remedy = how or "pip install " + (f"'portproof[{extra}]'" if extra else distribution)
            return HostFinding(
                False, f"the Python package {distribution} is not installed: {remedy}"
            )
        try:
            version = importlib.metadata.version(distribution)
        except importlib.metadata.PackageNotFoundError:
            version = "of unknown version"
        broken = _failure_of([sys.executable, "-c", f"import {name}"])
        if broken:
            return HostFinding(
                False,
                f"{distribution} {version} is installed but does not work ({broken}): install it"
                " again",
            )
        return HostFinding(True, f"{distribution} {version}")

    @functools.cache  # noqa: B019
    def program(self, name: str, how: str, folders: tuple[str, ...] = ()) -> HostFinding:
        """A program, looked for as the stages do; ``how``: how to get it."""
        try:
            path = find_program([name], folders, how)
        except InputError as error:
            return HostFinding(False, str(error))
        return HostFinding(True, f"{name} ({path})", path)

    @functools.cache  # noqa: B019
    def output(self, command: tuple[str, ...]) -> str | None:
        """What a program prints; None when it is not there, fails, or does not answer in time."""
        try:
            done = subprocess.run(
                command,
                capture_output=True,
                text=True,
                errors="replace",
                timeout=TIMEOUT_S,
                check=True,
            )
        except (OSError, subprocess.SubprocessError):
            return None
        return done.stdout


def needs(target: Target, capability: str, findings: Iterable[HostFinding]) -> Check:
    """A capability that is there when all of its findings are good; the bad ones say why not."""
    answers = list(findings)
    bad = [f.text for f in answers if not f.ok]
    return Check(
        target.name, capability, not bad, printable("; ".join(bad or [f.text for f in answers]))
    )


def diagnose(names: Sequence[str] = (), host: Host | None = None) -> list[Check]:
    """Every check of the targets named (all of them without a name);
    :class:`portproof.core.errors.InputError` for an unknown target.
    """
    asked = host or Host()
    targets = [find_target(name) for name in names or target_names()]
    # Imports of different packages are tried side by side: torch alone takes seconds.
    with ThreadPoolExecutor(4) as pool:
        list(
            pool.map(
                lambda item: asked.package(*item),
                sorted({item for items in COMMON.values() for item in items}),
            )
        )
    return [check for target in targets for check in checks_of(target, asked)]


def checks_of(target: Target, host: Host) -> Iterator[Check]:
    """The checks of one target: common ones, its vendor's, its backend's, and the port's."""
    checks = [
        needs(target, name, [host.package(*item) for item in items])
        for name, items in COMMON.items()
    ]
    checks += importlib.import_module(f"portproof.health.{target.vendor}").checks(target, host)
    checks.append(_backend(target))
    yield from checks
    required = [c for c in checks if c.capability in (*COMMON, *_OF_A_PORT, "backend")]
    lacking = [c.capability for c in required if not c.ok]
    why = (
        f"missing: {', '.join(lacking)}"
        if lacking
        else f"'portproof port --target {target.name}' has all that it needs"
    )
    yield Check(target.name, "port", not lacking, why)


def _backend(target: Target) -> Check:
    """Whether this version of PortProof has the backend that the target names."""
    there = target.backend in backend.names()
    why = (
        f"the backend '{target.backend}'"
        if there
        else f"this version has no backend '{target.backend}': use the vendor's tool and its logs"
    )
    return Check(target.name, "backend", there, why)


def _failure_of(command: list[str]) -> str:
    """The last line of what a command that fails says; an empty string when it does not fail."""
    try:
        done = subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=TIMEOUT_S,
            check=False,
        )
    except (OSError, subprocess.SubprocessError) as error:
        return str(error)
    lines = done.stderr.strip().splitlines()
    return "" if done.returncode == 0 else (lines[-1] if lines else f"exit code {done.returncode}")
